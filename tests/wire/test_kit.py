"""The kit against itself: what it reports of a connection is what happened on it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import FIN, RST, RawClient
from tests.wire.kit.dead_ports import BlackHole, RefusingPort
from tests.wire.kit.gateway import GatewayProcess
from tests.wire.kit.messages import Fields, Framing, Malformed, Response
from tests.wire.kit.refusal import AccessLedger, never_whole
from tests.wire.kit.upstream import (
    OK,
    ScriptedUpstream,
    UpstreamConnection,
    respond,
    silent,
)

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


@pytest.fixture
def server() -> Iterator[ScriptedUpstream]:
    server = ScriptedUpstream()
    yield server
    server.close()


@pytest.fixture
def peer(server: ScriptedUpstream) -> Iterator[RawClient]:
    with RawClient(server.port) as client:
        yield client


def test_a_request_is_recorded_and_answered(server: ScriptedUpstream, peer: RawClient) -> None:
    peer.send(b"POST /a?b HTTP/1.1\r\nX-One: 1\r\nx-one: 2\r\nContent-", b"Length: 3\r\n\r\na", b"bc")
    response = peer.read_response()
    assert (response.status, response.phrase, response.body, response.framing) == (200, b"OK", b"ok", Framing.LENGTH)
    request = server.only_request()
    assert (request.method, request.target, request.body, request.complete) == (b"POST", b"/a?b", b"abc", True)
    assert request.headers.all(b"X-ONE") == [b"1", b"2"]
    with pytest.raises(AssertionError, match="came 2 times"):
        request.headers.get(b"x-one")
    assert peer.is_open()


def test_requests_know_their_connection(server: ScriptedUpstream, peer: RawClient) -> None:
    peer.ask(GET)
    peer.ask(GET)
    with RawClient(server.port) as second:
        second.ask(GET)
    assert [request.connection for request in server.wait_for_requests(3)] == [0, 0, 1]


def test_chunks_and_trailers(server: ScriptedUpstream, peer: RawClient) -> None:
    server.handler = respond(
        b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r", b"\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n"
    )
    response = peer.ask(GET)
    assert (response.body, list(response.trailers)) == (b"abcde", [(b"T", b"1")])


def test_interim_responses_come_before_the_final_one(server: ScriptedUpstream, peer: RawClient) -> None:
    server.handler = respond(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK)
    peer.send(GET)
    interim, final = peer.read_final()
    assert ([response.status for response in interim], final.status) == ([103], 200)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    ],
)
def test_the_parser_takes_nothing_else(server: ScriptedUpstream, peer: RawClient, response: bytes) -> None:
    server.handler = respond(response)
    with pytest.raises(Malformed):
        peer.ask(GET)


@pytest.mark.parametrize("ending", [FIN, RST])
def test_an_end_after_the_response(server: ScriptedUpstream, peer: RawClient, ending: str) -> None:
    gate = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(OK)
        connection.wait(gate)  # or the RST would throw away the response
        connection.reset() if ending == RST else connection.close()

    server.handler = handler
    peer.ask(GET)
    assert peer.is_open()
    gate.set()
    assert peer.ending() == ending
    assert not peer.is_open()


@pytest.mark.parametrize(("ending", "error"), [(FIN, EOFError), (RST, ConnectionResetError)])
def test_an_end_within_the_response(
    server: ScriptedUpstream, peer: RawClient, ending: str, error: type[Exception]
) -> None:
    gate = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        connection.wait(gate)
        connection.reset() if ending == RST else connection.close()

    server.handler = handler
    peer.send(GET)
    response = peer.read_head()
    assert peer.read_some() == b"abc"
    gate.set()
    with pytest.raises(error):
        peer.read_body(response)
    assert not response.complete


def test_bytes_before_the_end_are_no_clean_end(server: ScriptedUpstream, peer: RawClient) -> None:
    server.handler = respond(OK, b"surplus", close=True)
    peer.ask(GET)
    with pytest.raises(AssertionError, match="surplus"):
        peer.ending()


@pytest.mark.parametrize("ending", [FIN, RST])
def test_the_upstream_sees_how_the_client_leaves(server: ScriptedUpstream, peer: RawClient, ending: str) -> None:
    server.handler = silent
    peer.send(GET)
    server.wait_for_requests(1)
    peer.reset() if ending == RST else peer.half_close()
    connection = server.connections[0]
    server.wait_for(lambda: connection.ended, "an end")
    assert connection.ended == ending


def test_an_incomplete_request_is_told_apart(server: ScriptedUpstream, peer: RawClient) -> None:
    peer.send(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc")
    [request] = server.wait_for_requests(1, complete=False)
    server.wait_for(lambda: request.body == b"abc" or server.connections[0].received.endswith(b"abc"), "a part")
    peer.close()
    server.wait_quiet()
    assert (server.only_request().complete, request.body) == (False, b"abc")


def test_an_upstream_may_speak_first(server: ScriptedUpstream) -> None:
    server.on_connect = lambda connection: connection.send(OK)
    with RawClient(server.port) as client:
        assert client.read_response().body == b"ok"


def test_what_a_handler_raises_fails_the_test(server: ScriptedUpstream, peer: RawClient) -> None:
    def handler(connection: UpstreamConnection) -> None:
        raise ValueError("a mistake in the test")

    server.handler = handler
    peer.send(GET)
    # Closed with the request unread, the kernel resets it.
    assert peer.read_until_closed() == (b"", RST)
    server.wait_quiet()
    with pytest.raises(AssertionError, match="a mistake in the test"):
        server.raise_failures()
    server.forget()


def test_forgetting_keeps_connections_open(server: ScriptedUpstream, peer: RawClient) -> None:
    peer.ask(GET)
    server.forget()
    assert peer.ask(GET).status == 200
    assert server.only_request().connection == 0


def test_a_port_that_refuses() -> None:
    port = RefusingPort()
    with pytest.raises(ConnectionRefusedError):
        RawClient(port.port)
    port.close()


def test_a_port_that_says_nothing() -> None:
    hole = BlackHole()
    with pytest.raises(TimeoutError):
        RawClient(hole.port, patience=0.2)
    hole.close()


def test_a_gateway_that_does_not_start_says_why(tmp_path: Path) -> None:
    gateway = GatewayProcess("[no-such-section]\nendpoint = tcp:@PORT@\n", tmp_path, {})
    with pytest.raises(AssertionError, match=r"(?s)did not start: .*no-such-section"):
        gateway.start()
    assert not gateway.is_running()


LINE = {"id": "r1", "status": 400, "reason": "bad_request", "by": "gateway"}


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        ([LINE], None),
        ([{**LINE, "id": "other"}, LINE], None),
        ([], "0 lines"),
        ([LINE, LINE], "2 lines"),
        ([{**LINE, "reason": None}], "'reason': None"),
        ([{**LINE, "by": "upstream"}], "'by': 'upstream'"),
    ],
)
def test_the_ledger_finds_what_is_wrong_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[dict[str, object]], mistake: str | None
) -> None:
    monkeypatch.setattr("tests.wire.kit.gateway.LOG_PATIENCE", 0.0)
    gateway = GatewayProcess("", tmp_path, {})
    (tmp_path / "access.log").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"id": "cut of')
    ledger = AccessLedger(gateway)
    response = Response(b"1.1", Fields([(b"X-Request-ID", b"r1")]), Framing.NONE, status=400, phrase=b"")
    ledger.expect(response, "the test", Reason.BAD_REQUEST, by="gateway")
    found = ledger.mistakes()
    if mistake is None:
        assert found == []
    else:
        [text] = found
        assert text.startswith("the test: ")
        assert mistake in text


def test_a_broken_answer_is_told_from_a_whole_one(server: ScriptedUpstream) -> None:
    server.handler = respond(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", close=True)
    with RawClient(server.port) as client:
        client.send(GET)
        assert never_whole(client) is None
    server.handler = respond(OK)
    with RawClient(server.port) as client:
        client.send(GET)
        with pytest.raises(AssertionError, match="ended clean"):
            never_whole(client)
