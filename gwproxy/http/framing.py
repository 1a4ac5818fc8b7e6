"""Where a message's parts end: the head in a stream of bytes, and a chunked body.

llhttp judges the syntax of fields; what is added here are the bounds it does not have, and exact ends, so that what
follows a message stays unread until its turn has come.
"""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from gwproxy.errors import BadChunk, BadRequest, BadResponse, HeadTooLarge, TargetTooLong
from gwproxy.http.headers import Headers

END = b"\r\n\r\n"


class _Ignore:
    """A parser's sink when only its verdict counts."""

    __slots__ = ()


_IGNORE = _Ignore()
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(?: (?! )|\Z)")


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
        if line >= 0:
            if self._data[line - 1] != 0x0D:
                # llhttp takes `GET /` with a bare LF for HTTP/0.9, and waits for more.
                raise BadRequest("the request line does not end in CR LF")
            if len(self._data) - line > self._max_head:
                raise HeadTooLarge("the head does not end")
        if self._scout is None:
            match = _METHOD.match(self._data)
            if match is None:
                raise BadRequest("not a method")
            if match.end() == len(self._data):
                return  # nothing of the target: the method may go on, or a second blank come, which llhttp would take
            self._scout = HttpRequestParser(_IGNORE)
            # Any method will do for the rest: llhttp knows some forty, and the gateway passes all.
            data = b"GET " + bytes(self._data[match.end() :])
        try:
            self._scout.feed_data(data)
        except HttpParserError as error:
            raise BadRequest(str(error)) from None


class HeadSplitter:
    """Takes one head after the other off what a client sends."""

    __slots__ = ("_max_head", "_max_target", "_reader")

    def __init__(self, max_head: int, max_target: int) -> None:
        """As HeadReader's."""
        self._max_head = max_head
        self._max_target = max_target
        self._reader: HeadReader | None = None

    @property
    def begun(self) -> bool:
        """Whether a part of a head is here, and the rest is not."""
        return self._reader is not None

    def split(self, data: bytes) -> tuple[bytes, bytes] | None:
        """A whole head and what follows it, or None when more is needed. Raises ClientError."""
        reader = self._reader
        if reader is None:
            # RFC 9112 section 2.2: empty lines before a request are ignored.
            data = data.lstrip(b"\r\n") if data[0] in b"\r\n" else data
            end = data.find(END) + 4
            if end >= 4:
                return data[:end], data[end:]
            if not data:
                return None
            reader = self._reader = HeadReader(self._max_head, self._max_target)
        found = reader.feed(data)
        if found is not None:
            self._reader = None
        return found


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


# A chunk's first line. Fifteen digits are more than any body has, and less than any integer that overflows somewhere;
# extensions are skipped (RFC 9112 section 7.1.1), bounded, and can hold no line end.
_EXTENSION = rb"(?:;[\t\x20-\x7e\x80-\xff]{0,1024})?"
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})" + _EXTENSION + rb"\r\n")
_CHUNK_LINE_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,15}" + _EXTENSION + rb"\r?)?")

_LINE: Final = 0  # a chunk's first line
_DATA: Final = 1
_DATA_END: Final = 2  # the line end behind a chunk's data
_TRAILERS: Final = 3


class ChunkedDecoder:
    """Decodes one chunked body (RFC 9112 section 7.1), and knows exactly where it ends.

    Not llhttp's: that tells neither where a body ends inside what it was fed nor how large a chunk says it is.
    """

    __slots__ = ("_left", "_pending", "_state", "done", "rest", "trailers")

    MAX_TRAILERS = 16 * 1024

    def __init__(self) -> None:
        self.done = False
        # After `done`: what followed the body.
        self.rest = b""
        self.trailers: Headers = []
        self._state = _LINE
        self._left = 0  # bytes of the chunk that are to come
        self._pending = b""  # the beginning of a line

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of the body in `data`; after `done` there is nothing more to feed. Raises BadChunk."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        pieces: list[bytes] = []
        at = 0
        while at < len(data) and not self.done:
            if self._state == _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _DATA_END
                continue
            end = self._read_line(data, at)
            if end == at:
                self._pending = data[at:]
                return pieces
            at = end
        if self.done:
            self.rest = data[at:]
        return pieces

    def _read_line(self, data: bytes, at: int) -> int:
        """Reads one line, or the trailer section, and gives its end; `at` if it is not whole yet."""
        if self._state == _LINE:
            match = _CHUNK_LINE.match(data, at)
            if match is None:
                if _CHUNK_LINE_BEGUN.fullmatch(data, at) is None:
                    raise BadChunk("not a chunk size")
                return at
            self._left = int(match[1], 16)
            self._state = _DATA if self._left else _TRAILERS
            return match.end()
        if data.startswith(b"\r\n", at):
            if self._state == _DATA_END:
                self._state = _LINE
            else:
                self.done = True
            return at + 2
        if self._state == _TRAILERS:
            return self._read_trailers(data, at)
        if data[at:] != b"\r":
            raise BadChunk("a chunk is longer than it says")
        return at

    def _read_trailers(self, data: bytes, at: int) -> int:
        end = data.find(END, at)
        if (len(data) if end < 0 else end) - at > self.MAX_TRAILERS:
            raise BadChunk("the trailers are too large")
        if end < 0:
            if data.count(b"\n", at) != data.count(b"\r\n", at):
                raise BadChunk("a trailer does not end in CR LF")
            return at
        try:
            # Trailers are fields: llhttp judges them as those of a head.
            HttpRequestParser(self).feed_data(b"GET / HTTP/1.1\r\n" + data[at : end + 4])
        except HttpParserUpgrade:
            pass
        except HttpParserError as error:
            raise BadChunk(str(error)) from None
        self.done = True
        return end + 4

    def on_header(self, name: bytes, value: bytes) -> None:
        """For llhttp: a trailer field."""
        self.trailers.append((name, value))
