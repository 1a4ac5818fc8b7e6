"""Requests that are nearly right: the ways in which two programs come to read the same bytes differently.

`cases()` gives what one client sends on one connection: up to three requests, some of them bent, cut into segments. The
same seed gives the same bytes. `understood()` is another reader of them, h11, that shares no code with the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import h11

SMUGGLED = b"GET /up/smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"

_BLANKS = [b" ", b"\t", b"  ", b"\x0b", b"\x0c", b"\x00", b"\xa0", b"\r", b"\n", b"\r\n ", b"\r\n\t", b"\x85"]
_LENGTHS = [
    *[
        b"0",
        b"5",
        b"05",
        b"+5",
        b"-5",
        b"-0",
        b"0x5",
        b"5 ",
        b" 5",
        b"5,5",
        b"5, 5",
        b"5,6",
        b"5 5",
        b"5;",
        b"",
        b"\t5",
    ],
    *[b"5\x00", b"5\x0b", b"5\r", b"5.0", b"5e0", b"5_0", b"\xb2", b"4294967301", b"18446744073709551621", b"9" * 30],
]
_CODINGS = [
    *[b"chunked", b"Chunked", b"CHUNKED", b" chunked", b"chunked ", b"\tchunked", b"chunked\t", b"\x0bchunked"],
    *[b"chunked\x0b", b"chunked\x00", b"xchunked", b"chunkedx", b"chunked, identity", b"identity, chunked"],
    *[b"gzip, chunked", b"chunked, chunked", b",chunked", b"chunked,", b"chunked;q=1", b'"chunked"', b"identity"],
    *[b"", b"chun\r\n ked", b"\r\n chunked", b"chunked\r\n ", b"c\xc4\xb0hunked", b"chunked\xa0", b"cow"],
]
_HOSTS = [
    *[b"", b"a.test", b"b.test", b"a.test, b.test", b"a.test b.test", b"user@a.test", b"a.test/x", b"a.test:80:80"],
    *[b"a.test:", b"a.test:0", b"a..test", b"a.test\x00", b"a.test#", b"a.test?", b"[::1]", b"[::1", b"\ta.test"],
]
_EXPECTS = [b"100-continue", b"100-Continue", b"100-continue, x", b"200-ok", b"", b"100-continue ", b"100-continu\x00e"]
_CONNECTIONS = [
    *[b"close", b"keep-alive", b"Content-Length", b"Transfer-Encoding", b"Host", b"close, Transfer-Encoding", b"TE"],
    *[b"upgrade", b"Upgrade, HTTP2-Settings", b"X-Real", b",,", b"", b"keep-alive, close"],
]
_FRAMING_NAMES = [
    *[
        b"Content-Length",
        b"content-length",
        b"Content_Length",
        b"Content-Length ",
        b" Content-Length",
        b"Content Length",
    ],
    *[
        b"Transfer-Encoding",
        b"transfer-encoding",
        b"Transfer_Encoding",
        b"Transfer-Encoding\t",
        b"\x00Transfer-Encoding",
    ],
    *[b"Transfer Encoding", b"Transfer-Encoding\x0b", b"\xefTransfer-Encoding", b"X: y\rTransfer-Encoding", b"TE"],
]
_SIZES = [
    *[
        b"5",
        b"05",
        b"0005",
        b"0x5",
        b"+5",
        b"-5",
        b" 5",
        b"5 ",
        b"5\t",
        b"5;",
        b"5;a",
        b"5;a=b",
        b'5;a="\r\n"',
        b"5;\n",
    ],
    *[
        b"5\n",
        b"5\r",
        b"5\x00",
        b"5;a\x00",
        b"5;a\n5",
        b"",
        b"g",
        b"5g",
        b"fffffffffffffff0",
        b"10000000000000005",
        b"4",
    ],
    *[b"6", b"00000000000000000005", b"5;" + b"x" * 2000, b"5 ;a", b"5\r\n\r\n"],
]
_TARGETS = [
    *[b"/up/x", b"/up//x", b"/up/%2e%2e/x", b"/up/../up/x", b"/up/x#f", b"/up/\x00", b"/up/ x", b"/up/x?\r", b"*"],
    *[
        b"http://a.test/up/x",
        b"http://b.test/up/x",
        b"http://a.test@b.test/up/x",
        b"a.test:80",
        b"/up/\xff",
        b"/up/x\x0b",
    ],
    *[b"//a.test/up/x", b"http:///up/x", b"/up/%00", b"/up/%zz", b"\\up\\x", b"/up/x\tHTTP/1.1", b""],
]
_VERSIONS = [
    *[
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/1.2",
        b"HTTP/0.9",
        b"HTTP/2.0",
        b"http/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.10",
        b"HTTP/11",
    ],
    *[b"", b"HTTP/1.1\x00", b"HTTP/01.1", b"HTTP/1,1", b"HTTPS/1.1"],
]
_METHODS = [
    b"GET",
    b"POST",
    b"PUT",
    b"OPTIONS",
    b"PROPFIND",
    b"get",
    b"GE T",
    b"G\x00T",
    b"CONNECT",
    b"TRACE",
    b"",
    b"PRI",
]
_TRAILERS = [b"", b"", b"X-T: 1\r\n", b"Content-Length: 5\r\n", b"X : 1\r\n", b"X: 1\n", b"X\r\n", b" folded\r\n"]
_ODD_LINES = [
    *[b"X-Name: a\r\n folded", b"X-Name:\r\n\tfolded", b" leading: 1", b"X-Name", b": 1", b"X Name: 1", b"X-Name : 1"],
    *[b"X-Name: a\rb", b"X-Name: a\nb", b"X-Name: a\x00b", b"Upgrade: websocket", b"Upgrade: h2c", b"X_Name: 1"],
    *[b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", b"X-Forwarded-For: 1.1.1.1", b"Trailer: Content-Length", b"\x00: 1"],
    *[b"TE: trailers", b"TE: chunked", b"Keep-Alive: 5", b"X-Name: " + b"a" * 40, b"X-Real: 1", b"X-\xe9: 1"],
]


@dataclass
class _Shape:
    """A request in its parts, so that each can be bent."""

    method: bytes
    target: bytes
    version: bytes
    lines: list[bytes]
    body: bytes
    line_end: bytes = b"\r\n"
    head_end: bytes = b"\r\n"

    def raw(self) -> bytes:
        first = b" ".join([self.method, self.target, self.version])
        return self.line_end.join([first, *self.lines, b""]) + self.head_end + self.body


def _chunked(random: Random, size: bytes, data: bytes) -> bytes:
    """One chunk and the last one, maybe with a trailer."""
    trailer = random.choice(
        [b"", b"", b"X-T: 1\r\n", b"Content-Length: 5\r\n", b"X : 1\r\n", b"X: 1\n", b"X\r\n", b" f\r\n"]
    )
    return size + b"\r\n" + data + b"\r\n0\r\n" + trailer + b"\r\n"


def _begin(random: Random, target: bytes) -> _Shape:
    """A request that is right, with one of the bodies that hide a request."""
    data = random.choice([b"abcde", SMUGGLED, b"", b"0\r\n\r\n" + SMUGGLED])
    kind = random.choice(["none", "length", "length", "chunked", "chunked"])
    shape = _Shape(random.choice([b"GET", b"POST"]), target, b"HTTP/1.1", [b"Host: a.test"], b"")
    if kind == "length":
        shape.lines.append(b"Content-Length: %d" % len(data))
        shape.body = data
    elif kind == "chunked":
        shape.lines.append(b"Transfer-Encoding: chunked")
        shape.body = _chunked(random, b"%x" % len(data), data) if data else b"0\r\n\r\n"
    return shape


def _insert(random: Random, lines: list[bytes], line: bytes) -> None:
    lines.insert(random.randint(0, len(lines)), line)


def _length_line(random: Random, shape: _Shape) -> None:
    _insert(random, shape.lines, b"Content-Length: " + random.choice(_LENGTHS))


def _coding_line(random: Random, shape: _Shape) -> None:
    _insert(random, shape.lines, b"Transfer-Encoding: " + random.choice(_CODINGS))


def _framing_name(random: Random, shape: _Shape) -> None:
    name = random.choice(_FRAMING_NAMES)
    value = b"5" if b"ength" in name else b"chunked"
    _insert(random, shape.lines, name + random.choice([b": ", b":", b" :"]) + value)


def _host_line(random: Random, shape: _Shape) -> None:
    host = b"Host: " + random.choice(_HOSTS)
    if random.random() < 0.5:
        shape.lines = [line for line in shape.lines if not line.startswith(b"Host:")]
    _insert(random, shape.lines, host)


def _no_host(random: Random, shape: _Shape) -> None:
    shape.lines = [line for line in shape.lines if not line.startswith(b"Host:")]


def _expect_line(random: Random, shape: _Shape) -> None:
    _insert(random, shape.lines, b"Expect: " + random.choice(_EXPECTS))


def _connection_line(random: Random, shape: _Shape) -> None:
    _insert(random, shape.lines, b"Connection: " + random.choice(_CONNECTIONS))


def _odd_line(random: Random, shape: _Shape) -> None:
    _insert(random, shape.lines, random.choice(_ODD_LINES))


def _chunk_size(random: Random, shape: _Shape) -> None:
    shape.lines = [line for line in shape.lines if not line.startswith(b"Content-Length")]
    if not any(line.startswith(b"Transfer-Encoding") for line in shape.lines):
        shape.lines.append(b"Transfer-Encoding: chunked")
    shape.body = _chunked(random, random.choice(_SIZES), b"abcde")


def _blank(random: Random, shape: _Shape) -> None:
    index = random.randrange(len(shape.lines)) if shape.lines else 0
    line = shape.lines.pop(index) if shape.lines else b"X: 1"
    at = random.randint(0, len(line))
    shape.lines.insert(index, line[:at] + random.choice(_BLANKS) + line[at:])


def _line_end(random: Random, shape: _Shape) -> None:
    shape.line_end = random.choice([b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n"])


def _head_end(random: Random, shape: _Shape) -> None:
    shape.head_end = random.choice([b"\n", b"\r", b"", b"\r\r\n", b" \r\n", b"\x00\r\n", b"\n\r\n"])


def _request_line(random: Random, shape: _Shape) -> None:
    part = random.randrange(3)
    if part == 0:
        shape.method = random.choice(_METHODS)
    elif part == 1:
        shape.target = random.choice(_TARGETS)
    else:
        shape.version = random.choice(_VERSIONS)


def _body_size(random: Random, shape: _Shape) -> None:
    shape.body = random.choice(
        [shape.body[:-1], shape.body[1:], shape.body + b"x", shape.body + b"\r\n", shape.body * 2]
    )


def _body_byte(random: Random, shape: _Shape) -> None:
    if shape.body:
        at = random.randrange(len(shape.body))
        shape.body = shape.body[:at] + bytes([random.choice(b"\r\n\x00 0;:aG\xff")]) + shape.body[at + 1 :]


_WAYS: list[Callable[[Random, _Shape], None]] = [
    *[_length_line, _length_line, _coding_line, _coding_line, _framing_name, _host_line, _no_host, _expect_line],
    *[_connection_line, _odd_line, _chunk_size, _chunk_size, _blank, _line_end, _head_end, _request_line],
    *[_body_size, _body_byte],
]


def _bent(random: Random, target: bytes) -> bytes:
    """One request, bent in up to three ways; sometimes a byte anywhere is another one."""
    shape = _begin(random, target)
    for _ in range(random.choice([0, 1, 1, 1, 2, 2, 3])):
        random.choice(_WAYS)(random, shape)
    raw = shape.raw()
    if random.random() < 0.1:
        at = random.randrange(len(raw))
        raw = raw[:at] + bytes([random.randrange(256)]) + raw[at + 1 :]
    return raw


def case(random: Random) -> list[bytes]:
    """What one client sends, in the segments in which it sends it."""
    requests = [_bent(random, b"/up/%d" % number) for number in range(random.choice([1, 1, 2, 3]))]
    raw = b"".join(requests)
    cuts = sorted({random.randint(1, len(raw)) for _ in range(random.choice([0, 0, 0, 1, 2, 3]))} | {len(raw)})
    return [raw[start:end] for start, end in zip([0, *cuts], cuts, strict=False)]


def cases(seed: int, count: int) -> Iterator[list[bytes]]:
    """`count` cases, the same for the same seed."""
    random = Random(seed)
    for _ in range(count):
        yield case(random)


def understood(raw: bytes) -> list[tuple[bytes, bytes]]:
    """Method and body of each whole request in `raw`, as h11 reads them, up to the first mistake."""
    requests: list[tuple[bytes, bytes]] = []
    while raw := raw.lstrip(b"\r\n"):  # RFC 9112 section 2.2 allows an empty line before a request, which h11 does not
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(raw)
        connection.receive_data(b"")
        method, body = b"", b""
        try:
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    method = event.method
                elif isinstance(event, h11.Data):
                    body += event.data
                else:
                    return requests
        except h11.RemoteProtocolError:
            return requests
        requests.append((method, body))
        raw = connection.trailing_data[0]
    return requests
