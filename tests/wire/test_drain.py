"""SCORECARD G3, CORRECTNESS K10: SIGTERM stops accepting, lets finish what is in flight, and ends with status 0."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import FIN, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.reader import PATIENCE
from tests.wire.kit.refusal import check_reply
from tests.wire.kit.upstream import OK, Handler, ScriptedUpstream, UpstreamConnection, respond

CONFIG = """
[gateway]
drain = {drain}

[log]
access = access.log
error = error.log
security = off

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[upstream:main]
servers = http://127.0.0.1:@MAIN@

[route:main]
path = /up/
upstream = main
"""

Start = Callable[[str], GatewayProcess]

pytestmark = pytest.mark.slow


@pytest.fixture
def start(upstreams: dict[str, ScriptedUpstream], tmp_path: Path) -> Iterator[Start]:
    """`start("10s")`: a gateway that drains so long. At the end it must stop with status 0 and without a traceback."""
    with ExitStack() as started:
        values = {"MAIN": upstreams["MAIN"].port}
        yield lambda drain: started.enter_context(running(CONFIG.format(drain=drain), tmp_path, values))


@pytest.fixture
def upstream(upstreams: dict[str, ScriptedUpstream]) -> Iterator[ScriptedUpstream]:
    """The upstream, with nothing recorded."""
    server = upstreams["MAIN"]
    server.forget()
    yield server
    server.wait_quiet()
    server.raise_failures()


def terminate(gateway: GatewayProcess) -> None:
    """SIGTERM; returns when nobody can connect any more."""
    os.kill(gateway.pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", gateway.ports["PORT"]), PATIENCE).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return
        assert time.monotonic() < deadline, "still accepts connections"
        time.sleep(0.01)


def gated(gate: threading.Event, *pieces: bytes) -> Handler:
    """A handler that sends the first piece at once, the others when the gate is opened."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(pieces[0])
        connection.wait(gate)
        connection.send(*pieces[1:])

    return handler


def test_g3_what_is_in_flight_is_finished(start: Start, upstream: ScriptedUpstream) -> None:
    gateway = start("10s")
    gate = threading.Event()
    upstream.handler = gated(gate, b"", OK)
    with gateway.connect() as busy, gateway.connect() as idle, gateway.connect() as new:
        upstream_handler, upstream.handler = upstream.handler, respond(OK)
        assert idle.ask(request()).status == 200
        upstream.handler = upstream_handler
        busy.send(request(target=b"/up/busy"))
        upstream.wait_for_requests(2)
        terminate(gateway)
        # who has nothing under way is closed at once (K10)
        assert [idle.ending(), new.ending()] == [FIN, FIN]
        assert gateway.is_running()
        gate.set()
        assert busy.read_response().status == 200
        assert busy.ending() == FIN
    assert gateway.stop() == 0
    records = gateway.log_records()
    assert [(record["status"], record["reason"]) for record in records] == [(200, None), (200, None)]


def test_g3_a_response_under_way_is_finished(start: Start, upstream: ScriptedUpstream) -> None:
    gateway = start("10s")
    gate = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    upstream.handler = gated(gate, head + b"abcde", b"fghij")
    with gateway.connect() as client:
        client.send(request())
        response = client.read_head()
        terminate(gateway)
        gate.set()
        assert client.read_body(response).body == b"abcdefghij"
        assert client.ending() == FIN
    assert gateway.stop() == 0


def test_g3_an_upload_under_way_is_finished(start: Start, upstream: ScriptedUpstream) -> None:
    gateway = start("10s")
    with gateway.connect() as client:
        client.send(request(b"Content-Length: 10", method=b"POST", body=b"abcde"))
        upstream.wait_for_requests(1, complete=False)
        terminate(gateway)
        client.send(b"fghij")
        response = client.read_response()
        assert response.status == 200
        # the head is written after the drain began, so it can say what happens (K10)
        assert response.headers.get(b"connection") == b"close"
        assert client.ending() == FIN
    assert upstream.only_request().body == b"abcdefghij"
    assert gateway.stop() == 0


def test_g3_what_was_pipelined_behind_it_is_not_begun(start: Start, upstream: ScriptedUpstream) -> None:
    """The answer says close: the client sends the rest again, elsewhere (RFC 9112 section 9.6)."""
    gateway = start("10s")
    gate = threading.Event()
    upstream.handler = gated(gate, b"", OK)
    with gateway.connect() as client:
        client.send(request(target=b"/up/1") + request(target=b"/up/2"))
        upstream.wait_for_requests(1)
        terminate(gateway)
        gate.set()
        assert client.read_response().headers.get(b"connection") == b"close"
        client.read_until_closed()
    assert [each.target for each in upstream.requests] == [b"/up/1"]
    assert gateway.stop() == 0


HALF_ANSWERS = {
    b"/up/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    b"/up/length": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
    b"/up/close": b"HTTP/1.1 200 OK\r\n\r\nok",
}


@pytest.mark.parametrize("drain", ["300ms", "60s"], ids=["drain is over", "second signal"])
def test_g3_what_takes_too_long_is_cut(start: Start, upstream: ScriptedUpstream, drain: str) -> None:
    """Who has no answer yet is told so; what is half answered never ends clean."""
    gateway = start(drain)

    def handler(connection: UpstreamConnection) -> None:
        got = connection.read_request()
        connection.send(HALF_ANSWERS.get(got.target, b""))
        connection.wait_ended()

    upstream.handler = handler
    with ExitStack() as opened:
        clients = [opened.enter_context(gateway.connect()) for _ in HALF_ANSWERS]
        for client, target in zip(clients, HALF_ANSWERS, strict=True):
            client.send(request(target=target))
        responses = [client.read_head() for client in clients]
        waiting = opened.enter_context(gateway.connect())
        waiting.send(request(target=b"/up/waiting"))
        upstream.wait_for_requests(4)
        terminate(gateway)
        if drain == "60s":
            assert gateway.is_running()
            os.kill(gateway.pid, signal.SIGTERM)
        check_reply(waiting.read_response(), 503, Reason.DRAINING)
        assert waiting.ending() == FIN
        for client, response in zip(clients, responses, strict=True):
            with pytest.raises((EOFError, ConnectionResetError)):
                client.read_body(response)
    assert gateway.stop() == 0
    upstream.wait_dropped()
    records = {record["path"]: (record["status"], record["reason"]) for record in gateway.log_records()}
    cut = {target.decode(): (200, "draining") for target in HALF_ANSWERS}
    assert records == {**cut, "/up/waiting": (503, "draining")}


def test_g3_a_client_that_does_not_read_its_answer_holds_nothing_up(start: Start, upstream: ScriptedUpstream) -> None:
    gateway = start("300ms")
    upstream.handler = respond(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + b"a" * 50_000_000)
    with gateway.connect() as client:
        client.send(request())
        client.read_head()
        terminate(gateway)
        assert gateway.stop() == 0
