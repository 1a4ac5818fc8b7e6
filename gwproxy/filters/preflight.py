"""The answer to a CORS preflight (Fetch standard, "CORS-preflight fetch"): may this page send that request?

Rules:

* The answer is all or nothing: a page that may not send the request gets an answer without any Access-Control-Allow-*.
* What is asked for is named in full. `*` in an answer means nothing with credentials, and does not cover Authorization.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gwproxy.filters.api import Exchange, FilterContext, Header, Reply
from gwproxy.http.headers import TOKEN, get, list_items

ANY: Final = b"*"

_YES: Final = b"true"
_IS_LIST: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z, \t]*").fullmatch

# Browsers ask for these only with a value out of the ordinary; every API takes them.
_ALWAYS_ALLOWED: Final = frozenset({b"accept", b"accept-language", b"content-language"})


def is_preflight(exchange: Exchange) -> bool:
    """Whether a request is one. That it is an OPTIONS is for the caller to look at."""
    headers = exchange.headers
    return get(headers, b"access-control-request-method") is not None and get(headers, b"origin") is not None


class Preflight:
    """What pages of allowed origins may send, and how that is told."""

    __slots__ = ("_also", "_headers", "_headers_field", "_methods", "_methods_field", "_private_network", "_results")

    def __init__(
        self,
        methods: Iterable[bytes],
        headers: Iterable[bytes],
        max_age: float,
        private_network: bool,
        context: FilterContext,
    ) -> None:
        """`methods` and `headers` (in any case) may be `*` alone. `max_age` in seconds, cut to whole ones."""
        methods, headers = tuple(methods), tuple(headers)
        self._methods = None if ANY in methods else frozenset(methods)
        self._methods_field = b", ".join(methods)
        self._headers = None if ANY in headers else frozenset(name.lower() for name in headers) | _ALWAYS_ALLOWED
        self._headers_field = b", ".join(headers)
        self._private_network = private_network
        self._also: list[Header] = [(b"Access-Control-Max-Age", b"%d" % max_age)]
        self._results = {
            result: context.meters.counter(
                "cors_preflights", "CORS preflights answered.", filter=context.name, result=result
            )
            for result in ("allowed", "origin", "method", "header")
        }

    def answer(self, exchange: Exchange, granted: Iterable[Header] | None, vary: Header) -> Reply:
        """`granted`: what an allowed origin gets on any answer; None: the origin is not allowed."""
        refused, fields = self._judge(exchange) if granted is not None else ("origin", [])
        self._results[refused or "allowed"].value += 1
        if refused or granted is None:
            return Reply(204, [vary], b"")
        return Reply(204, [*granted, *fields, *self._also, vary], b"")

    def _judge(self, exchange: Exchange) -> tuple[str, list[Header]]:
        """What of the request is refused, or nothing; and what else is granted."""
        method = get(exchange.headers, b"access-control-request-method") or b""
        if not TOKEN.fullmatch(method) or (self._methods is not None and method not in self._methods):
            return "method", []
        fields = [(b"Access-Control-Allow-Methods", method if self._methods is None else self._methods_field)]
        asked = get(exchange.headers, b"access-control-request-headers") or b""
        if self._headers is None:
            if not _IS_LIST(asked):
                return "header", []
            if asked:
                fields.append((b"Access-Control-Allow-Headers", asked))
        elif all(name in self._headers for name in list_items(asked)):
            if self._headers_field:
                fields.append((b"Access-Control-Allow-Headers", self._headers_field))
        else:
            return "header", []
        if self._private_network and get(exchange.headers, b"access-control-request-private-network") == _YES:
            fields.append((b"Access-Control-Allow-Private-Network", _YES))
        return "", fields
