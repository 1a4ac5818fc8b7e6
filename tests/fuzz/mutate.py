"""Bytes that are nearly HTTP: pieces of valid messages, bent by what has fooled parsers before."""

from __future__ import annotations

import itertools
from random import Random
from typing import Final

REQUESTS: Final = [
    b"GET /a?b=c HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nabcde",
    b"POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nabcde\r\n0\r\nT: 1\r\n\r\n",
    b"PUT http://b.test:80/a HTTP/1.1\r\nhost: [::1]:80\r\nExpect: 100-continue\r\nConnection: x\r\nX: 1\r\n\r\n",
    b"GET /%41/./b HTTP/1.0\r\nUser-Agent: \xff\r\nVia: 1.1 x\r\nX-Forwarded-For: 1.1.1.1\r\nUpgrade: h2c\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\nTE: trailers\r\nTrailer: T\r\ntraceparent: 00-1-2-3\r\n\r\n",
]
RESPONSES: Final = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\nDate: x\r\n\r\n2\r\nok\r\n0\r\nT: 1\r\n\r\n",
    b"HTTP/1.0 200\r\nConnection: keep-alive\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 404 N\xf6t\r\nVia: 1.0 y\r\nConnection: close, X\r\nX: 1\r\nX-Accel-Redirect: /\r\n\r\n",
]
CHUNKED: Final = [
    b"5\r\nabcde\r\n0\r\n\r\n",
    b"1\r\na\r\n00A;x=y\r\n0123456789\r\n0;z\r\nT: 1\r\nU:2\r\n\r\nGET ",
    b"f\r\n0\r\n\r\n0\r\n\r\n12345\r\n000\r\n\r\n0\r\n\r\n",
]

_DICTIONARY: Final = [
    *[b"\r\n", b"\n", b"\r", b"\r\r\n", b"\r\n\r\n", b"\n\n", b" ", b"\t", b"\x00", b"\x0b", b"\xff", b":", b",", b";"],
    *[
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: b\r\n",
        b"Connection: Host\r\n",
        b" folded\r\n",
    ],
    *[
        b"chunked",
        b"0",
        b"+",
        b"-",
        b"0x",
        b"_",
        b"ffffffffffffffff",
        b"99999999999999999999",
        b"HTTP/1.1",
        b"HTTP/2.0",
    ],
    *[
        b"%00",
        b"%2e%2e",
        b"//",
        b"..",
        b"#",
        b"@",
        b"[",
        b"]",
        b'"',
        b"\\",
        b"GET ",
        b"0\r\n\r\n",
        b"\x85",
        b"\xc2\xa0",
    ],
]


def mutated(random: Random, seeds: list[bytes]) -> bytes:
    """One of the seeds, or two joined, with up to six changes."""
    data = random.choice(seeds)
    if random.random() < 0.2:
        data += random.choice(seeds)
    for _ in range(random.choice([0, 1, 1, 1, 2, 2, 3, 6])):
        at = random.randint(0, len(data))
        kind = random.randrange(6)
        if kind == 0:
            data = data[:at] + random.choice(_DICTIONARY) + data[at:]
        elif kind == 1:
            data = data[:at] + random.choice(_DICTIONARY) + data[at + random.randint(1, 4) :]
        elif kind == 2:
            data = data[:at] + data[at + random.randint(1, 3) :]
        elif kind == 3:
            data = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
        elif kind == 4:
            end = at + random.randint(1, 20)
            data = data[:end] + data[at:end] + data[end:]
        else:
            other = random.choice(seeds)
            data = data[:at] + other[random.randint(0, len(other)) :]
    return data


def pieces(random: Random, data: bytes) -> list[bytes]:
    """`data` as a socket might give it; whole, byte by byte, or cut anywhere."""
    if not data or random.random() < 0.2:
        return [data]
    if random.random() < 0.2:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted({0, len(data), *[random.randrange(len(data)) for _ in range(random.randint(1, 5))]})
    return [data[start:end] for start, end in itertools.pairwise(cuts)]
