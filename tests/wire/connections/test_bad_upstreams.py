"""SCORECARD B1, B3, B5 to B7: servers that refuse, break, lie, hang or close at the wrong moment.

B2 (broken answers never look whole) is in test_methods.py under M6, B4 (bytes) in streams/test_whole_bodies.py; that
nothing reaches a server twice is in test_attempts.py under K1 to K3.
"""

from __future__ import annotations

import random
import threading
import time

import pytest

from gwproxy.errors import Reason
from tests.wire.conftest import Connect
from tests.wire.kit.client import FIN, RST, RawClient, request
from tests.wire.kit.messages import Fields
from tests.wire.kit.refusal import AccessLedger, check_reply, never_whole
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond, silent


@pytest.mark.parametrize("target", [b"/dead/x", b"/up/x"])
def test_b1_refused_or_reset_is_told_at_once(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, target: bytes
) -> None:
    """The bar is 100 ms; the quickest of three is taken, since others use the machine too."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.reset()

    upstream.handler = handler
    reason = Reason.CONNECT_FAILED if target == b"/dead/x" else Reason.UPSTREAM_CLOSED
    took = []
    for _ in range(3):
        began = time.monotonic()
        response = client.ask(request(method=b"POST", target=target))
        took.append(time.monotonic() - began)
        check_reply(response, 502, reason)
        ledger.expect(response, f"b1 {target!r}", reason, by="gateway")
    assert min(took) < 0.1


@pytest.mark.parametrize(
    ("target", "seconds", "reason"),
    [(b"/impatient/x", 0.3, Reason.RESPONSE_TIMEOUT), (b"/unanswered/x", 0.3, Reason.CONNECT_TIMEOUT)],
)
def test_b1_silence_is_told_at_the_set_time(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, target: bytes, seconds: float, reason: Reason
) -> None:
    """The bar is half a second around it."""
    upstream.handler = silent
    took = []
    for _ in range(2):
        began = time.monotonic()
        response = client.ask(request(target=target))
        took.append(time.monotonic() - began)
        check_reply(response, 504, reason)
        ledger.expect(response, f"b1 {target!r}", reason, by="gateway")
    assert seconds - 0.01 <= min(took) < seconds + 0.5


def test_b1_a_head_that_drips_is_too_late(client: RawClient, upstream: ScriptedUpstream) -> None:
    """response_timeout is for the whole head, however it comes."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000:
            connection.send(bytes([byte]))
            threading.Event().wait(0.02)

    upstream.handler = handler
    check_reply(client.ask(request(target=b"/impatient/x")), 504, Reason.RESPONSE_TIMEOUT)
    upstream.wait_dropped()


MALFORMED = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX-A: a\nSet-Cookie: evil\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX-A: a\r\n folded\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX-A : a\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX A: a\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nNothing\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    b"HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokX\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFFFF\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nok\r\n0\r\n\r\n",
    b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"<html>HTTP/0.9</html>\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
]


@pytest.mark.parametrize("how", ["whole", "in bytes"])
@pytest.mark.parametrize("answer", MALFORMED)
def test_b3_malformed_answers(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, answer: bytes, how: str
) -> None:
    """A 502, or a response that breaks off where the head was good and had gone out before its body was bad."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(*([answer] if how == "whole" else [bytes([byte]) for byte in answer]))
        connection.wait_ended()

    upstream.handler = handler
    client.send(request())
    reply = never_whole(client)
    assert reply is not None or (how == "in bytes" and b"chunked" in answer)
    assert b"evil" not in client.received
    if reply is not None:
        check_reply(reply, 502, Reason.BAD_RESPONSE)
        ledger.expect(reply, f"b3 {answer!r}", Reason.BAD_RESPONSE, by="gateway")
    upstream.wait_dropped()


@pytest.mark.parametrize("value", [b"a\tb", b"\xe4\xf6", b"a" * 8000, b"", b"%0d%0aSet-Cookie: evil", b"\xe5\x98\x8a"])
def test_b3_odd_values_stay_in_their_line(client: RawClient, upstream: ScriptedUpstream, value: bytes) -> None:
    upstream.handler = respond(b"HTTP/1.1 200 OK\r\nX-Odd: %b\r\nContent-Length: 2\r\n\r\nok" % value)
    response = client.ask(request())
    assert (response.headers.get(b"x-odd"), response.body) == (value, b"ok")
    assert names(response.headers) >= {b"x-odd", b"content-length"}
    assert b"set-cookie" not in response.headers


def names(headers: Fields) -> set[bytes]:
    return {name.lower() for name, _ in headers}


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_b3_an_interim_response_is_never_the_answer(client: RawClient, upstream: ScriptedUpstream, status: int) -> None:
    """Not even with a body of its own declared, nor at the end of the connection."""
    upstream.handler = respond(b"HTTP/1.1 %d Interim\r\nContent-Length: 2\r\n\r\n" % status, close=True)
    client.send(request(method=b"POST"))
    interim, final = client.read_final()
    assert all(response.status == status for response in interim)
    check_reply(final, 502, Reason.UPSTREAM_CLOSED)


@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 5_000 + b"\r\n",
        b"HTTP/1.1 200 " + b"a" * 100_000,
        b"a" * 1_000_000,
    ],
    ids=["value", "lines", "phrase", "garbage"],
)
def test_b3_endless_heads(client: RawClient, upstream: ScriptedUpstream, flood: bytes) -> None:
    upstream.handler = respond(flood)
    check_reply(client.ask(request()), 502, Reason.BAD_RESPONSE)
    upstream.wait_dropped()


@pytest.mark.parametrize("ending", [FIN, RST])
def test_b6_an_upstream_that_closes_idle_connections_costs_no_errors(
    connect: Connect, upstream: ScriptedUpstream, ending: str
) -> None:
    """1,000 requests in all, at moments around that in which the server closes: after some ms instead of a second."""
    # A reset destroys an answer that was not read yet, so there has to be time for that on a busy machine.
    idle = 0.01 if ending == RST else 0.002

    def close_when_idle(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(OK)
        if not connection.wait_for_more(idle):
            connection.reset() if ending == RST else connection.close()

    upstream.handler = close_when_idle
    moments = random.Random(6)
    statuses: list[int] = []

    def ask(client: RawClient) -> None:
        for _ in range(250):
            statuses.append(client.ask(request()).status)
            time.sleep(moments.uniform(0, 2 * idle))

    clients = [threading.Thread(target=ask, args=(connect(),)) for _ in range(2)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    assert statuses == [200] * 500
    # the moment was met: some connections were used again, and some were not
    assert 1 < len({got.connection for got in upstream.requests}) < 500


def test_b7_a_hung_upstream_keeps_nobody_else_waiting(
    connect: Connect, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream
) -> None:
    """All of its connections are taken and its queue is long; another upstream's requests pass beside them."""
    upstream.handler = silent
    hung = [connect() for _ in range(40)]
    for client in hung:
        client.send(request(target=b"/one/x"))
    upstream.wait_for_requests(1)
    client = connect()
    for _ in range(50):
        assert client.ask(request(target=b"/other/x")).status == 200
    assert len(other_upstream.requests) == 50
    assert len(upstream.requests) == 1
    for client in hung:
        client.reset()
    upstream.wait_dropped()
