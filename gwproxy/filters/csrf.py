"""The filter type `csrf`: requests that change something and carry a cookie must come from a page of ours.

A browser adds a site's cookies to every request that goes there, whichever page made it. What tells is what the browser
itself says of the page, and no page can change: Origin, and Sec-Fetch-Site (Fetch Metadata).

Rules, the first that fits decides:

1. Safe methods (RFC 9110 section 9.2.1) pass, but not the handshake of a WebSocket: a GET that opens both ways.
2. Requests without the cookie pass: nothing in them speaks for a user who does not know of it.
3. A listed Origin passes. Without an Origin, that of the Referer stands for it.
4. Sec-Fetch-Site: `same-origin` and `none` (the user did it: a bookmark, the address bar) pass; `same-site`,
   `cross-site` and what is unknown are denied.
5. Without it, an Origin passes that is the request's own: its scheme and Host. Others, `null` too, are denied.
6. With none of them, it was no browser of these years, or somebody took them out: `missing` says.
"""

from __future__ import annotations

from typing import Final

import attrs
from zope.interface import implementer

from gwproxy.config.mistakes import ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.values import boolean, choice, plain, token
from gwproxy.filters.api import Exchange, FilterContext, IRequestFilter, Reply, Traits
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, mode_option
from gwproxy.filters.origins import ANY, Origins, is_own_origin, origin_of_url, origins
from gwproxy.http.cookies import cookie_values
from gwproxy.http.headers import get, get_all

_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
_OWN_SITE: Final = frozenset({b"same-origin", b"none"})


def _parse_cookie(text: str) -> str:
    return token(text) if text else ""


@attrs.frozen
class Options:
    """`[filter:NAME] type = csrf`. It stands ahead of the cookie_to_header filter, which takes the cookie away."""

    origins: tuple[str, ...] = option(
        origins,
        default=(),
        doc="Origins of other pages that may make such requests, as in https://app.example.com or "
        "https://*.example.com. The request's own origin always may.",
    )
    cookie: str = option(
        plain("cookie name", _parse_cookie),
        default="",
        doc="Only requests with this cookie are checked; empty: those with any cookie.",
    )
    always: bool = option(
        boolean,
        default=False,
        doc="Requests without a cookie are checked too: for HTTP Basic and client certificates, which browsers add "
        "by themselves as they do cookies.",
    )
    missing: str = option(
        choice(("deny", "allow")),
        default="deny",
        doc="What happens to a request that has neither Origin, Referer nor Sec-Fetch-Site: programs, old browsers.",
    )
    mode: Mode = mode_option()

    def check_options(self) -> None:
        """`*` would be no check."""
        if ANY in self.origins:
            raise ConfigMistake("* would allow every site what this filter is to deny; list the origins", "origins")
        if self.always and self.cookie:
            raise ConfigMistake("checks all requests with always = yes; a cookie makes no difference then", "cookie")


@implementer(IRequestFilter)
class CsrfFilter:
    """Denies with 403."""

    __slots__ = ("_always", "_cookie", "_decisions", "_missing_passes", "_origins")

    def __init__(self, options: Options, context: FilterContext) -> None:
        self._origins = Origins(options.origins)
        self._cookie = options.cookie.encode("ascii")
        self._always = options.always
        self._missing_passes = options.missing == "allow"
        self._decisions = Decisions(context, options.mode, Event.CSRF_DENIED)

    def on_request(self, exchange: Exchange) -> Reply | None:
        safe = exchange.method in _SAFE and get(exchange.headers, b"sec-websocket-key") is None
        if safe or not self._applies(exchange) or self._is_ours(exchange):
            self._decisions.allowed.value += 1
            return None
        return self._decisions.deny(exchange, Denial.ORIGIN_DENIED, 403)

    def _applies(self, exchange: Exchange) -> bool:
        if self._always:
            return True
        if self._cookie:
            return bool(cookie_values(exchange.headers, self._cookie))
        return get(exchange.headers, b"cookie") is not None

    def _is_ours(self, exchange: Exchange) -> bool:
        headers = exchange.headers
        sources = get_all(headers, b"origin")
        if len(sources) > 1:
            return False  # no browser sends two
        if sources:
            source: bytes | None = sources[0]
        else:
            referer = get(headers, b"referer")
            source = None if referer is None else origin_of_url(referer) or b"null"
        if source is not None and source in self._origins:
            return True
        site = get(headers, b"sec-fetch-site")
        if site is not None:
            return site in _OWN_SITE
        return self._missing_passes if source is None else is_own_origin(exchange, source)


def traits(options: Options) -> Traits:
    """Makes credentials from cookies safe."""
    return Traits(checks_origin=True)


def factory(options: Options, context: FilterContext) -> CsrfFilter:
    """Keeps nothing."""
    return CsrfFilter(options, context)
