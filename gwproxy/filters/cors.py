"""The filter type `cors`: which pages of other origins may call a route and read its answers (Fetch standard, "HTTP
extensions" for CORS).

Rules:

* A preflight is answered here. Nothing behind this filter sees it, no filter and no upstream: it has no credentials.
* What the upstream says of CORS is taken out of every answer, and what this filter says put in its place.
* An origin that is not allowed gets no word of CORS; the browser then keeps the answer from the page. The request has
  still been served: to keep it out is what `block` is for.
* Every answer says `Vary: Origin`, or a cache would hand the answer for one origin to another. With `origins = *` all
  get the same answer.
"""

from __future__ import annotations

from typing import Final

import attrs
from zope.interface import implementer

from gwproxy.config.mistakes import ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.routes import method
from gwproxy.config.values import boolean, duration, list_of, plain, token
from gwproxy.filters.api import Exchange, FilterContext, Header, IRequestFilter, IResponseFilter, Reply, Traits
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, mode_option
from gwproxy.filters.origins import ANY, Origins, is_own_origin, origins
from gwproxy.filters.preflight import Preflight, is_preflight
from gwproxy.http.headers import Headers, KindTable, get, list_items

_PLAIN: Final = 0
_VARY: Final = 1
_CORS: Final = 2

# Origins that a wildcard allows, in one filter: strangers choose them.
_MOST_REMEMBERED: Final = 1024

_VARY_ORIGIN: Final = (b"Vary", b"Origin")
_PREFLIGHT_VARIES_BY: Final = b"Access-Control-Request-Method, Access-Control-Request-Headers"


def _kind(name: bytes) -> int:
    lower = name.lower()
    if lower.startswith(b"access-control-"):
        return _CORS
    return _VARY if lower == b"vary" else _PLAIN


# By spelling. For all filters: what a name means depends on no option.
_KINDS: Final = KindTable(_kind)


def _parse_method(text: str) -> bytes:
    return b"*" if text == ANY else method(text)


def _parse_header(text: str) -> bytes:
    return token(text).encode("ascii")


@attrs.frozen
class Options:
    """`[filter:NAME] type = cors`. It stands ahead of the filters that ask for credentials."""

    origins: tuple[str, ...] = option(
        origins,
        doc="Which pages may call: https://app.example.com, https://*.example.com (one or more labels), or * for all. "
        "Without a path; a port where it is not the scheme's own.",
    )
    methods: tuple[bytes, ...] = option(
        list_of(plain("method", _parse_method, bytes.decode)),
        default=(b"GET", b"HEAD", b"POST"),
        doc="Methods that a preflight may ask for; * for all.",
    )
    headers: tuple[bytes, ...] = option(
        list_of(plain("header name", _parse_header, bytes.decode)),
        default=(b"Content-Type",),
        doc="Request headers that a preflight may ask for, Authorization among them if pages send one; * for all. "
        "Accept, Accept-Language and Content-Language always may.",
    )
    expose: tuple[bytes, ...] = option(
        list_of(plain("header name", _parse_header, bytes.decode)),
        default=(),
        doc="Response headers that pages may read, beside the few that they always may; * for all but Authorization.",
    )
    credentials: bool = option(
        boolean, default=False, doc="Whether pages may call with cookies, HTTP Basic and client certificates."
    )
    max_age: float = option(
        duration, default=600.0, doc="How long a browser may remember the answer to a preflight; 0: not at all."
    )
    private_network: bool = option(
        boolean,
        default=False,
        doc="Whether pages from the internet may call, where the browser asks that for a server in a private network.",
    )
    block: bool = option(
        boolean, default=False, doc="Requests from origins that are neither allowed nor the request's own get 403."
    )
    mode: Mode = mode_option()

    def check_options(self) -> None:
        """What browsers would refuse, or what says one thing and another."""
        if not self.origins:
            raise ConfigMistake("needs at least one origin, or *", "origins")
        _check_any_alone("origins", self.origins)
        _check_any_alone("methods", self.methods)
        _check_any_alone("headers", self.headers)
        _check_any_alone("expose", self.expose)
        if ANY in self.origins and self.credentials:
            raise ConfigMistake(
                "* with credentials would let every site act as its visitors; list the origins", "origins"
            )
        if ANY in self.origins and self.block:
            raise ConfigMistake("blocks nobody with origins = *", "block")
        if b"*" in self.expose and self.credentials:
            raise ConfigMistake("* is no wildcard with credentials; list the headers", "expose")
        if self.max_age != int(self.max_age):
            raise ConfigMistake("must be whole seconds", "max_age")


def _check_any_alone(key: str, values: tuple[str, ...] | tuple[bytes, ...]) -> None:
    if len(values) > 1 and (ANY in values or b"*" in values):
        raise ConfigMistake("* stands alone: it includes the others", key)


@implementer(IRequestFilter, IResponseFilter)
class CorsFilter:
    """Answers preflights; marks all other answers."""

    __slots__ = ("_blocks", "_decisions", "_for_all", "_granted", "_origins", "_preflight", "_preflight_vary", "_rest")

    # The site routes a preflight by the method that it asks for.
    answers_preflight = True

    def __init__(self, options: Options, context: FilterContext) -> None:
        self._decisions = Decisions(context, options.mode, Event.CORS_DENIED)
        self._blocks = options.block
        self._preflight = Preflight(options.methods, options.headers, options.max_age, options.private_network, context)
        rest: list[Header] = []
        if options.credentials:
            rest.append((b"Access-Control-Allow-Credentials", b"true"))
        if options.expose:
            rest.append((b"Access-Control-Expose-Headers", b", ".join(options.expose)))
        self._rest = tuple(rest)
        self._origins = Origins(each for each in options.origins if each != ANY)
        # By origin, what stands on its answers; those that a wildcard allows are remembered as they come.
        self._granted = {each: self._grants(each) for each in self._origins.exact}
        self._for_all = self._grants(b"*") if ANY in options.origins else None
        varies_by = _PREFLIGHT_VARIES_BY if self._for_all is not None else b"Origin, " + _PREFLIGHT_VARIES_BY
        if options.private_network:
            varies_by += b", Access-Control-Request-Private-Network"
        self._preflight_vary = (b"Vary", varies_by)

    def on_request(self, exchange: Exchange) -> Reply | None:
        preflight = exchange.method == b"OPTIONS" and is_preflight(exchange)
        if self._blocks and not self._may_enter(exchange):
            vary = self._preflight_vary if preflight else _VARY_ORIGIN
            denied = self._decisions.deny(exchange, Denial.ORIGIN_DENIED, 403, [vary])
            if denied is not None:
                return denied
        else:
            self._decisions.allowed.value += 1
        return self._preflight.answer(exchange, self._grants_to(exchange), self._preflight_vary) if preflight else None

    def on_response(self, exchange: Exchange) -> None:
        headers = exchange.response_headers
        kinds = _KINDS
        for name, _ in headers:
            if kinds[name]:
                self._clean(headers)
                break
        else:
            if self._for_all is None:
                headers.append(_VARY_ORIGIN)
        granted = self._grants_to(exchange)
        if granted is not None:
            headers += granted

    def _clean(self, headers: Headers) -> None:
        """Takes out what the upstream says of CORS, and lets Vary name Origin once."""
        headers[:] = [pair for pair in headers if _KINDS[pair[0]] != _CORS]
        if self._for_all is None:
            _add_vary(headers)

    def _grants_to(self, exchange: Exchange) -> tuple[Header, ...] | None:
        if self._for_all is not None:
            return self._for_all
        origin = get(exchange.headers, b"origin")
        if origin is None:
            return None
        granted = self._granted.get(origin)
        if granted is None and origin in self._origins:
            granted = self._grants(origin)
            if len(self._granted) < _MOST_REMEMBERED:
                self._granted[origin] = granted
        return granted

    def _grants(self, origin: bytes) -> tuple[Header, ...]:
        return ((b"Access-Control-Allow-Origin", origin), *self._rest)

    def _may_enter(self, exchange: Exchange) -> bool:
        origin = get(exchange.headers, b"origin")
        if origin is None or origin in self._origins or is_own_origin(exchange, origin):
            return True
        # Pages of our own that hide where they are (Referrer-Policy: no-referrer) send null, and this.
        return get(exchange.headers, b"sec-fetch-site") == b"same-origin"


def _add_vary(headers: Headers) -> None:
    """Merges Origin into Vary (RFC 9110 section 12.5.5)."""
    last = None
    for index, (name, value) in enumerate(headers):
        if _KINDS[name] == _VARY:
            last = index
            items = tuple(list_items(value))
            if b"origin" in items or b"*" in items:
                return
    if last is None:
        headers.append(_VARY_ORIGIN)
    else:
        name, value = headers[last]
        headers[last] = (name, value + b", Origin" if value else b"Origin")


def traits(options: Options) -> Traits:
    """Answers preflights, and with `block` keeps out the pages of others."""
    return Traits(cors=True, cheap_guard=True)


def factory(options: Options, context: FilterContext) -> CorsFilter:
    """Keeps nothing."""
    return CorsFilter(options, context)
