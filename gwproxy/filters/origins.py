"""Origins (RFC 6454): which ones a configuration names, and whether a request comes from one of them.

Rules:

* An origin is compared byte for byte with what browsers write: lower case, a port only where it is not the scheme's
  own. The configuration is brought into that form at load, a request never is: whatever else is written in its Origin
  field (capitals, a trailing dot, a path, userinfo, several origins) is no origin of ours.
* `https://*.example.com` stands for one or more whole labels before `.example.com`, under this scheme and port only,
  and not for `https://example.com` itself.
* `null` is what every sandboxed frame, local file and redirected request says: it names nobody, so nobody can allow it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import Value, list_of, plain
from gwproxy.filters.api import Exchange

ANY: Final = "*"

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_DEFAULT_PORT_ENDINGS: Final = {b"http": b":80", b"https": b":443"}

_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._*-]+)(?::([0-9]{1,5}))?")
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
# Browsers take a host whose last label is a number for an IPv4 address (URL standard, "ends in a number").
_ENDS_IN_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")

# Names under which everybody is at home already (RFC 6761; ICANN 2024): `*.` before others of one label takes in a
# whole top-level domain.
_LOCAL_NAMES: Final = frozenset({"internal", "invalid", "example", "lan", "local", "localhost", "test"})

# One label or more, as browsers write them.
_LABELS: Final = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"

_BEFORE_PATH: Final = re.compile(rb"[a-z][a-z0-9+.-]*://[^/?#]+")


def parse_origin(text: str) -> str:
    """An origin as browsers write it, maybe with `*.` before its host. Raises BadValue."""
    lower = text.lower()
    if lower == "null":
        raise BadValue(
            "is what sandboxed frames and local files of anybody send, and cannot be allowed; "
            "serve the page from an origin of its own"
        )
    if not text.isascii():
        raise BadValue("must be as browsers send it: a name with other letters begins with xn-- there")
    match = _ORIGIN.fullmatch(lower)
    if match is None:
        raise BadValue(_what_is_wrong(lower))
    scheme, host, digits = match.groups()
    if scheme == "file":
        raise BadValue("is no origin: pages from files send null")
    if scheme in ("ws", "wss"):
        raise BadValue("must be the origin of a page: http or https, also for its WebSockets")
    port = None if digits is None else int(digits)
    if port is not None and not 0 < port < 65536:
        raise BadValue("has a port that is none")
    _check_host(scheme, host)
    if host.startswith("["):
        host = _ipv6(host)
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def _what_is_wrong(text: str) -> str:
    scheme, mark, rest = text.partition("://")
    if not mark:
        return "must be scheme://host or scheme://host:port, as in https://app.example.com"
    if "@" in rest:
        return "must be an origin; those have no user or password"
    if any(sign in rest for sign in "/?#"):
        return "must be an origin: without a path, and without a slash at the end"
    if scheme == ANY:
        return "needs a scheme; list http:// and https:// apart"
    return "must be scheme://host or scheme://host:port, as in https://app.example.com"


def _check_host(scheme: str, host: str) -> None:
    if "*" not in host:
        if not host.startswith("["):
            _check_name(host)
        return
    suffix = host.removeprefix("*.")
    if "*" in suffix or suffix == host:
        raise BadValue("takes * for whole labels at the front only, as in https://*.example.com")
    if scheme not in _DEFAULT_PORTS:
        raise BadValue("takes * with http and https only")
    _check_name(suffix)
    if _ENDS_IN_NUMBER.fullmatch(suffix):
        raise BadValue("is an address, and * stands before names")
    if "." not in suffix.rstrip(".") and suffix.rstrip(".") not in _LOCAL_NAMES:
        raise BadValue("would take in a whole top-level domain")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > 255:
        raise BadValue("has a host that is no name and no address")
    if _ENDS_IN_NUMBER.fullmatch(name):
        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            raise BadValue("has a host that ends in a number and is no IPv4 address") from None


def _ipv6(host: str) -> str:
    try:
        address = ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        raise BadValue("has a host in brackets that is no IPv6 address") from None
    if address.ipv4_mapped is not None:
        raise BadValue("has an IPv4 address written as an IPv6 one")
    return f"[{address.compressed}]"


def _parse_item(text: str) -> str:
    return ANY if text == ANY else parse_origin(text)


# Texts as browsers write them; those with `*.`, and `*` alone, among them.
origins: Final[Value[tuple[str, ...]]] = list_of(plain("origin", _parse_item))


class Origins:
    """Some origins, as `origins` reads them. `origin in origins` for the value of an Origin field."""

    __slots__ = ("_exact", "_wildcard")

    def __init__(self, texts: Iterable[str]) -> None:
        texts = tuple(texts)
        self._exact = frozenset(text.encode("ascii") for text in texts if "*" not in text)
        patterns = [re.escape(text).replace(r"\*", _LABELS) for text in texts if "*" in text]
        self._wildcard = re.compile("|".join(patterns).encode("ascii")).fullmatch if patterns else None

    @property
    def exact(self) -> frozenset[bytes]:
        """Those without `*`."""
        return self._exact

    def __contains__(self, origin: bytes) -> bool:
        return origin in self._exact or (self._wildcard is not None and self._wildcard(origin) is not None)


def is_own_origin(exchange: Exchange, origin: bytes) -> bool:
    """Whether `origin` is the one that the request goes to: its scheme and Host, as this gateway sees them."""
    host = exchange.header(b"host")
    if host is None:
        return False
    scheme = exchange.scheme
    return origin == b"%b://%b" % (scheme, host.lower().removesuffix(_DEFAULT_PORT_ENDINGS[scheme]))


def origin_of_url(url: bytes) -> bytes | None:
    """The origin of a Referer as browsers write it; None for what has none, like `about:blank`."""
    match = _BEFORE_PATH.match(url)
    return None if match is None else match[0]
