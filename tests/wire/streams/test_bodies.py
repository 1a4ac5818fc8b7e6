"""CORRECTNESS B1 and B8 to B12: bodies on their way. One test an id at least."""

from __future__ import annotations

import threading

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.bulk import PIECE
from tests.wire.kit.client import FIN, RawClient, request
from tests.wire.kit.lines import Lines
from tests.wire.kit.messages import Framing
from tests.wire.kit.refusal import AccessLedger, check_reply
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond

CHUNKED = b"Transfer-Encoding: chunked"
MIB = 1 << 20
# In how many seconds nothing must have been taken, before a test believes that nothing more will be.
STUCK = 0.25


def upload(*lines: bytes, target: bytes = b"/up/x", body: bytes = b"") -> bytes:
    return request(*lines, method=b"POST", target=target, body=body)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b"Content-Length: 3", [b"a", b"b", b"c"]),
        (CHUNKED, [b"1\r\na\r\n", b"1\r\nb\r\n", b"1\r\nc\r\n0\r\n\r\n"]),
    ],
    ids=["length", "chunked"],
)
def test_b1_each_byte_goes_upstream_before_the_next_is_sent(
    client: RawClient, upstream: ScriptedUpstream, line: bytes, parts: list[bytes]
) -> None:
    arrived: list[bytes] = []
    steps = [threading.Event() for _ in parts]

    def handler(connection: UpstreamConnection) -> None:
        for piece, step in zip(connection.stream_body(connection.read_head()), steps, strict=True):
            arrived.append(piece)
            step.set()
        connection.send(OK)

    upstream.handler = handler
    client.send(upload(line))
    for part, step in zip(parts, steps, strict=True):
        client.send(part)
        assert step.wait(5), f"only {arrived} came upstream"
    assert client.read_response().status == 200
    assert arrived == [b"a", b"b", b"c"]


def test_b1_both_directions_at_once(client: RawClient, upstream: ScriptedUpstream) -> None:
    """An upstream may answer piece by piece while the request is still coming."""

    def handler(connection: UpstreamConnection) -> None:
        head = connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in connection.stream_body(head):
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece.upper()))
        connection.send(b"0\r\n\r\n")

    upstream.handler = handler
    client.send(upload(CHUNKED))
    response = client.read_head()
    echoed = b""
    for part in (b"ab", b"cd"):
        client.send(b"2\r\n%b\r\n" % part)
        while not echoed.endswith(part.upper() + b"\r\n"):
            echoed += client.read_some()
    client.send(b"0\r\n\r\n")
    assert client.read_body(response).complete
    assert echoed == b"2\r\nAB\r\n2\r\nCD\r\n"


def test_b8_a_body_that_is_shorter_than_it_says(client: RawClient, upstream: ScriptedUpstream, lines: Lines) -> None:
    upstream.handler = lambda connection: connection.read_body(connection.read_head())
    client.send(upload(b"Content-Length: 5", target=b"/up/short", body=b"abc"))
    upstream.wait_for_requests(1, complete=False)
    client.half_close()
    upstream.wait_dropped()
    [got] = upstream.requests
    assert (got.body, got.complete) == (b"abc", False)
    lines.expect(b"/up/short", status=499, reason=Reason.CLIENT_GONE, bytes_in=3)


def test_b8_a_body_that_is_longer_than_it_says(client: RawClient, upstream: ScriptedUpstream) -> None:
    """What is too much is the next request, or none."""
    client.send(upload(b"Content-Length: 3", body=b"abcdef\r\n\r\n"))
    assert client.read_response().status == 200
    check_reply(client.read_response(), 400, Reason.BAD_REQUEST)
    assert client.ending() == FIN
    assert upstream.only_request().body == b"abc"


def test_b9_the_framing_of_a_body_is_kept(client: RawClient, upstream: ScriptedUpstream) -> None:
    client.ask(upload(CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n"))
    client.ask(upload(b"Content-Length: 3", body=b"abc"))
    chunked, counted = upstream.wait_for_requests(2)
    assert (chunked.framing, chunked.body) == (Framing.CHUNKED, b"abc")
    assert b"content-length" not in chunked.headers
    assert (counted.framing, counted.body) == (Framing.LENGTH, b"abc")


FLUSHED = [
    (b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n", [b"3\r\na\n\n\r\n", b"3\r\nb\n\n\r\n"]),
    (b"Content-Type: text/event-stream\r\n", [b"a\n\n", b"b\n\n"]),
    (b"Content-Length: 6\r\n", [b"a\n\n", b"b\n\n"]),
]


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize(("lines", "events"), FLUSHED, ids=["chunked", "until-close", "length"])
def test_b10_what_comes_is_passed_on_at_once(
    client: RawClient, upstream: ScriptedUpstream, version: bytes, lines: bytes, events: list[bytes]
) -> None:
    """The head before the first byte of the body, and each event before the next is made."""
    seen = [threading.Event() for _ in range(3)]

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")
        for event, gate in zip(events, seen, strict=False):
            connection.wait(gate)
            connection.send(event)
        connection.wait(seen[-1])
        connection.close()

    upstream.handler = handler
    client.send(request(version=version))
    assert client.read_head().status == 200
    got = b""
    for gate, event in zip(seen, (b"a\n\n", b"b\n\n"), strict=False):
        gate.set()
        while event not in got:
            more = client.read_some()
            assert more
            got += more
    seen[-1].set()


def test_b11_ranges_pass_untouched(client: RawClient, upstream: ScriptedUpstream) -> None:
    body = (
        b"--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/9\r\n\r\nab\r\n"
        b"--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 4-5/9\r\n\r\nef\r\n--B--\r\n"
    )
    lines = [
        (b"Content-Type", b"multipart/byteranges; boundary=B"),
        (b"ETag", b'"e"'),
        (b"Accept-Ranges", b"bytes"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-Length", b"%d" % len(body)),
    ]
    upstream.handler = respond(
        b"HTTP/1.1 206 Partial Content\r\n" + b"".join(b"%b: %b\r\n" % line for line in lines) + b"\r\n" + body
    )
    response = client.ask(request(b"Range: bytes=0-1,4-5", b'If-Range: "e"', b"Accept-Encoding: gzip"))
    assert (response.status, response.body) == (206, body)
    assert [line for line in response.headers if line in lines] == lines
    got = upstream.only_request().headers
    assert (got.get(b"range"), got.get(b"if-range"), got.get(b"accept-encoding")) == (b"bytes=0-1,4-5", b'"e"', b"gzip")


@pytest.mark.xfail(reason="the gateway compresses nothing in this version, so there are no rules to hold", run=False)
def test_b11_compression() -> None:
    raise NotImplementedError


LIMIT = 100 * 1024


def in_chunks(size: int, piece: int) -> bytes:
    whole, rest = divmod(size, piece)
    last = b"%x\r\n%b\r\n" % (rest, b"a" * rest) if rest else b""
    return (b"%x\r\n%b\r\n" % (piece, b"a" * piece)) * whole + last


def test_b12_the_limit_counts_what_the_chunks_hold(client: RawClient, upstream: ScriptedUpstream) -> None:
    """Ten bytes a chunk: on the wire it is much more than the limit."""
    client.send(upload(CHUNKED, target=b"/small/x"), in_chunks(LIMIT, 10), b"0\r\n\r\n")
    assert client.read_response().status == 200
    assert len(upstream.only_request().body) == LIMIT


@pytest.mark.parametrize("piece", [10, PIECE])
def test_b12_one_byte_more_is_refused_while_it_streams(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, piece: int
) -> None:
    client.send(upload(CHUNKED, target=b"/small/x"), in_chunks(LIMIT, piece))
    upstream.wait_for_requests(1, complete=False)
    client.send(b"1\r\na\r\n")
    response = client.read_response()
    check_reply(response, 413, Reason.BODY_TOO_LARGE)
    assert client.ending() == FIN
    upstream.wait_dropped()
    [got] = upstream.requests
    assert not got.complete
    assert len(got.body) <= LIMIT
    ledger.expect(response, "b12", Reason.BODY_TOO_LARGE, by="gateway")


def test_b12_the_limit_may_be_met_after_the_answer_has_begun(
    client: RawClient, upstream: ScriptedUpstream, lines: Lines
) -> None:
    """Too late for a 413: the response breaks off."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        connection.wait_ended()

    upstream.handler = handler
    client.send(upload(CHUNKED, target=b"/small/late"))
    response = client.read_head()
    client.send(in_chunks(LIMIT + 1, PIECE))
    with pytest.raises((EOFError, ConnectionResetError)):
        client.read_body(response)
    upstream.wait_dropped()
    lines.expect(b"/small/late", reason=Reason.BODY_TOO_LARGE)
