"""Which peers are believed about earlier hops, and who the client is by what they say.

Of a list that a trusted peer sent, each entry is believed only as long as all to its right are trusted proxies.
Addresses are strings in their shortest form, without zone, IPv4-mapped IPv6 as IPv4; "" is a peer without an address.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from typing import TypeAlias

# Trusted proxies reached over a unix socket have no address; they are named as nginx names them.
UNIX = "unix:"

_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 section 2.5.5.2
_CACHE_SIZE = 4096

# RFC 7239 section 6, and the looser forms found in X-Forwarded-For: an IPv6 address without brackets, with a zone.
_NODE = re.compile(
    rb"\[([0-9A-Fa-f:.]++)(?:%[\w.-]*+)?\](?::(?:[0-9]{1,5}|_[\w.-]++))?"
    rb"|([0-9.]++)(?::(?:[0-9]{1,5}|_[\w.-]++))?"
    rb"|([0-9A-Fa-f:.]++)(?:%[\w.-]*+)?"
)
# One pair, or none, and what follows it: `;` and another of the same element, `,` and an element, or the end.
_FORWARDED_PAIR = re.compile(
    rb"[ \t]*+(?:([!#$%&'*+.^_`|~0-9A-Za-z-]++)=" rb'(?:"((?:[^"\\]|\\.)*+)"|([^\s",;]++)))?' rb"[ \t]*+([;,]|\Z)"
)

IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def canonical_ip(text: str) -> str | None:
    """An address in the one form that is compared, logged and sent; None for what is none."""
    text = text.partition("%")[0]
    try:
        if ":" not in text:
            return socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, text))
        packed = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return None
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


class TrustedProxies:
    """The peers that are believed. `ip in trusted` costs a lookup, whatever the number of networks."""

    __slots__ = ("_ipv4", "_ipv6", "_known", "_unix")

    def __init__(self, networks: Iterable[str | IPNetwork] = ()) -> None:
        """Networks or addresses, and `unix:` for peers on unix sockets. Raises ValueError."""
        ipv4: dict[int, set[int]] = {}
        ipv6: dict[int, set[int]] = {}
        self._unix = False
        for given in networks:
            if given == UNIX:
                self._unix = True
                continue
            network = _unmapped(ipaddress.ip_network(str(given), strict=False))
            shift = network.max_prefixlen - network.prefixlen
            table = ipv4 if network.version == 4 else ipv6
            table.setdefault(shift, set()).add(int(network.network_address) >> shift)
        self._ipv4 = tuple((shift, frozenset(starts)) for shift, starts in ipv4.items())
        self._ipv6 = tuple((shift, frozenset(starts)) for shift, starts in ipv6.items())
        # Peers are few, but a list of addresses may hold any: emptied when full.
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._ipv4 or self._ipv6 or self._unix)

    def __contains__(self, ip: str) -> bool:
        known = self._known.get(ip)
        if known is None:
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            known = self._known[ip] = self._look_up(ip)
        return known

    def _look_up(self, ip: str) -> bool:
        if not ip:
            return self._unix
        canonical = canonical_ip(ip)
        if canonical is None:
            return False
        if ":" in canonical:
            tables, packed = self._ipv6, socket.inet_pton(socket.AF_INET6, canonical)
        else:
            tables, packed = self._ipv4, socket.inet_pton(socket.AF_INET, canonical)
        number = int.from_bytes(packed, "big")
        return any(number >> shift in starts for shift, starts in tables)


def _unmapped(network: IPNetwork) -> IPNetwork:
    if network.version == 6 and network.prefixlen >= 96 and network.network_address.packed.startswith(_MAPPED):
        return ipaddress.IPv4Network((network.network_address.packed[12:], network.prefixlen - 96))
    return network


def client_address(
    peer_ip: str, xff_values: Sequence[bytes], trusted: TrustedProxies, forwarded_values: Sequence[bytes] = ()
) -> str:
    """The right-most address that is not a trusted proxy's (CORRECTNESS X2), from `peer_ip` leftwards.

    The values are those of all X-Forwarded-For lines in order; those of Forwarded are read when there are none of the
    former. What is no address ends the walk at the last good one. `peer_ip` is as `canonical_ip` gives it.
    """
    if peer_ip not in trusted:
        return peer_ip
    client = peer_ip
    for node in reversed(_listed(xff_values) or _forwarded_nodes(forwarded_values)):
        match = _NODE.fullmatch(node)
        address = None if match is None else canonical_ip(match[match.lastindex or 0].decode("ascii"))
        if address is None:
            break
        client = address
        if client not in trusted:
            break
    return client


def _listed(values: Sequence[bytes]) -> list[bytes]:
    """The members of a list that spans lines, without empty ones (RFC 9110 section 5.6.1)."""
    return [item for item in map(bytes.strip, b",".join(values).split(b",")) if item]


def _forwarded_nodes(values: Sequence[bytes]) -> list[bytes]:
    """The `for` of each element, `unknown` for one without; what is left of a malformed line is not believed."""
    nodes: list[bytes] = []
    for line in well_formed(values):
        nodes += _line_nodes(line) or ()
    return nodes


def well_formed(values: Iterable[bytes]) -> list[bytes]:
    """The lines behind the last malformed one.

    A quote that a client left open would swallow what proxies add to the same line, so nothing in it can be believed,
    nor what is before it; and no element of ours may be put behind it.
    """
    lines: list[bytes] = []
    for line in values:
        nodes = _line_nodes(line)
        if nodes is None:
            lines.clear()
        elif nodes:
            lines.append(line)
    return lines


def _line_nodes(line: bytes) -> list[bytes] | None:
    """The `for` of each element of one line (RFC 7239 section 4); None when it is malformed."""
    nodes: list[bytes] = []
    node: bytes | None = None  # of the element being read; None as long as that is empty
    position = 0
    while True:
        match = _FORWARDED_PAIR.match(line, position)
        if match is None:
            return None
        name, quoted, plain, separator = match.groups()
        if name is not None and name.lower() == b"for":
            node = plain if quoted is None else quoted
        elif name is not None:
            node = node or b"unknown"
        if separator != b";":
            if node is not None:
                nodes.append(node)
            if not separator:
                return nodes
            node = None
        position = match.end()
