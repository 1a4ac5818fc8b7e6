"""CORRECTNESS K: attempts, what is never sent twice, and how long things may take. One test an id at least.

K8 is in test_slow_clients.py, K10 in test_drain.py; the connections that are kept in test_kept.py.
"""

from __future__ import annotations

import os
import signal
import threading

import pytest

from gwproxy.errors import Reason
from tests.wire.conftest import Connect
from tests.wire.kit.client import FIN, RST, RawClient, request
from tests.wire.kit.gateway import GatewayProcess
from tests.wire.kit.messages import Request
from tests.wire.kit.refusal import AccessLedger, check_reply, never_whole
from tests.wire.kit.upstream import OK, Handler, ScriptedUpstream, UpstreamConnection, respond, silent

SAFE = [b"GET", b"HEAD", b"OPTIONS"]
UNSAFE = [b"POST", b"PUT", b"DELETE", b"PATCH", b"foo"]


class Dying:
    """Answers the first request of a connection, and ends the connection at the second, as one that was idle too long.

    To the gateway it looks as if the end had been on its way when it sent the request.
    """

    def __init__(self, ending: str) -> None:
        self._ending = ending
        self._served: set[int] = set()
        self.refused: list[Request] = []

    def __call__(self, connection: UpstreamConnection) -> None:
        if connection.number not in self._served:
            self._served.add(connection.number)
            connection.read_request()
            connection.send(OK)
            return
        self.refused.append(connection.read_head())
        connection.reset() if self._ending == RST else connection.close()


@pytest.mark.parametrize("ending", [FIN, RST])
@pytest.mark.parametrize("method", SAFE)
def test_k1_a_connection_that_died_idle_costs_nothing(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, method: bytes, ending: str
) -> None:
    """Once more over a new connection, also where `retries` allows no other attempt."""
    dying = upstream.handler = Dying(ending)
    client.ask(request(target=b"/up/first"))
    response = client.ask(request(target=b"/up/second", method=method), method=method)
    assert response.status == 200
    assert [got.target for got in upstream.requests] == [b"/up/first", b"/up/second", b"/up/second"]
    assert len(dying.refused) == 1
    ledger.expect(response, "k1", None, by="upstream", tries=2)


@pytest.mark.parametrize("ending", [FIN, RST])
@pytest.mark.parametrize("method", UNSAFE)
def test_k1_what_may_have_had_an_effect_is_not_sent_again(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, method: bytes, ending: str
) -> None:
    upstream.handler = Dying(ending)
    client.ask(request(target=b"/up/first"))
    response = client.ask(request(target=b"/up/second", method=method))
    check_reply(response, 502, Reason.UPSTREAM_CLOSED)
    upstream.wait_quiet()
    assert [got.target for got in upstream.requests] == [b"/up/first", b"/up/second"]
    ledger.expect(response, "k1", Reason.UPSTREAM_CLOSED, by="gateway", tries=1)


def test_k1_a_new_connection_that_dies_is_no_idle_one(client: RawClient, upstream: ScriptedUpstream) -> None:
    drop_idle(upstream)
    upstream.handler = ending_with(RST)
    upstream_closed(client, request())
    upstream.wait_quiet()
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("method", UNSAFE)
def test_k1_a_dead_connection_is_not_used_for_what_cannot_be_repeated(
    client: RawClient, gateway: GatewayProcess, upstream: ScriptedUpstream, method: bytes
) -> None:
    """Closed just behind the arrival of the request: found out before a byte is sent.

    The gateway stands still meanwhile, so that it learns of both at once, and of the request first.
    """
    upstream.handler = respond(OK)
    for _ in range(3):
        client.ask(request())
        os.kill(gateway.pid, signal.SIGSTOP)
        client.send(request(method=method))
        upstream.connection_of(upstream.requests[-1]).wake()
        os.kill(gateway.pid, signal.SIGCONT)
        assert client.read_response().status == 200
    assert len(upstream.requests) == 6


def ending_with(ending: str) -> Handler:
    """Reads the request and ends the connection."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.reset() if ending == RST else connection.close()

    return handler


def drop_idle(*servers: ScriptedUpstream) -> None:
    """Ends connections of earlier tests: an end of these is not what is tested."""
    for server in servers:
        for connection in server.connections:
            connection.wake()


def upstream_closed(client: RawClient, raw: bytes) -> None:
    check_reply(client.ask(raw), 502, Reason.UPSTREAM_CLOSED)


@pytest.mark.parametrize("ending", [FIN, RST])
@pytest.mark.parametrize("method", UNSAFE)
def test_k2_what_was_sent_once_is_sent_to_no_other_server(
    client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream, method: bytes, ending: str
) -> None:
    upstream.handler = other_upstream.handler = ending_with(ending)
    upstream_closed(client, request(target=b"/pair/x", method=method))
    upstream.wait_quiet()
    other_upstream.wait_quiet()
    assert len(upstream.requests) + len(other_upstream.requests) == 1


@pytest.mark.parametrize("method", SAFE)
def test_k2_what_has_no_effect_is_tried_at_the_next_server(
    client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream, method: bytes
) -> None:
    """At most `retries` times, and at no server twice."""
    drop_idle(upstream, other_upstream)
    upstream.handler = other_upstream.handler = ending_with(RST)
    response = client.ask(request(target=b"/pair/x", method=method), method=method)
    check_reply(response, 502, Reason.UPSTREAM_CLOSED, method)
    assert (len(upstream.requests), len(other_upstream.requests)) == (1, 1)
    other_upstream.handler = respond(OK)
    for _ in range(4):
        assert client.ask(request(target=b"/pair/x", method=method), method=method).status == 200


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_k2_k5_an_answer_is_an_answer(
    client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream, method: bytes, status: int
) -> None:
    """No status makes another attempt: the upstream's own answer is passed on."""
    answer = b"HTTP/1.1 %d Mine\r\nContent-Length: 4\r\nX-Mine: 1\r\n\r\nmine" % status
    upstream.handler = other_upstream.handler = respond(answer)
    response = client.ask(request(target=b"/pair/x", method=method))
    assert (response.status, response.phrase, response.body) == (status, b"Mine", b"mine")
    assert response.headers.get(b"x-mine") == b"1"
    assert len(upstream.requests) + len(other_upstream.requests) == 1


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize(
    ("line", "body"), [(b"Content-Length: 3", b"abc"), (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n")]
)
def test_k3_a_body_is_sent_once(
    client: RawClient,
    upstream: ScriptedUpstream,
    other_upstream: ScriptedUpstream,
    method: bytes,
    line: bytes,
    body: bytes,
) -> None:
    upstream.handler = other_upstream.handler = ending_with(RST)
    upstream_closed(client, request(line, target=b"/pair/x", method=method, body=body))
    upstream.wait_quiet()
    other_upstream.wait_quiet()
    assert len(upstream.requests) + len(other_upstream.requests) == 1


@pytest.mark.parametrize("target", [b"/half-dead/x", b"/half-silent/x"])
@pytest.mark.parametrize("size", [0, 3, 300_000])
def test_k3_what_was_not_sent_at_all_may_be_tried_elsewhere(
    client: RawClient, upstream: ScriptedUpstream, target: bytes, size: int
) -> None:
    """No connection to the first server: whatever the method, and with its body."""
    for count in (1, 2):
        response = client.ask(request(b"Content-Length: %d" % size, target=target, method=b"POST", body=b"a" * size))
        assert response.status == 200
        assert [len(got.body) for got in upstream.requests] == [size] * count


def test_k4_each_attempt_starts_from_the_request_as_it_came(
    client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream
) -> None:
    drop_idle(upstream, other_upstream)
    upstream.handler = other_upstream.handler = ending_with(FIN)
    client.ask(request(b"Connection: X-Gone", b"X-Gone: 1", b"X-Kept: 1", b"Via: 1.1 before", target=b"/pair/x"))
    [first], [second] = upstream.requests, other_upstream.requests
    for name in (b"x-forwarded-for", b"via", b"x-request-id", b"x-tag", b"x-kept", b"x-forwarded-host", b"host"):
        assert first.headers.get(name) == second.headers.get(name) is not None
    assert b"x-gone" not in second.headers
    assert [name for name, _ in first.headers] == [name for name, _ in second.headers]


@pytest.mark.parametrize("part", [b"", b"ab"])
def test_k5_no_other_attempt_after_the_response_has_begun(
    client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream, part: bytes
) -> None:
    gate = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + part)
        connection.wait(gate)
        connection.reset()

    upstream.handler = other_upstream.handler = handler
    client.send(request(target=b"/pair/x"))
    response = client.read_head()
    gate.set()
    with pytest.raises((EOFError, ConnectionResetError)):
        client.read_body(response)
    assert len(upstream.requests) + len(other_upstream.requests) == 1


def test_k6_a_response_that_is_not_read_to_its_end_ends_its_connection(
    connect: Connect, upstream: ScriptedUpstream
) -> None:
    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        connection.wait_ended()

    upstream.handler = handler
    client = connect()
    client.send(request())
    client.read_head()
    client.reset()
    upstream.wait_dropped()
    upstream.handler = respond(OK)
    assert connect().ask(request()).body == b"ok"
    first, second = upstream.wait_for_requests(2, complete=False)
    assert first.connection != second.connection


def test_k7_the_last_answer_of_a_connection_says_so(connect: Connect, upstream: ScriptedUpstream) -> None:
    client = connect("PORT_THREE")
    responses = [client.ask(request()) for _ in range(3)]
    assert [response.headers.get(b"connection") for response in responses] == [None, None, b"close"]
    assert client.ending() == FIN


def test_k7_pipelined_requests_beyond_the_last_are_not_served(connect: Connect, upstream: ScriptedUpstream) -> None:
    client = connect("PORT_THREE")
    client.send(request(method=b"POST") * 5)
    responses = [client.read_response() for _ in range(3)]
    assert [response.headers.get(b"connection") for response in responses] == [None, None, b"close"]
    assert client.ending() == FIN
    upstream.wait_quiet()
    assert len(upstream.requests) == 3


def test_k7_a_connection_has_an_age(connect: Connect, upstream: ScriptedUpstream) -> None:
    client = connect("PORT_AGED")
    while b"connection" not in (response := client.ask(request())).headers:
        threading.Event().wait(0.02)
    assert response.headers.get(b"connection") == b"close"
    assert client.ending() == FIN


def test_k9_the_routes_timeout_begins_when_the_request_is_sent(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger
) -> None:
    """An upload may take longer."""
    client.send(request(b"Content-Length: 6", method=b"POST", target=b"/hasty/x"))
    for piece in (b"ab", b"cd", b"ef"):
        threading.Event().wait(0.15)
        client.send(piece)
    assert client.read_response().status == 200
    upstream.handler = silent
    response = client.ask(request(b"Content-Length: 2", method=b"POST", target=b"/hasty/x", body=b"ab"))
    check_reply(response, 504, Reason.ROUTE_TIMEOUT)
    upstream.wait_dropped()
    ledger.expect(response, "k9", Reason.ROUTE_TIMEOUT, by="gateway")


def test_k9_attempts_share_the_routes_timeout(client: RawClient, ledger: AccessLedger) -> None:
    """Two servers that say nothing, each with less than connect_timeout left together."""
    response = client.ask(request(target=b"/silent/x"))
    check_reply(response, 504, Reason.ROUTE_TIMEOUT)
    ledger.expect(response, "k9", Reason.ROUTE_TIMEOUT, by="gateway", tries=2)


def test_k9_a_response_that_has_begun_may_take_longer(client: RawClient, upstream: ScriptedUpstream) -> None:
    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            threading.Event().wait(0.12)
            connection.send(b"a")

    upstream.handler = handler
    assert client.ask(request(target=b"/hasty/x")).body == b"aaaa"


def test_all_servers_down(
    client: RawClient, gateway: GatewayProcess, ledger: AccessLedger, upstream: ScriptedUpstream
) -> None:
    """Told as what happened last, each server tried once although more attempts are allowed; and tried again later."""
    for _ in range(2):
        response = client.ask(request(target=b"/dead/x"))
        check_reply(response, 502, Reason.CONNECT_FAILED)
        assert client.is_open()
        ledger.expect(response, "all down", Reason.CONNECT_FAILED, by="gateway", tries=2)
    assert gateway.metrics().value("gateway_upstream_server_up", upstream="dead") == 0
    assert client.ask(request()).status == 200


def test_b2_never_whole_with_retries(
    client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream
) -> None:
    """A head that breaks off may be tried elsewhere; what the client sees is one answer."""
    drop_idle(upstream, other_upstream)

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Le")
        connection.close()

    upstream.handler = other_upstream.handler = handler
    client.send(request(target=b"/pair/x"))
    reply = never_whole(client)
    assert reply is not None
    check_reply(reply, 502, Reason.UPSTREAM_CLOSED)
