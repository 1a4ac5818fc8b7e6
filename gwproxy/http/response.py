"""The head of a response: parsed by llhttp, judged, split into what this hop uses and what travels on."""

from __future__ import annotations

import re

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from gwproxy.errors import BadResponse
from gwproxy.http.headers import HOP_BY_HOP, RESPONSE_KINDS, Header, Headers, Kind, list_items

# Three digits of 1xx to 5xx; the reason phrase may be missing or odd (CORRECTNESS M8).
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([^\r\n]*))?\r\n")
_PRINTABLE = re.compile(rb"[\t \x21-\x7e\x80-\xff]*")

# Statuses whose responses have no body, whatever their fields say (RFC 9112 section 6.3).
BODILESS = frozenset({204, 304})


class ResponseHead:
    """One response head. `read()` fills it."""

    __slots__ = (
        "chunked",
        "content_length",
        "has_date",
        "headers",
        "keep_alive",
        "minor",
        "reason",
        "special",
        "status",
        "trailer",
        "upgrade",
        "via",
    )

    def __init__(self) -> None:
        self.minor = 1
        self.status = 0
        self.reason = b""
        self.headers: Headers = []  # end-to-end fields, as received and in order
        self.special: Headers = []
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = True
        self.upgrade: bytes | None = None
        self.trailer: bytes | None = None
        self.via: bytes | None = None
        self.has_date = False

    def read(self, data: bytes, max_headers: int) -> None:
        """Parses and judges a whole head, up to and with its empty line. Raises BadResponse."""
        match = _STATUS_LINE.match(data)
        if match is None:
            raise BadResponse("not an HTTP/1 status line")
        minor, status, reason = match.groups()
        if minor == b"0":
            self.minor = 0
            self.keep_alive = False
        self.status = int(status)
        if reason and _PRINTABLE.fullmatch(reason):
            self.reason = reason
        try:
            HttpResponseParser(self).feed_data(data)
        except HttpParserUpgrade:
            pass
        except HttpParserError as error:
            raise BadResponse(str(error)) from None
        if len(self.headers) + len(self.special) > max_headers:
            raise BadResponse("too many fields")
        if self.special:
            self._judge()

    def on_header(self, name: bytes, value: bytes) -> None:
        """For llhttp, which leaves the blanks behind a value to us (RFC 9112 section 5)."""
        value = value.rstrip(b" \t")
        if RESPONSE_KINDS[name]:
            self.special.append((name, value))
        else:
            self.headers.append((name, value))

    def _judge(self) -> None:
        connection: list[bytes] = []
        for pair in self.special:
            name, value = pair
            kind = RESPONSE_KINDS[name]
            if kind == Kind.CONTENT_LENGTH:
                self.content_length = int(value)
            elif kind == Kind.CONNECTION:
                if value != b"keep-alive" or self.minor == 0:
                    connection.append(value)
            elif kind == Kind.DATE:
                if not self.has_date:
                    self.has_date = True
                    self.headers.append(pair)
            elif kind == Kind.TRANSFER_ENCODING:
                if self.chunked or self.minor == 0 or value.rstrip().lower() != b"chunked":
                    raise BadResponse("a transfer coding other than chunked")
                self.chunked = True
            elif kind == Kind.VIA:
                self.via = value if self.via is None else self.via + b", " + value
            elif kind == Kind.TRAILER:
                self.trailer = value if self.trailer is None else self.trailer + b", " + value
            elif kind == Kind.UPGRADE:
                self.upgrade = value
        self.special = []
        if connection:
            self._read_connection(connection)

    def _read_connection(self, values: list[bytes]) -> None:
        options = {option for value in values for option in list_items(value)}
        if b"close" in options:
            self.keep_alive = False
        elif self.minor == 0 and b"keep-alive" in options:
            self.keep_alive = True
        named = options - HOP_BY_HOP - {b"close"}
        if named:
            self.headers = [pair for pair in self.headers if pair[0].lower() not in named]
            if b"date" in named:
                self.has_date = False
            if b"via" in named:
                self.via = None

    def body_length(self, method: bytes) -> int | None:
        """Bytes of the body, 0 if there can be none, None when chunked or ended by the close (RFC 9112 section 6.3)."""
        if self.status in BODILESS or method == b"HEAD" or self.status < 200:
            return 0
        if self.chunked:
            return None
        return self.content_length


class ResponseMemory:
    """The last response head on a connection: servers repeat themselves as clients do (see HeadMemory)."""

    __slots__ = ("_data", "_head", "_headers")

    def __init__(self) -> None:
        self._data = b""
        self._head = ResponseHead()
        self._headers: tuple[Header, ...] = ()

    def read(self, data: bytes, max_headers: int) -> ResponseHead:
        """The head in `data`, which holds until the next is read; its list of headers is the caller's to keep and edit.

        Raises BadResponse.
        """
        head = self._head
        if data == self._data:
            head.headers = list(self._headers)
            return head
        head = ResponseHead()
        head.read(data, max_headers)
        self._data = data
        self._head = head
        self._headers = tuple(head.headers)
        return head
