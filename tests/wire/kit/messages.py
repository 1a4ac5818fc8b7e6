"""HTTP/1 messages as they are on the wire, read by a parser of its own that takes nothing but what RFC 9112 writes.

It shares no code with the gateway, so that the two cannot be wrong together. What it does not take is a `Malformed`,
which is an AssertionError: whoever sent it has failed the test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from tests.wire.kit.reader import Reader

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/(1\.[01])\r\n")
_STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e]*)?\r\n")
_LENGTH = re.compile(rb"[0-9]+")


class Malformed(AssertionError):
    """What came is not HTTP/1."""


class Fields:
    """Field lines in their order, names in their case; looked up in any case."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.pairs = list(pairs)

    def all(self, name: bytes) -> list[bytes]:
        """The values of every line of this name."""
        return [value for found, value in self.pairs if found.lower() == name.lower()]

    def get(self, name: bytes) -> bytes | None:
        """The value of the only line of this name, or None. Two lines fail the test."""
        values = self.all(name)
        assert len(values) < 2, f"{name!r} came {len(values)} times: {values}"
        return values[0] if values else None

    def __contains__(self, name: bytes) -> bool:
        return bool(self.all(name))

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.pairs)

    def __repr__(self) -> str:
        return repr(self.pairs)


class Framing(StrEnum):
    """How the end of a body is known."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


@dataclass
class Message:
    """What requests and responses share. `body` and `trailers` grow as they are read; `complete` is the end."""

    version: bytes
    headers: Fields
    framing: Framing
    body: bytes = field(default=b"", kw_only=True)
    trailers: Fields = field(default_factory=Fields, kw_only=True)
    complete: bool = field(default=False, kw_only=True)

    def read_body(self, reader: Reader) -> None:
        """Read to the end of the body. EOFError or ConnectionResetError if it breaks off; `body` has what came."""
        for piece in self.pieces(reader):
            self.body += piece

    def pieces(self, reader: Reader) -> Iterator[bytes]:
        """The body as it comes, for bodies that are too large to be kept. Raises as read_body() does."""
        if self.framing is Framing.LENGTH:
            yield from reader.pieces(int(self.headers.get(b"content-length") or b"0"))
        elif self.framing is Framing.CHUNKED:
            yield from self._chunks(reader)
        elif self.framing is Framing.CLOSE:
            while piece := reader.some():
                yield piece
        self.complete = True

    def _chunks(self, reader: Reader) -> Iterator[bytes]:
        while True:
            line = reader.line()
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise Malformed(f"not a chunk line: {line!r}")
            size = int(match[1], 16)
            if size == 0:
                self.trailers = _read_fields(reader)
                return
            yield from reader.pieces(size)
            if (end := reader.exactly(2)) != b"\r\n":
                raise Malformed(f"a chunk ends in {end!r}")


@dataclass
class Request(Message):
    """A request as it reached an upstream. `connection` counts the upstream's connections from 0."""

    method: bytes
    target: bytes
    connection: int = -1


@dataclass
class Response(Message):
    """A response as it reached a client."""

    status: int
    phrase: bytes


def read_request_head(reader: Reader) -> Request:
    """A request up to its empty line; `read_body` reads the rest."""
    line = reader.line()
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Malformed(f"not a request line: {line!r}")
    headers = _read_fields(reader)
    framing = _declared_framing(headers) or Framing.NONE
    return Request(match[3], headers, framing, method=match[1], target=match[2])


def read_response_head(reader: Reader, method: bytes = b"GET") -> Response:
    """A response to `method` up to its empty line, interim ones too; `read_body` reads the rest."""
    line = reader.line()
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise Malformed(f"not a status line: {line!r}")
    status = int(match[2])
    headers = _read_fields(reader)
    framing = _declared_framing(headers) or Framing.CLOSE
    if status < 200 or status in (204, 304) or method == b"HEAD":
        framing = Framing.NONE
    return Response(match[1], headers, framing, status=status, phrase=match[3])


def _declared_framing(headers: Fields) -> Framing | None:
    """RFC 9112 section 6.3, refusing all that is ambiguous."""
    coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
    if coding is not None:
        if coding != b"chunked" or length is not None:
            raise Malformed(f"Transfer-Encoding {coding!r}, Content-Length {length!r}")
        return Framing.CHUNKED
    if length is not None:
        if not _LENGTH.fullmatch(length):
            raise Malformed(f"Content-Length {length!r}")
        return Framing.LENGTH
    return None


def _read_fields(reader: Reader) -> Fields:
    pairs: list[tuple[bytes, bytes]] = []
    while (line := reader.line()) != b"\r\n":
        match = _FIELD.fullmatch(line)
        if match is None:
            raise Malformed(f"not a field line: {line!r}")
        pairs.append((match[1], match[2]))
    return Fields(pairs)
