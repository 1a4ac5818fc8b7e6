"""SCORECARD B4: what comes out is what went in, whatever the size, the framing and the direction."""

from __future__ import annotations

import gzip
import threading

import pytest

from tests.wire.kit.bulk import digest, framing, pieces, read_bulk, send_body
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.messages import Framing
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond

KIB, MIB = 1 << 10, 1 << 20
SIZES = [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 10 * MIB, pytest.param(200 * MIB, marks=pytest.mark.slow)]
BOTH = pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])


def memoized_digest(size: int) -> tuple[int, str]:
    """Of the body of this size."""
    found = _DIGESTS.get(size)
    if found is None:
        found = _DIGESTS[size] = digest(pieces(size))
    return found


_DIGESTS: dict[int, tuple[int, str]] = {}


@pytest.mark.parametrize("size", SIZES)
@BOTH
def test_b4_request_bodies(client: RawClient, upstream: ScriptedUpstream, size: int, chunked: bool) -> None:
    digests: list[tuple[int, str]] = []

    def handler(connection: UpstreamConnection) -> None:
        digests.append(digest(connection.stream_body(connection.read_head())))
        connection.send(OK)

    upstream.handler = handler
    client.send(request(framing(size, chunked=chunked), method=b"POST"))
    send_body(client.socket.sendall, size, chunked=chunked)
    assert client.read_response().body == b"ok"
    assert digests == [memoized_digest(size)]
    assert upstream.only_request().framing is (Framing.CHUNKED if chunked else Framing.LENGTH)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [Framing.LENGTH, Framing.CHUNKED, Framing.CLOSE])
def test_b4_response_bodies(client: RawClient, upstream: ScriptedUpstream, size: int, kind: Framing) -> None:
    chunked = kind is Framing.CHUNKED

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        line = b"Connection: close" if kind is Framing.CLOSE else framing(size, chunked=chunked)
        connection.send(b'HTTP/1.1 200 OK\r\nETag: "e"\r\n%b\r\n\r\n' % line)
        send_body(connection.send, size, chunked=chunked)
        if kind is Framing.CLOSE:
            connection.close()

    upstream.handler = handler
    client.send(request())
    response, got = read_bulk(client.socket)
    assert got == memoized_digest(size)
    assert response.headers.get(b"etag") == b'"e"'
    if kind is Framing.LENGTH:
        assert response.headers.get(b"content-length") == b"%d" % size
    assert client.is_open()


@pytest.mark.slow
def test_b4_both_directions_at_full_speed(client: RawClient, upstream: ScriptedUpstream) -> None:
    """An echo: neither direction may wait for the other's end."""
    size = 32 * MIB

    def handler(connection: UpstreamConnection) -> None:
        head = connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for piece in connection.stream_body(head):
            connection.send(piece)

    upstream.handler = handler
    client.send(request(framing(size, chunked=True), method=b"POST"))
    sender = threading.Thread(target=send_body, args=(client.socket.sendall, size), kwargs={"chunked": True})
    sender.start()
    response, got = read_bulk(client.socket)
    sender.join()
    assert (response.status, got) == (200, memoized_digest(size))


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd", b"x-unknown"])
def test_b4_encoded_bodies_pass_as_they_are(client: RawClient, upstream: ScriptedUpstream, coding: bytes) -> None:
    """Nothing is decoded, encoded or asked for (Z2)."""
    body = gzip.compress(b"a" * 1000)
    lines = [
        (b"Content-Encoding", coding),
        (b"ETag", b'"strong"'),
        (b"Vary", b"Accept-Encoding"),
        (b"Content-Length", b"%d" % len(body)),
    ]
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % line for line in lines) + b"\r\n"
    upstream.handler = respond(head + body)
    response = client.ask(request(b"Accept-Encoding: identity"))
    assert response.body == body
    assert [line for line in response.headers if line in lines] == lines
    assert upstream.only_request().headers.all(b"accept-encoding") == [b"identity"]
