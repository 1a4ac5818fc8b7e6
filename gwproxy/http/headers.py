"""Rules about header fields: what travels end to end, what ends at this hop, how a list of fields is read and edited.

A list of fields is a plain list of raw `(name, value)` pairs in the order received, names' case kept. Names given to
the functions here are lower case; comparing is case-insensitive (RFC 9110 section 5.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

Header = tuple[bytes, bytes]
Headers = list[Header]

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# RFC 9110 section 7.6.1, with the ones that proxies met before it was written (CORRECTNESS H1).
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)

# Fields that no trailer section may carry: framing, routing, authentication, control (RFC 9110 section 6.5.1).
NOT_IN_TRAILERS = HOP_BY_HOP | {
    b"age",
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"expect",
    b"expires",
    b"forwarded",
    b"host",
    b"location",
    b"max-forwards",
    b"pragma",
    b"range",
    b"retry-after",
    b"set-cookie",
    b"vary",
    b"via",
    b"www-authenticate",
}

# Instructions from an application to an nginx-like server; neither obeyed nor shown to clients (CORRECTNESS H9).
INTERNAL_CONTROL = frozenset({b"x-sendfile", b"x-lighttpd-send-file"})


class Kind:
    """What a field means to this hop. PLAIN ones are passed on without a look. Plain ints: an enum costs 5x."""

    PLAIN: Final = 0
    HOST: Final = 1
    CONTENT_LENGTH: Final = 2
    TRANSFER_ENCODING: Final = 3
    CONNECTION: Final = 4
    HOP: Final = 5  # hop-by-hop, dropped without a look
    TE: Final = 6
    TRAILER: Final = 7
    UPGRADE: Final = 8
    EXPECT: Final = 9
    FORWARDING: Final = 10
    REQUEST_ID: Final = 11
    TRACEPARENT: Final = 12
    TRACESTATE: Final = 13
    VIA: Final = 14
    UNDERSCORE: Final = 15
    DATE: Final = 16
    INTERNAL: Final = 17


def _named(names: dict[bytes, int]) -> dict[bytes, int]:
    return dict.fromkeys(HOP_BY_HOP, Kind.HOP) | names


_REQUEST_KINDS = _named(
    {
        b"host": Kind.HOST,
        b"content-length": Kind.CONTENT_LENGTH,
        b"transfer-encoding": Kind.TRANSFER_ENCODING,
        b"connection": Kind.CONNECTION,
        b"te": Kind.TE,
        b"trailer": Kind.TRAILER,
        b"upgrade": Kind.UPGRADE,
        b"expect": Kind.EXPECT,
        b"forwarded": Kind.FORWARDING,
        b"x-real-ip": Kind.FORWARDING,
        b"x-original-url": Kind.FORWARDING,
        b"x-rewrite-url": Kind.FORWARDING,
        b"x-request-id": Kind.REQUEST_ID,
        b"traceparent": Kind.TRACEPARENT,
        b"tracestate": Kind.TRACESTATE,
        b"via": Kind.VIA,
    }
)

_RESPONSE_KINDS = _named(
    {
        b"content-length": Kind.CONTENT_LENGTH,
        b"transfer-encoding": Kind.TRANSFER_ENCODING,
        b"connection": Kind.CONNECTION,
        b"trailer": Kind.TRAILER,
        b"upgrade": Kind.UPGRADE,
        b"via": Kind.VIA,
        b"date": Kind.DATE,
        b"x-request-id": Kind.REQUEST_ID,
    }
)


def _request_kind(name: bytes) -> int:
    lower = name.lower()
    kind = _REQUEST_KINDS.get(lower)
    if kind is not None:
        return kind
    if lower.startswith(b"x-forwarded-"):
        return Kind.FORWARDING
    if b"_" in lower:
        # An upstream that speaks CGI reads `X_Forwarded_For` as `X-Forwarded-For`: never let the twin pass (F7).
        twin = lower.replace(b"_", b"-")
        return Kind.FORWARDING if _request_kind(twin) != Kind.PLAIN else Kind.UNDERSCORE
    return Kind.PLAIN


def _response_kind(name: bytes) -> int:
    lower = name.lower()
    kind = _RESPONSE_KINDS.get(lower)
    if kind is not None:
        return kind
    if lower in INTERNAL_CONTROL or lower.startswith(b"x-accel-"):
        return Kind.INTERNAL
    return Kind.PLAIN


class KindTable(dict[bytes, int]):
    """Name as written -> Kind, worked out once a spelling. Bounded: strangers choose the names."""

    __slots__ = ("_classify",)
    _LIMIT: Final = 4096

    def __init__(self, classify: Callable[[bytes], int]) -> None:
        super().__init__()
        self._classify = classify

    def __missing__(self, name: bytes) -> int:
        kind = self._classify(name)
        if len(self) >= self._LIMIT:
            self.clear()
        if len(name) <= 64:
            self[name] = kind
        return kind


REQUEST_KINDS = KindTable(_request_kind)
RESPONSE_KINDS = KindTable(_response_kind)


def get(headers: Iterable[Header], name: bytes) -> bytes | None:
    """The first value of the field `name` (lower case), or None."""
    length = len(name)
    for field, value in headers:
        if len(field) == length and field.lower() == name:
            return value
    return None


def get_all(headers: Iterable[Header], name: bytes) -> list[bytes]:
    """All values of the field `name` (lower case), in order."""
    return [value for field, value in headers if field.lower() == name]


def remove(headers: Headers, name: bytes) -> None:
    """Takes every field `name` (lower case) out of the list, in place."""
    if any(field.lower() == name for field, _ in headers):
        headers[:] = [pair for pair in headers if pair[0].lower() != name]


def add_header(headers: Headers, name: bytes, value: bytes) -> None:
    """Appends a field, beside others of the same name."""
    headers.append((name, value))


def set_header(headers: Headers, name: bytes, value: bytes) -> None:
    """Makes `name` (any case) stand once with this value: in the place of the first one, or at the end."""
    lower = name.lower()
    place = next((i for i, pair in enumerate(headers) if pair[0].lower() == lower), None)
    if place is None:
        headers.append((name, value))
        return
    headers[place] = (name, value)
    headers[place + 1 :] = [pair for pair in headers[place + 1 :] if pair[0].lower() != lower]


def list_items(value: bytes) -> Iterator[bytes]:
    """The members of a comma-separated list, lower case, without blanks (RFC 9110 section 5.6.1)."""
    for item in value.lower().split(b","):
        item = item.strip(b" \t")
        if item:
            yield item


def _may_trail(name: bytes) -> bool:
    """Neither framing, routing nor authentication (CORRECTNESS T2), nor forwarding fields and their twins with `_`:
    there are servers that merge trailers into the head."""
    return name.lower() not in NOT_IN_TRAILERS and REQUEST_KINDS[name] != Kind.FORWARDING


def trailer_names(value: bytes | None) -> frozenset[bytes]:
    """The fields that a `Trailer` value announces and that may stand in a trailer section."""
    return frozenset() if value is None else frozenset(filter(_may_trail, list_items(value)))


def allowed_trailers(trailers: Headers) -> Headers:
    """The trailer fields without those that may not stand there."""
    return [pair for pair in trailers if _may_trail(pair[0])]
