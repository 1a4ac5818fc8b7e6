"""Bodies that are too large to be kept: made as they are sent, and known again by their hash."""

from __future__ import annotations

import hashlib
import random
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.wire.kit.messages import Response, read_response_head
from tests.wire.kit.reader import Reader

PIECE = 1 << 16
# Its length divides no power of two, so that no two pieces of a body are alike.
_BLOCK = random.Random(1).randbytes((1 << 20) - 3)


def pieces(size: int) -> Iterator[bytes]:
    """A body of `size` bytes, always the same."""
    at = sent = 0
    while sent < size:
        piece = _BLOCK[at : at + min(PIECE, size - sent)]
        sent += len(piece)
        at = (at + len(piece)) % len(_BLOCK)
        yield piece


def digest(body: Iterable[bytes]) -> tuple[int, str]:
    """Size and SHA-256 of a body."""
    size, sha256 = 0, hashlib.sha256()
    for piece in body:
        size += len(piece)
        sha256.update(piece)
    return size, sha256.hexdigest()


def send_body(send: Callable[[bytes], object], size: int, *, chunked: bool) -> None:
    """`size` bytes through `send`, framed if `chunked`."""
    for piece in pieces(size):
        send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    if chunked:
        send(b"0\r\n\r\n")


def framing(size: int, *, chunked: bool) -> bytes:
    """The field that goes with it."""
    return b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size


def read_bulk(sock: socket.socket, method: bytes = b"GET") -> tuple[Response, tuple[int, str]]:
    """The next response, and the digest of its body."""
    reader = Reader(sock)
    response = read_response_head(reader, method)

    def body() -> Iterator[bytes]:
        for piece in response.pieces(reader):
            yield piece
            reader.forget()

    return response, digest(body())


def unusual_kernel_room() -> int:
    """Bytes by which this kernel lets a socket's receive buffer grow beyond Linux's default of 6 MiB. It grows with how
    fast a connection is read, which is a matter of luck."""
    largest = int(Path("/proc/sys/net/ipv4/tcp_rmem").read_text().split()[2])
    return max(0, largest - (6 << 20))


def send_until_stuck(sock: socket.socket, limit: int, patience: float) -> int:
    """Sends until nothing is taken for `patience` seconds; how much was. More than `limit` fails the test."""
    sent = 0
    before = sock.gettimeout()
    sock.settimeout(patience)
    try:
        while sent <= limit:
            sent += sock.send(_BLOCK[:PIECE])
    except TimeoutError:
        return sent
    finally:
        sock.settimeout(before)
    raise AssertionError(f"more than {limit} bytes were taken")
