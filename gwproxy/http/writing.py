"""Status lines, fields and chunks as bytes on the wire: what messages of both sides are put together from."""

from __future__ import annotations

from http import HTTPStatus

from gwproxy.http.headers import Headers

# Status lines ready to send, with the standard phrases.
_STATUS_LINES = {int(status): b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}

_colon = b": ".join

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def status_line(status: int, reason: bytes = b"") -> bytes:
    """A status line of HTTP/1.1, which is what this hop speaks whatever the client does (RFC 9110 section 6.2)."""
    if reason:
        return b"HTTP/1.1 %d %s\r\n" % (status, reason)
    line = _STATUS_LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d \r\n" % status


def fields(headers: Headers) -> bytes:
    """Fields as lines, without the empty line that ends a head."""
    return b"\r\n".join(map(_colon, headers)) + b"\r\n" if headers else b""


def chunk(data: bytes) -> list[bytes]:
    """One chunk, in pieces to be written. Never of nothing: that would be the last one."""
    return [b"%x\r\n" % len(data), data, b"\r\n"]


def last_chunk(trailers: Headers) -> bytes:
    """The end of a chunked body, with its trailer section."""
    if not trailers:
        return LAST_CHUNK
    return b"0\r\n" + fields(trailers) + b"\r\n"
