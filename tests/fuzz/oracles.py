"""What must hold for any bytes: our parsers raise nothing but their own errors, do not mind how the bytes are cut, and
read what they take as h11 does. h11 is the oracle because it shares no code with llhttp or with us.
"""

from __future__ import annotations

from typing import NamedTuple

import h11

from gwproxy.errors import BadResponse, ClientError
from gwproxy.http.framing import END, ChunkedDecoder, HeadReader, ResponseHeadReader
from gwproxy.http.headers import HOP_BY_HOP, Headers
from gwproxy.http.host import parse_host
from gwproxy.http.request import HeadLimits, RequestHead
from gwproxy.http.response import ResponseHead
from gwproxy.http.target import parse_target

_LIMITS = HeadLimits()
_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class Body(NamedTuple):
    """A chunked body that was read to its end."""

    data: bytes
    trailers: int
    rest: bytes


def read_chunked(pieces: list[bytes]) -> Body | None:
    """As the gateway reads it; None if it is refused or not whole."""
    decoder = ChunkedDecoder()
    data = b""
    for number, piece in enumerate(pieces):
        try:
            data += b"".join(decoder.feed(piece))
        except ClientError:
            return None
        if decoder.done:
            return Body(data, len(decoder.trailers), decoder.rest + b"".join(pieces[number + 1 :]))
    return None


def h11_chunked(raw: bytes) -> Body | None:
    """As h11 reads it; None if it refuses it, or it is not whole."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(_HEAD + raw)
    data = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                data += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Body(data, len(event.headers), connection.trailing_data[0])
            elif not isinstance(event, h11.Request):
                return None
    except h11.RemoteProtocolError:
        return None


def check_chunked(pieces: list[bytes]) -> bool:
    """Whether it is taken; AssertionError if it is not read as others read it."""
    raw = b"".join(pieces)
    ours = read_chunked(pieces)
    assert ours == read_chunked([raw]), "how it is cut makes a difference"
    if ours is not None:
        assert ours == h11_chunked(raw), "h11 reads another body"
    return ours is not None


def check_request(pieces: list[bytes]) -> bool:
    """The same for a request's head, collected and judged."""
    raw = b"".join(pieces)
    end = raw.find(END) + 4
    head = RequestHead()
    accepted = end >= 4
    if accepted:
        try:
            head.read(raw[:end], _LIMITS)
            parse_target(head.method, head.target)
            if head.host is not None:
                parse_host(head.host)
        except ClientError:
            accepted = False
    collected = _collect(pieces)
    if collected is not None:
        assert collected == (raw[:end], raw[end:]), "what is collected is not the head and what follows it"
    if accepted:
        assert collected is not None, "refused because of how it is cut"
        _compare(head, raw)
    return accepted


def _collect(pieces: list[bytes]) -> tuple[bytes, bytes] | None:
    reader = HeadReader(_LIMITS.max_header_size, _LIMITS.max_target)
    for number, piece in enumerate(pieces):
        try:
            found = reader.feed(piece)
        except ClientError:
            return None
        if found is not None:
            return found[0], found[1] + b"".join(pieces[number + 1 :])
    return None


def _compare(head: RequestHead, raw: bytes) -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw[: raw.find(END) + 4])
    event = connection.next_event()
    assert isinstance(event, h11.Request), event
    assert (event.method, event.target) == (head.method, head.target)
    assert event.http_version == b"1.%d" % head.minor
    fields = list(event.headers)
    _contains(fields, head.headers)
    hosts = [value for name, value in fields if name == b"host"]
    assert hosts == ([] if head.host is None else [head.host])
    lengths = [int(value) for name, value in fields if name == b"content-length"]
    assert lengths == ([] if head.content_length is None else [head.content_length])
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    assert codings == ([b"chunked"] if head.chunked else [])
    assert not (head.chunked and lengths)


def check_response(pieces: list[bytes]) -> bool:
    """The same for a response's head."""
    raw = b"".join(pieces)
    end = raw.find(END) + 4
    reader = ResponseHeadReader(64 * 1024)
    collected: tuple[bytes, bytes] | None = None
    try:
        for number, piece in enumerate(pieces):
            found = reader.feed(piece)
            if found is not None:
                collected = found[0], found[1] + b"".join(pieces[number + 1 :])
                break
    except BadResponse:
        pass
    if collected is not None:
        assert collected == (raw[:end], raw[end:])
    head = ResponseHead()
    try:
        head.read(raw[:end] if end >= 4 else raw, 200)
    except BadResponse:
        return False
    if end < 4:
        return False
    assert collected is not None, "refused because of how it is cut"
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a"), ("Upgrade", "x")]))
    connection.send(h11.EndOfMessage())
    # An odd reason phrase is tolerated, and not passed on (CORRECTNESS M8).
    line = b"HTTP/1.%d %d OK" % (head.minor, head.status)
    connection.receive_data(line + raw[raw.find(b"\r\n") : end])
    event = connection.next_event()
    assert isinstance(event, h11.Response | h11.InformationalResponse), event
    assert event.status_code == head.status
    fields = list(event.headers)
    _contains(fields, head.headers)
    if head.chunked:
        assert [value.lower() for name, value in fields if name == b"transfer-encoding"] == [b"chunked"]
    lengths = [int(value) for name, value in fields if name == b"content-length"]
    assert lengths == ([] if head.content_length is None else [head.content_length])
    return True


def _contains(theirs: list[tuple[bytes, bytes]], ours: Headers) -> None:
    """Our end-to-end fields are theirs, those of one name in the same order, and none is of this hop only."""
    for name in {name.lower() for name, _ in ours}:
        assert name not in HOP_BY_HOP
        # llhttp leaves a tab at the end of a value, which whoever reads it takes off (RFC 9110 section 5.5).
        rest = iter([value for field, value in theirs if field == name])
        for field, value in ours:
            assert field.lower() != name or value.rstrip(b"\t ") in rest, f"{field!r}: {value!r}, not in {theirs}"
