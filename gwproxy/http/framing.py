"""Where a message's parts end: the head in a stream of bytes, and a chunked body.

llhttp judges the syntax; what is added here are the bounds it does not have, and exact ends, so that what follows a
message stays unread until its turn has come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from httptools import HttpParserError, HttpRequestParser, HttpResponseParser

from gwproxy.errors import BadChunk, BadRequest, BadResponse, HeadTooLarge, TargetTooLong
from gwproxy.http.headers import Headers

END = b"\r\n\r\n"


class _Ignore:
    """A parser's sink when only its verdict counts."""

    __slots__ = ()


_IGNORE = _Ignore()
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(?: |$)")


class HeadReader:
    """Collects a request head that comes in pieces, and refuses it as soon as it can no longer become valid.

    A head that comes in one piece never reaches this class: its user looks for `END` first.
    """

    __slots__ = ("_data", "_max_head", "_max_target", "_scout")

    def __init__(self, max_head: int, max_target: int) -> None:
        """`max_head` bounds the fields, `max_target` the request line, both in bytes."""
        self._data = bytearray()
        self._max_head = max_head
        self._max_target = max_target
        # Sees the same bytes a little earlier, only to find out that they are wrong (SCORECARD A2).
        self._scout: HttpRequestParser | None = None

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The whole head and what follows it, or None when more is needed. Raises ClientError."""
        scanned = max(0, len(self._data) - 3)
        self._data += data
        end = self._data.find(END, scanned)
        if end >= 0:
            head = bytes(self._data[: end + 4])
            return head, bytes(self._data[end + 4 :])
        self._judge(data)
        return None

    def _judge(self, data: bytes) -> None:
        line = self._data.find(b"\n")
        # 32 for the method, 11 for the version and blanks
        if (len(self._data) if line < 0 else line) > self._max_target + 43:
            raise TargetTooLong("the request line does not end")
        if line >= 0 and len(self._data) - line > self._max_head:
            raise HeadTooLarge("the head does not end")
        if self._scout is None:
            match = _METHOD.match(self._data)
            if match is None:
                raise BadRequest("not a method")
            if match.end() == len(self._data) and self._data[-1:] != b" ":
                return  # the method itself is not complete
            self._scout = HttpRequestParser(_IGNORE)
            # Any method will do for the rest: llhttp knows some forty, and the gateway passes all.
            data = b"GET " + bytes(self._data[match.end() :])
        try:
            self._scout.feed_data(data)
        except HttpParserError as error:
            raise BadRequest(str(error)) from None


class ResponseHeadReader:
    """Collects a response head that comes in pieces, and finds out early that it is none."""

    __slots__ = ("_data", "_max_head", "_scout")

    def __init__(self, max_head: int) -> None:
        self._data = bytearray()
        self._max_head = max_head
        self._scout = HttpResponseParser(_IGNORE)

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The whole head and what follows it, or None when more is needed. Raises BadResponse."""
        scanned = max(0, len(self._data) - 3)
        self._data += data
        end = self._data.find(END, scanned)
        if end >= 0:
            return bytes(self._data[: end + 4]), bytes(self._data[end + 4 :])
        if len(self._data) > self._max_head:
            raise BadResponse("the response head does not end")
        try:
            self._scout.feed_data(data)
        except HttpParserError as error:
            raise BadResponse(str(error)) from None
        return None


# A request whose body is chunked: llhttp decodes the same way for both directions.
_CHUNKED_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class ChunkedDecoder:
    """Decodes one chunked body (RFC 9112 section 7.1), and knows exactly where it ends."""

    __slots__ = ("_overhead", "_parser", "_pieces", "_tail", "done", "rest", "trailers")

    # Bytes that may come without a byte of body: chunk lines with extensions, and the trailer section.
    MAX_OVERHEAD = 16 * 1024
    MAX_TRAILERS = 100

    def __init__(self) -> None:
        self.done = False
        # After `done`: what followed the body.
        self.rest = b""
        self.trailers: Headers = []
        self._pieces: list[bytes] = []
        self._tail = b""
        self._overhead = 0
        self._parser = HttpRequestParser(self)
        self._parser.feed_data(_CHUNKED_HEAD)
        self.trailers.clear()

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of the body in `data`; after `done` there is nothing more to feed. Raises BadChunk."""
        self._pieces = []
        start = 0
        for end in self._possible_ends(data):
            self._parse(data[start:end])
            start = end
            if self.done:
                self.rest = data[start:]
                return self._pieces
        if start < len(data):
            self._parse(data[start:])
        self._tail = (self._tail + data[-3:])[-3:]
        return self._pieces

    def _possible_ends(self, data: bytes) -> Iterator[int]:
        """A body ends where an empty line ends. Fed up to each one, the parser never sees what follows the body."""
        straddling = (self._tail + data[:3]).find(END)
        if straddling >= 0:
            yield straddling + 4 - len(self._tail)
        at = data.find(END)
        while at >= 0:
            yield at + 4
            at = data.find(END, at + 4)

    def _parse(self, piece: bytes) -> None:
        before = len(self._pieces)
        try:
            self._parser.feed_data(piece)
        except HttpParserError as error:
            raise BadChunk(str(error)) from None
        self._overhead = 0 if len(self._pieces) > before else self._overhead + len(piece)
        if self._overhead > self.MAX_OVERHEAD or len(self.trailers) > self.MAX_TRAILERS:
            raise BadChunk("too many bytes between the pieces of the body or in its trailers")

    def on_body(self, body: bytes) -> None:
        """For llhttp."""
        self._pieces.append(body)

    def on_header(self, name: bytes, value: bytes) -> None:
        """For llhttp: a trailer field."""
        self.trailers.append((name, value))

    def on_message_complete(self) -> None:
        """For llhttp."""
        self.done = True
