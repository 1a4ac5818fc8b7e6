"""CORRECTNESS B5 to B7: clients that leave, clients that only stop sending, uploads that break off."""

from __future__ import annotations

import threading

import pytest

from gwproxy.errors import Reason
from tests.wire.conftest import Connect
from tests.wire.kit.bulk import send_until_stuck
from tests.wire.kit.client import FIN, RST, RawClient, request
from tests.wire.kit.lines import Lines
from tests.wire.kit.messages import Request
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond, silent

ENDINGS = pytest.mark.parametrize("ending", [FIN, RST])
GONE = {"status": 499, "reason": Reason.CLIENT_GONE, "by": "gateway"}


def leave(client: RawClient, ending: str) -> None:
    """Closed by its program (FIN), or dead (RST)."""
    client.reset() if ending == RST else client.close()


@ENDINGS
def test_b5_before_there_is_a_connection(client: RawClient, lines: Lines, ending: str) -> None:
    """The server answers no connection attempt; the exchange is over long before that times out."""
    target = b"/black-hole/left-" + ending.encode()
    client.send(request(target=target))
    leave(client, ending)
    lines.expect(target, **GONE)


@ENDINGS
def test_b5_while_it_waits_for_a_connection(
    connect: Connect, upstream: ScriptedUpstream, lines: Lines, ending: str
) -> None:
    gate = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.wait(gate)
        connection.send(OK)

    upstream.handler = handler
    target = b"/narrow/left-" + ending.encode()
    first, second, third = connect(), connect(), connect()
    first.send(request(target=b"/narrow/first"))
    upstream.wait_for_requests(1)
    second.send(request(target=target))
    third.send(request(target=b"/narrow/third"))
    leave(second, ending)
    lines.expect(target, **GONE)
    # longer than the gateway takes to notice, which nothing tells
    gate.wait(0.3)
    gate.set()
    assert (first.read_final()[1].status, third.read_final()[1].status) == (200, 200)
    assert [got.target for got in upstream.requests] == [b"/narrow/first", b"/narrow/third"]


@ENDINGS
@pytest.mark.parametrize("pipelined", [0, 300], ids=["alone", "pipelined"])
def test_b5_while_it_waits_for_the_answer(
    client: RawClient, upstream: ScriptedUpstream, lines: Lines, ending: str, pipelined: int
) -> None:
    """Also when it has sent more requests, some 20 KiB, that wait for their turn."""
    upstream.handler = silent
    target = b"/up/left-%d-%b" % (pipelined, ending.encode())
    client.send(request(target=target) + request(b"X-Filler: " + b"a" * 30) * pipelined)
    upstream.wait_for_requests(1)
    leave(client, ending)
    upstream.wait_dropped()
    assert len(upstream.requests) == 1
    lines.expect(target, **GONE, bytes_out=0)


@ENDINGS
def test_b5_in_the_middle_of_a_stream(client: RawClient, upstream: ScriptedUpstream, lines: Lines, ending: str) -> None:
    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.send(b"1\r\na\r\n")
            threading.Event().wait(0.01)

    upstream.handler = handler
    target = b"/up/streamed-" + ending.encode()
    client.send(request(target=target))
    client.read_head()
    client.read_some()
    leave(client, ending)
    upstream.wait_dropped()
    lines.expect(target, **{**GONE, "by": "upstream"})


@ENDINGS
def test_b5_in_the_middle_of_a_response_that_pauses(
    client: RawClient, upstream: ScriptedUpstream, lines: Lines, ending: str
) -> None:
    """Events that come seldom: nothing is written that could find out that nobody reads."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        connection.wait_ended()

    upstream.handler = handler
    target = b"/up/paused-" + ending.encode()
    client.send(request(target=target))
    client.read_head()
    client.read_some()
    leave(client, ending)
    upstream.wait_dropped()
    lines.expect(target, **{**GONE, "by": "upstream"}, bytes_out=1)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("wait", [0.0, 0.3], ids=["at once", "late"])
@pytest.mark.parametrize("body", [b"", b"abc"], ids=["GET", "POST"])
def test_b6_a_half_closed_client_gets_its_answer(
    client: RawClient, upstream: ScriptedUpstream, version: bytes, wait: float, body: bytes
) -> None:
    """As with `nc -N`. Whether it still reads is found out by a 102, which HTTP/1.0 does not have."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        threading.Event().wait(wait)
        connection.send(OK)

    upstream.handler = handler
    length = [b"Content-Length: 3"] if body else []
    client.send(request(*length, version=version, method=b"POST" if body else b"GET", body=body))
    client.half_close()
    interim, final = client.read_final()
    assert {response.status for response in interim} <= ({102} if version == b"1.1" else set())
    assert (final.status, final.body) == (200, b"ok")
    assert client.ending() == FIN
    assert upstream.only_request().body == body


def test_b6_a_half_closed_client_gets_a_stream_to_its_end(client: RawClient, upstream: ScriptedUpstream) -> None:
    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(4):
            threading.Event().wait(0.1)
            connection.send(b"1\r\na\r\n")
        connection.send(b"0\r\n\r\n")

    upstream.handler = handler
    client.send(request())
    client.half_close()
    assert client.read_final()[1].body == b"aaaa"
    assert client.ending() == FIN


def test_b6_what_was_pipelined_before_the_half_close_is_answered(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(OK)
    client.send(request() * 5)
    client.half_close()
    assert [client.read_final()[1].status for _ in range(5)] == [200] * 5
    assert client.ending() == FIN


BROKEN = [
    ("length", b"Content-Length: 9", b"abc"),
    ("chunked", b"Transfer-Encoding: chunked", b"3\r\nabc\r\n"),
    ("within-a-chunk", b"Transfer-Encoding: chunked", b"9\r\nabc"),
    ("before-the-end", b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n"),
]


@ENDINGS
@pytest.mark.parametrize(("name", "line", "sent"), BROKEN, ids=[row[0] for row in BROKEN])
def test_b7_an_upload_that_breaks_off_never_looks_whole(
    client: RawClient,
    upstream: ScriptedUpstream,
    lines: Lines,
    ending: str,
    name: str,
    line: bytes,
    sent: bytes,
) -> None:
    arrived = threading.Event()
    heads: list[Request] = []

    def handler(connection: UpstreamConnection) -> None:
        head = connection.read_head()
        heads.append(head)
        for piece in connection.stream_body(head):
            head.body += piece
            if head.body == b"abc":
                arrived.set()

    upstream.handler = handler
    target = f"/up/broken-{name}-{ending}".encode()
    client.send(request(line, method=b"POST", target=target, body=sent))
    assert arrived.wait(5)
    leave(client, ending)
    upstream.wait_dropped()
    [got] = heads
    assert (got.body, got.complete) == (b"abc", False)
    lines.expect(target, **GONE, bytes_in=3)


def test_b7_while_the_upload_stands_still(client: RawClient, hoarder: ScriptedUpstream) -> None:
    """The upstream takes nothing, so the gateway reads nothing: the client may die all the same.

    By a reset; a FIN stands behind the bytes that nobody reads, and does not leave the client's side before them.
    """
    target = b"/up/stuck"
    client.send(request(b"Content-Length: 104857600", method=b"POST", target=target))
    send_until_stuck(client.socket, 32 << 20, 0.2)
    leave(client, "rst")
    assert hoarder.connection_of(hoarder.requests[0]).is_cut(within=1.0)


@ENDINGS
def test_b7_while_the_answer_is_on_its_way(
    client: RawClient, upstream: ScriptedUpstream, lines: Lines, ending: str
) -> None:
    def handler(connection: UpstreamConnection) -> None:
        head = connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        connection.read_body(head)

    upstream.handler = handler
    target = b"/up/broken-answered-" + ending.encode()
    client.send(request(b"Content-Length: 9", method=b"POST", target=target, body=b"abc"))
    client.read_head()
    leave(client, ending)
    upstream.wait_dropped()
    assert not upstream.requests[0].complete
    lines.expect(target, **{**GONE, "by": "upstream"})
