"""The head of a request: parsed by llhttp, judged strictly, split into what this hop uses and what travels on.

`RequestHead.headers` has the end-to-end fields only, as received and in order. Host, framing, hop-by-hop, forwarding
and tracing fields are taken out into attributes, so that nobody downstream can pass them on by accident.
"""

from __future__ import annotations

import re

import attrs
from httptools import HttpParserError, HttpParserInvalidURLError, HttpParserUpgrade, HttpRequestParser

from gwproxy.errors import (
    BadFraming,
    BadHost,
    BadRequest,
    BadTarget,
    HeadTooLarge,
    MethodNotAllowed,
    TargetTooLong,
    UnknownExpectation,
    UnknownTransferCoding,
    UnknownVersion,
)
from gwproxy.http.headers import HOP_BY_HOP, REQUEST_KINDS, Header, Headers, Kind, list_items

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([^\x00-\x20\x7f]+) HTTP/1\.([01])\r\n")
_OTHER_VERSION = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} [^\x00-\x20\x7f]+ HTTP/[0-9]+\.[0-9]+\r\n")

# llhttp knows some forty methods by name; for others it is shown a GET, since only the name differs.
_KNOWN_TO_LLHTTP = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"})

# Larger heads are rare, and a client that idles must not hold so much of the memory (SCORECARD C5).
MAX_REMEMBERED = 4096
_NEVER_SERVED = frozenset({b"CONNECT", b"TRACE"})

# Connection options that name no field to be removed, or one that is removed anyway.
_OPTIONS = frozenset({b"close", b"keep-alive", b"upgrade"}) | HOP_BY_HOP


@attrs.frozen
class HeadLimits:
    """Bounds on a request head: bytes of all fields, number of fields, bytes of the target, `_` in names."""

    max_header_size: int = 32 * 1024
    max_headers: int = 100
    max_target: int = 8 * 1024
    underscores: str = "drop"  # drop | reject | keep


class RequestHead:
    """One request head. `read()` fills it; what was read before a refusal stays, for the log."""

    __slots__ = (
        "chunked",
        "content_length",
        "expects_continue",
        "forwarding",
        "has_more",
        "headers",
        "host",
        "keep_alive",
        "method",
        "minor",
        "request_id",
        "special",
        "target",
        "te_trailers",
        "traceparent",
        "tracestate",
        "trailer",
        "upgrade",
        "via",
    )

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.minor = 1  # HTTP/1.x
        self.headers: Headers = []
        self.special: Headers = []  # what is not PLAIN, until it is judged
        self.host: bytes | None = None
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = True
        self.expects_continue = False
        self.upgrade: bytes | None = None  # set only if Connection asks for it too (CORRECTNESS U1)
        self.has_more = False  # one that few requests have: TE, Trailer, Expect, ids, Via
        self.te_trailers = False
        self.trailer: bytes | None = None
        self.forwarding: Headers | None = None  # X-Forwarded-*, Forwarded, ...: believed from trusted peers only
        self.request_id: bytes | None = None
        self.traceparent: bytes | None = None
        self.tracestate: bytes | None = None
        self.via: bytes | None = None

    def read(self, data: bytes, limits: HeadLimits, memory: HeadMemory | None = None) -> None:
        """Parses and judges a whole head, up to and with its empty line. Raises ClientError.

        `memory` is of the connection, for heads that repeat; always with the same limits.
        """
        match = _REQUEST_LINE.match(data)
        if match is None:
            raise self._no_request_line(data, limits)
        method, target, minor = match.groups()
        self.method = method
        self.target = target
        if minor == b"0":
            self.minor = 0
            self.keep_alive = False
        if len(target) > limits.max_target:
            raise TargetTooLong()
        if len(data) - match.end() > limits.max_header_size:
            raise HeadTooLarge("too many bytes")
        if method in _NEVER_SERVED:
            raise MethodNotAllowed()
        block = data[match.end() :]
        if memory is not None and memory.recall(self, block):
            return
        self._parse(method, data)
        if len(self.headers) + len(self.special) > limits.max_headers:
            raise HeadTooLarge("too many fields")
        self._judge(limits)
        if memory is not None and len(block) <= MAX_REMEMBERED:
            memory.remember(self, block)

    def _parse(self, method: bytes, data: bytes) -> None:
        try:
            # Only its syntax is llhttp's business: a parser lives for one head, and bodies are read elsewhere.
            HttpRequestParser(self).feed_data(data if method in _KNOWN_TO_LLHTTP else b"GET" + data[len(method) :])
        except HttpParserUpgrade:
            pass
        except HttpParserInvalidURLError as error:
            raise BadTarget(str(error)) from None
        except HttpParserError as error:
            raise self._blame(str(error)) from None

    def on_header(self, name: bytes, value: bytes) -> None:
        """For llhttp, which leaves the blanks behind a value to us (RFC 9112 section 5)."""
        value = value.rstrip(b" \t")
        if REQUEST_KINDS[name]:
            self.special.append((name, value))
        else:
            self.headers.append((name, value))

    def _no_request_line(self, data: bytes, limits: HeadLimits) -> Exception:
        if data.find(b"\r\n") > limits.max_target + 43:
            return TargetTooLong()
        if _OTHER_VERSION.match(data) and not data.startswith(b"PRI "):
            return UnknownVersion()
        return BadRequest("not an HTTP/1 request line")

    def _blame(self, text: str) -> Exception:
        if "Content-Length" not in text and "Transfer-Encoding" not in text:
            return BadRequest(text)
        kinds = [REQUEST_KINDS[name] for name, _ in self.special]
        codings = [value.lower() for name, value in self.special if REQUEST_KINDS[name] == Kind.TRANSFER_ENCODING]
        if Kind.CONTENT_LENGTH not in kinds and codings and codings != [b"chunked"]:
            return UnknownTransferCoding(text)
        return BadFraming(text)

    def _judge(self, limits: HeadLimits) -> None:
        """Every rule on single fields (CORRECTNESS F and H)."""
        connection: list[bytes] = []
        upgrade: bytes | None = None
        hosts = 0
        for pair in self.special:
            name, value = pair
            kind = REQUEST_KINDS[name]
            if kind == Kind.HOST:
                hosts += 1
                self.host = value
            elif kind == Kind.CONNECTION:
                connection.append(value)
            elif kind == Kind.CONTENT_LENGTH:
                self.content_length = int(value)
            elif kind == Kind.TRANSFER_ENCODING:
                self._read_transfer_encoding(value)
            elif kind == Kind.FORWARDING:
                if limits.underscores == "reject" and b"_" in name:
                    raise BadRequest("an underscore in a field name")
                if self.forwarding is None:
                    self.forwarding = []
                self.forwarding.append(pair)
            elif kind == Kind.EXPECT:
                self._read_expect(value)
            elif kind == Kind.UPGRADE:
                upgrade = value if upgrade is None else upgrade + b", " + value
            elif kind == Kind.TE:
                self.has_more = True
                self.te_trailers = self.te_trailers or b"trailers" in list_items(value)
            elif kind == Kind.UNDERSCORE:
                if limits.underscores == "reject":
                    raise BadRequest("an underscore in a field name")
                if limits.underscores == "keep":
                    self.headers.append(pair)
            else:
                self._read_single(kind, value)
        self.special = []
        if hosts != 1 and (hosts > 1 or self.minor):
            raise BadHost("no Host" if not hosts else "more than one Host")
        if connection:
            self._read_connection(connection, upgrade)

    def _read_single(self, kind: int, value: bytes) -> None:
        """Fields of which the first counts, and via, whose lines are one list."""
        self.has_more = True
        if kind == Kind.REQUEST_ID:
            self.request_id = self.request_id or value
        elif kind == Kind.TRACEPARENT:
            # Two of them are none: which one holds is not ours to guess (W3C Trace Context section 3.2).
            self.traceparent = value if self.traceparent is None else b""
        elif kind == Kind.TRACESTATE:
            self.tracestate = value if self.tracestate is None else self.tracestate + b"," + value
        elif kind == Kind.VIA:
            self.via = value if self.via is None else self.via + b", " + value
        elif kind == Kind.TRAILER:
            self.trailer = value if self.trailer is None else self.trailer + b", " + value

    def _read_transfer_encoding(self, value: bytes) -> None:
        if self.minor == 0:
            raise BadFraming("Transfer-Encoding in HTTP/1.0")
        if self.chunked:
            raise BadFraming("two Transfer-Encoding fields")
        if value.lower() != b"chunked":
            raise UnknownTransferCoding(repr(value[:40]))
        self.chunked = True

    def _read_expect(self, value: bytes) -> None:
        if value.lower() != b"100-continue":
            raise UnknownExpectation(repr(value[:40]))
        self.has_more = True
        self.expects_continue = self.minor == 1

    def _read_connection(self, values: list[bytes], upgrade: bytes | None) -> None:
        """Every option of every Connection line (CORRECTNESS H2); the fields it names end here."""
        options = {option for value in values for option in list_items(value)}
        if b"close" in options:
            self.keep_alive = False
        elif self.minor == 0 and b"keep-alive" in options:
            self.keep_alive = True
        if upgrade and self.minor and b"upgrade" in options:  # not in HTTP/1.0 (RFC 9110 section 7.8)
            self.upgrade = upgrade
        named = options - _OPTIONS
        if not named:
            return
        self.headers = [pair for pair in self.headers if pair[0].lower() not in named]
        if self.forwarding:
            self.forwarding = [pair for pair in self.forwarding if pair[0].lower() not in named] or None
        if b"x-request-id" in named:
            self.request_id = None
        if b"traceparent" in named:
            self.traceparent = None
        if b"tracestate" in named:
            self.tracestate = None
        if b"via" in named:
            self.via = None


class HeadMemory:
    """The fields of the last request on a connection, and what they came to.

    Clients repeat themselves: behind the request line, most heads on a connection are the same bytes as the one before.
    Equal bytes mean the same, so they are neither parsed nor judged again.
    """

    __slots__ = ("_block", "_head", "_headers", "_keep_alive")

    def __init__(self) -> None:
        self._block = b""
        self._head = RequestHead()
        self._headers: tuple[Header, ...] = ()
        self._keep_alive = True

    def remember(self, head: RequestHead, block: bytes) -> None:
        """Keeps what was read of `block`. What exchanges change of a head is kept apart from it."""
        self._block = block
        self._head = head
        self._headers = tuple(head.headers)
        self._keep_alive = head.keep_alive

    def recall(self, head: RequestHead, block: bytes) -> bool:
        """Fills in `head` if `block` is the one remembered, in the same version of HTTP; says whether it did."""
        before = self._head
        if block != self._block or head.minor != before.minor:
            return False
        head.headers = list(self._headers)
        head.keep_alive = self._keep_alive
        head.host = before.host
        head.content_length = before.content_length
        head.chunked = before.chunked
        head.expects_continue = before.expects_continue
        head.upgrade = before.upgrade
        head.has_more = before.has_more
        head.te_trailers = before.te_trailers
        head.trailer = before.trailer
        head.forwarding = before.forwarding
        head.request_id = before.request_id
        head.traceparent = before.traceparent
        head.tracestate = before.tracestate
        head.via = before.via
        return True
