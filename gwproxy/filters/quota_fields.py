"""What a client is told of its limit: RateLimit and RateLimit-Policy, and the older X-RateLimit-* fields.

`RateLimit: "name";r=9;t=2` and `RateLimit-Policy: "name";q=10;w=2` are structured fields (RFC 9651), lists with an item
for each limit: draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4. Times are whole seconds from now.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from gwproxy.filters.api import Exchange, Header
from gwproxy.http.headers import Headers

_RATE_LIMIT: Final = b"RateLimit"
_POLICY: Final = b"RateLimit-Policy"
_LIMIT: Final = b"X-RateLimit-Limit"
_REMAINING: Final = b"X-RateLimit-Remaining"
_RESET: Final = b"X-RateLimit-Reset"

_NAMES: Final = frozenset(name.lower() for name in (_RATE_LIMIT, _POLICY, _LIMIT, _REMAINING, _RESET))

Fields = list[Header]


class QuotaFields:
    """The fields of one limit."""

    __slots__ = ("_limit", "_name", "_policy", "of")

    def __init__(self, name: str, quota: int, window: int) -> None:
        """`quota` requests in `window` seconds. `name` is a filter's, in which nothing needs to be escaped."""
        self._name = b'"%b"' % name.encode()
        self._policy = (_POLICY, b"%b;q=%d;w=%d" % (self._name, quota, window))
        self._limit = (_LIMIT, b"%d" % quota)
        # of(remaining, reset): the fields, `reset` seconds before all of the quota is there again. Most are asked for
        # over and over.
        self.of = lru_cache(maxsize=1024)(self._make)

    def _make(self, remaining: int, reset: int) -> Fields:
        return [
            (_RATE_LIMIT, b"%b;r=%d;t=%d" % (self._name, remaining, reset)),
            self._policy,
            self._limit,
            (_REMAINING, b"%d" % remaining),
            (_RESET, b"%d" % reset),
        ]


class Telling:
    """What the answers of exchanges will say, from `tell()` until they are done: hooks of a filter."""

    __slots__ = ("_fields_of", "_told")

    def __init__(self, fields_of: Callable[[int, int], Fields]) -> None:
        self._fields_of = fields_of
        self._told: dict[int, Fields] = {}  # by id of the exchange

    def __len__(self) -> int:
        return len(self._told)

    def tell(self, exchange: Exchange, remaining: int, reset: int) -> None:
        """To be said by the answer of `exchange`."""
        self._told[id(exchange)] = self._fields_of(remaining, reset)

    def on_response(self, exchange: Exchange) -> None:
        """IResponseFilter"""
        fields = self._told.get(id(exchange))
        if fields is not None:
            put_fields(exchange.response_headers, fields)

    def on_done(self, exchange: Exchange) -> None:
        """IDoneFilter"""
        self._told.pop(id(exchange), None)


def put_fields(headers: Headers, fields: Fields) -> None:
    """Adds the fields, in place of an upstream's, and beside those of other limits here."""
    for name, _ in headers:
        if name.lower() in _NAMES:
            _merge(headers, fields)
            return
    headers += fields


def _merge(headers: Headers, fields: Fields) -> None:
    # Ours have these very names, whoever made them; an upstream's have equal ones.
    headers[:] = [pair for pair in headers if pair[0].lower() not in _NAMES or _is_ours(pair[0])]
    others = [int(value) for name, value in headers if name is _REMAINING]
    old_style = (_LIMIT, _REMAINING, _RESET)
    if not others:
        headers += fields
        return
    # The older fields can tell of one limit only: of the one that is nearer.
    if int(fields[3][1]) < others[0]:
        headers[:] = [pair for pair in headers if pair[0] not in old_style]
        headers += fields
    else:
        headers += fields[:2]


def _is_ours(name: bytes) -> bool:
    return any(name is own for own in (_RATE_LIMIT, _POLICY, _LIMIT, _REMAINING, _RESET))
