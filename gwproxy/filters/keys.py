"""What requests are counted by: the client's address, a header, a cookie, a claim, an API key, the route, or several.

Rules:

* A key is a short text, whatever a client sends: what is long or odd, and every header and cookie, becomes a hash. So
  memory is bounded, and no token or session stands in a table or in a Redis.
* A part that a request does not have (no such header, nobody logged in) is the client's address instead, apart from
  every value that the part can have: leaving it out is no way around a limit, nor a way into another's. So is a header
  or a cookie that is there twice: the server behind may read the one that would not be counted.
* IPv6 clients are counted by network, for each has a whole one; IPv4 in IPv6 is IPv4 (RFC 4291 section 2.5.5.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address
from typing import Final

import attrs

from gwproxy.config.mistakes import BadValue, did_you_mean
from gwproxy.config.options import option
from gwproxy.config.values import Value, integer, plain, token
from gwproxy.filters.api import Exchange
from gwproxy.filters.claims import ClaimPath
from gwproxy.http.cookies import cookie_values
from gwproxy.http.headers import get_all

KeyFunction = Callable[[Exchange], str]

_PLAIN_KINDS: Final = ("ip", "api_key", "route")
_NAMED_KINDS: Final = ("header", "cookie", "claim")

# What stands in a key as it is. Not `|`, which separates the parts of one.
_IS_SHORT: Final = re.compile(r"[!-{}~]{1,64}").fullmatch

_MAPPED: Final = 0xFFFF << 32


@attrs.frozen
class KeySpec:
    """What requests are counted by, as it stands in the configuration."""

    text: str
    _parts: tuple[tuple[str, str], ...] = attrs.field(eq=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> KeySpec:
        """Raises BadValue."""
        parts = tuple(_parse_part(part.strip()) for part in text.split("+"))
        if len(set(parts)) != len(parts):
            raise BadValue("has a part twice")
        return cls("+".join(f"{kind}:{name}" if name else kind for kind, name in parts), parts)

    def __str__(self) -> str:
        return self.text

    @property
    def needs_principal(self) -> bool:
        """Whether it takes somebody who is logged in, by a filter ahead."""
        return any(kind in ("claim", "api_key") for kind, _ in self._parts)

    def compile(self, ipv6_prefix: int) -> KeyFunction:
        """A function of an exchange that gives its key."""
        address = _address(ipv6_prefix)
        parts = tuple(_part(kind, name, address) for kind, name in self._parts)
        if len(parts) == 1:
            return parts[0]
        if len(parts) == 2:
            first, second = parts
            return lambda exchange: f"{first(exchange)}|{second(exchange)}"
        return lambda exchange: "|".join([part(exchange) for part in parts])


def _parse_part(text: str) -> tuple[str, str]:
    kind, colon, name = text.partition(":")
    if not colon and kind in _PLAIN_KINDS:
        return kind, ""
    if kind not in _NAMED_KINDS or not name:
        near = did_you_mean(kind, (*_PLAIN_KINDS, *_NAMED_KINDS))
        raise BadValue(f"must be ip, api_key, route, header:NAME, cookie:NAME or claim:NAME, or several with +{near}")
    if kind == "claim":
        return kind, ClaimPath.compile(name).text
    return kind, token(name).lower() if kind == "header" else token(name)


key_spec: Final[Value[KeySpec]] = plain("key", KeySpec.parse)


# Of the option `key`, in every filter that counts.
BY_ADDRESS: Final = KeySpec.parse("ip")
KEY_METAVAR: Final = "ip | header:NAME | cookie:NAME | claim:NAME | api_key | route"
KEY_DOC: Final = (
    "What requests are counted by, or several with + between; the client's ip for a part that is not there."
)


def ipv6_prefix_option() -> int:
    """The option `ipv6_prefix`, of the same."""
    return option(integer(16, 128), default=64, doc="How many bits of an IPv6 address count as one client.")


def short(text: str) -> str:
    """The text, or a hash of it if it is long or odd. No text is the hash of another: those begin with a blank."""
    return text if _IS_SHORT(text) else _hash(text.encode("utf-8", "surrogatepass"))


def _hash(data: bytes) -> str:
    return " " + blake2b(data, digest_size=16).hexdigest()


# The parts. Each value begins with `=`, an address that stands in for one does not.


def _part(kind: str, name: str, address: KeyFunction) -> KeyFunction:
    if kind == "ip":
        return address
    if kind == "route":
        return _route
    if kind == "api_key":
        return lambda exchange: _api_key(exchange) or address(exchange)
    if kind == "claim":
        return _claim(ClaimPath.compile(name), address)
    wanted = name.encode()
    if kind == "cookie":
        return lambda exchange: _cookie(exchange, wanted) or address(exchange)

    def header(exchange: Exchange) -> str:
        value = exchange.header(wanted)
        if not value or (wanted != b"host" and len(get_all(exchange.headers, wanted)) > 1):
            return address(exchange)
        return f"={_hash(value)}"

    return header


def _address(prefix: int) -> KeyFunction:
    drop = 128 - prefix

    @lru_cache(maxsize=4096)
    def network(text: str) -> str:
        try:
            number = int(IPv6Address(text))
        except ValueError:
            return short(text)
        if number >> 32 == _MAPPED >> 32:
            return str(IPv6Address(number).ipv4_mapped)
        return f"{IPv6Address(number >> drop << drop)}/{prefix}"

    def address(exchange: Exchange) -> str:
        ip = exchange.client_ip
        return network(ip) if ":" in ip else ip

    return address


def _route(exchange: Exchange) -> str:
    return exchange.route_name


def _api_key(exchange: Exchange) -> str:
    principal = exchange.principal
    return f"={short(principal.subject)}" if principal is not None and principal.method == "api_key" else ""


def _claim(path: ClaimPath, address: KeyFunction) -> KeyFunction:
    def claim(exchange: Exchange) -> str:
        principal = exchange.principal
        if principal is None:
            return address(exchange)
        values = path.strings(principal.claims)
        if len(values) == 1:
            return f"={short(values[0])}"
        return f"={short(repr(values))}" if values else address(exchange)

    return claim


def _cookie(exchange: Exchange, name: bytes) -> str:
    values = cookie_values(exchange.headers, name)
    return f"={_hash(values[0])}" if len(values) == 1 and values[0] else ""
