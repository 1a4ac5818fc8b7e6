"""The filter type `cookie_to_header`: a token that a browser keeps in a cookie goes on as a header field.

Rules:

* A field that is there already, in any case, is never replaced: who sends one means it.
* The cookie goes no further (`strip`), used or not. Other cookies stay as they are, byte for byte.
* Two cookies of the name with different values are no credentials: which one a server would take is chance, and a
  neighbouring host of the same site can set one. Then no field is set, and the request goes on without.
* A value that is no b64token (RFC 6750 section 2.1) is not set either: it could mean anything to who reads the field.
* It lets everything pass. Whether a request needs credentials is for the filters behind it to say.
"""

from __future__ import annotations

import string
from typing import Final

import attrs
from zope.interface import implementer

from gwproxy.config.mistakes import BadValue
from gwproxy.config.options import option
from gwproxy.config.values import boolean, plain, token
from gwproxy.filters.api import Exchange, FilterContext, IRequestFilter, Traits
from gwproxy.http.cookies import cookie_values, remove_cookie
from gwproxy.http.headers import REQUEST_KINDS, TOKEN, Kind

_B64TOKEN: Final = (string.ascii_letters + string.digits + "-._~+/").encode("ascii")


def _is_b64token(value: bytes) -> bool:
    bare = value.rstrip(b"=")
    return bool(bare) and not bare.translate(None, _B64TOKEN)


def _parse_header(text: str) -> str:
    name = text.encode()
    if not TOKEN.fullmatch(name):
        raise BadValue("must be a header name: letters, digits and -, without spaces")
    if REQUEST_KINDS[name] == Kind.UNDERSCORE:
        raise BadValue("must have no _ in it: servers take it for -, and so would read two fields as one")
    if REQUEST_KINDS[name] != Kind.PLAIN or name.lower() == b"cookie":
        raise BadValue("has a meaning of its own for the gateway, and cannot carry a token")
    return text


def _parse_scheme(text: str) -> str:
    return token(text) if text else ""


@attrs.frozen
class Options:
    """`[filter:NAME] type = cookie_to_header`. Give the route a filter of type csrf too, ahead of this one."""

    cookie: str = option(token, default="token", doc="The cookie's name. Its case counts.")
    header: str = option(
        plain("header name", _parse_header),
        default="Authorization",
        doc="The header field that carries the value on. One that the request has already is never replaced.",
    )
    scheme: str = option(
        plain("token", _parse_scheme),
        default="Bearer",
        doc="What stands before the value, with a space between; empty: nothing.",
    )
    strip: bool = option(boolean, default=True, doc="Whether the cookie is taken out of what goes upstream.")


@implementer(IRequestFilter)
class CookieToHeaderFilter:
    """Reads the cookie, takes it out, sets the field."""

    __slots__ = ("_before", "_cookie", "_header", "_length", "_lower", "_take")

    def __init__(self, options: Options) -> None:
        self._cookie = options.cookie.encode("ascii")
        self._header = options.header.encode("ascii")
        self._lower = self._header.lower()
        self._length = len(self._header)
        self._before = options.scheme.encode("ascii") + b" " if options.scheme else b""
        self._take = remove_cookie if options.strip else cookie_values

    def on_request(self, exchange: Exchange) -> None:
        headers = exchange.headers
        values = self._take(headers, self._cookie)
        if not values:
            return
        value = values[0]
        if (len(values) > 1 and any(other != value for other in values)) or not _is_b64token(value):
            return
        length, lower = self._length, self._lower
        for name, _ in headers:
            if len(name) == length and name.lower() == lower:
                return
        headers.append((self._header, self._before + value))


def traits(options: Options) -> Traits:
    """Browsers send cookies with requests that other sites made: `csrf` must be there too."""
    return Traits(credentials_from_cookie=True)


def factory(options: Options, context: FilterContext) -> CookieToHeaderFilter:
    """Keeps nothing."""
    return CookieToHeaderFilter(options)
