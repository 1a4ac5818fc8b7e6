"""The Host field and the authority of a request target: one strict reading, for routing and for forwarding.

Accepted are DNS names (letters, digits, `-`, `_`), IPv4 addresses and bracketed IPv6 addresses, each with an optional
port. That is less than RFC 3986 section 3.2.2 allows: percent-escapes and sub-delimiters stand in no real host name,
and each is a chance for two programs to read one name in two ways.
"""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from gwproxy.errors import BadHost

# RFC 1035 section 2.3.4: a name has at most 255 octets. The port comes on top.
MAX_NAME = 255

_NAMED = re.compile(rb"([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\.?(?::([0-9]{1,5}))?")
_BRACKETED = re.compile(rb"\[([0-9A-Fa-f:.]{2,45})\](?::([0-9]{1,5}))?")

# Clients choose the values, so the cache is emptied when it is full; a real gateway has a handful of names.
_CACHE_SIZE = 1024
_cache: dict[bytes, Host] = {}


class Host(NamedTuple):
    """A host as routes see it: lower case, without trailing dot; an IPv6 address in brackets, in its shortest form."""

    name: bytes
    port: int | None


def parse_host(value: bytes) -> Host:
    """Reads a Host value or an authority (RFC 9112 section 3.2, RFC 9110 section 7.2).

    Raises BadHost for anything empty, ambiguous or too long; an empty port (`name:`) and port 0 are refused too.
    """
    host = _cache.get(value)
    if host is None:
        host = _parse(value)
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        _cache[value] = host
    return host


def _parse(value: bytes) -> Host:
    match = _NAMED.fullmatch(value)
    if match is not None:
        name = match[1].lower()
        if len(name) > MAX_NAME:
            raise BadHost("the name is too long")
    else:
        match = _BRACKETED.fullmatch(value)
        if match is None:
            raise BadHost("not a host")
        name = _ipv6(match[1])
    return Host(name, None if match[2] is None else _port(match[2]))


def _ipv6(address: bytes) -> bytes:
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.decode("ascii"))
    except OSError:
        raise BadHost("not an IPv6 address") from None
    return b"[%b]" % socket.inet_ntop(socket.AF_INET6, packed).encode("ascii")


def _port(digits: bytes) -> int:
    port = int(digits)
    if not 0 < port < 65536:
        raise BadHost("not a port")
    return port
