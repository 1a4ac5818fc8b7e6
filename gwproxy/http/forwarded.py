"""Who the client is, and how that is told to upstreams: X-Forwarded-*, X-Real-IP and Forwarded (RFC 7239).

Only a peer in `trusted_proxies` is believed. From anybody else these fields are dropped and made fresh; a trusted
peer's are passed on, and this hop is appended. Of a list that a trusted peer sent, each entry is believed only as long
as all to its right are trusted proxies.

Addresses are strings in their shortest form, without zone, IPv4-mapped IPv6 as IPv4; "" is a peer without an address.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from gwproxy.errors import BadHost
from gwproxy.http.headers import Header
from gwproxy.http.host import parse_host

# What an untrusted client may not say, besides every X-Forwarded-* (CORRECTNESS X1).
FORWARDING_HEADERS = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-server",
        b"x-forwarded-uri",
        b"x-original-url",
        b"x-real-ip",
        b"x-rewrite-url",
    }
)

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
_FORWARDED_PAIR = re.compile(
    rb"[ \t,]*+([!#$%&'*+.^_`|~0-9A-Za-z-]++)=" rb'(?:"((?:[^"\\]|\\.)*+)"|([^\s",;]++))' rb"[ \t]*+([;,]|\Z)"
)

IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_forwarding_header(lower_name: bytes) -> bool:
    """Whether a field (its name in lower case) speaks about earlier hops; its spelling with `_` is meant too."""
    name = lower_name.replace(b"_", b"-")
    return name in FORWARDING_HEADERS or name.startswith(b"x-forwarded-")


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
    for line in _well_formed(values):
        nodes += _line_nodes(line) or ()
    return nodes


def _well_formed(values: Iterable[bytes]) -> list[bytes]:
    """The lines behind the last malformed one.

    A quote that a client left open would swallow what proxies add to the same line, so nothing in it can be believed,
    nor what is before it; and no element of ours may be put behind it.
    """
    lines: list[bytes] = []
    for line in values:
        if _line_nodes(line) is None:
            lines.clear()
        elif line:
            lines.append(line)
    return lines


def _line_nodes(line: bytes) -> list[bytes] | None:
    nodes: list[bytes] = []
    node = b"unknown"
    position = 0
    line = line.rstrip(b" \t,")
    while position < len(line):
        match = _FORWARDED_PAIR.match(line, position)
        if match is None:
            return None
        name, quoted, plain, separator = match.groups()
        if name.lower() == b"for":
            node = plain if quoted is None else quoted
        if separator != b";":
            nodes.append(node)
            node = b"unknown"
        position = match.end()
    return nodes


class Prior:
    """What a trusted peer's forwarding fields say. Of repeated ones the last counts: the peer itself wrote that."""

    __slots__ = ("forwarded", "host", "others", "port", "proto", "xff")

    def __init__(self, fields: Iterable[Header] = ()) -> None:
        """Reads all fields of which `is_forwarding_header` is true; spellings with `_` are not believed."""
        self.xff: list[bytes] = []
        self.proto: bytes | None = None  # http | https
        self.host: bytes | None = None
        self.port: bytes | None = None
        self.others: list[Header] = []  # X-Forwarded-Prefix and the like
        forwarded: list[bytes] = []
        for name, value in fields:
            lower = name.lower()
            if lower == b"x-forwarded-for":
                self.xff.append(value)
            elif lower == b"forwarded":
                forwarded.append(value)
            elif lower == b"x-forwarded-proto":
                self.proto = _sane_proto(value)
            elif lower == b"x-forwarded-host":
                self.host = _sane_host(value)
            elif lower == b"x-forwarded-port":
                self.port = _sane_port(value)
            elif lower.startswith(b"x-forwarded-"):
                self.others.append((name, value))
        self.forwarded = _well_formed(forwarded)

    def client(self, peer_ip: str, trusted: TrustedProxies) -> str:
        """The client's address; see `client_address`."""
        return client_address(peer_ip, self.xff, trusted, self.forwarded)


# Some proxies name the scheme of a WebSocket; what counts is whether it was encrypted (CORRECTNESS X4).
_SCHEMES = {b"http": b"http", b"https": b"https", b"ws": b"http", b"wss": b"https"}


def _last(value: bytes) -> bytes:
    return value.rpartition(b",")[2].strip()


def _sane_proto(value: bytes) -> bytes | None:
    return _SCHEMES.get(_last(value).lower())


def _sane_host(value: bytes) -> bytes | None:
    host = _last(value)
    try:
        parse_host(host)
    except BadHost:
        return None
    return host


def _sane_port(value: bytes) -> bytes | None:
    port = _last(value)
    return port if len(port) <= 5 and port.isdigit() and 0 < int(port) < 65536 else None


class PeerForwarding:
    """The forwarding fields of one connection: what is the same for all its requests is made once."""

    __slots__ = ("_for", "_fresh", "_host", "_peer", "_port", "_scheme", "ip")

    def __init__(self, peer_ip: str, scheme: bytes, port: int | None, peer_port: int | None = None) -> None:
        """`scheme` and `port` are this listener's (None: a unix socket); with `peer_port` Forwarded has it too."""
        self.ip = canonical_ip(peer_ip) or ""
        self._peer = self.ip.encode("ascii")
        self._scheme = scheme
        self._port = None if port is None else b"%d" % port
        self._for = _node(self.ip, peer_port)
        # One connection nearly always asks for one host.
        self._host: bytes | None = None
        self._fresh: list[Header] = []

    def fresh(self, host: bytes) -> list[Header]:
        """The fields of a request whose peer is not trusted. `host` is as received, valid, or empty."""
        if host != self._host:
            self._host = host
            self._fresh = _fields(self._peer, self._scheme, host, self._port, self._peer)
            self._fresh.append((b"Forwarded", _element(self._for, self._scheme, host)))
        return self._fresh.copy()

    def appended(self, host: bytes, prior: Prior, client_ip: str) -> list[Header]:
        """The fields of a request whose peer is trusted: what it said, and this hop."""
        proto = prior.proto or self._scheme
        shown_host = prior.host or host
        xff = list(filter(None, prior.xff))
        if self._peer:
            xff.append(self._peer)
        fields = _fields(
            b", ".join(xff), proto, shown_host, self._shown_port(prior, proto, shown_host), client_ip.encode("ascii")
        )
        elements = prior.forwarded.copy()
        if not elements and client_ip and client_ip != self.ip:
            # The peer speaks X-Forwarded-* only. Those who read Forwarded first must see the same client.
            elements.append(_element(_node(client_ip, None), proto, shown_host))
        elements.append(_element(self._for, self._scheme, host))
        fields.append((b"Forwarded", b", ".join(elements)))
        fields += prior.others
        return fields

    def _shown_port(self, prior: Prior, proto: bytes, host: bytes) -> bytes | None:
        if prior.port is not None or (prior.proto is None and prior.host is None):
            return prior.port or self._port
        port = parse_host(host).port if host else None
        return b"%d" % port if port else (b"443" if proto == b"https" else b"80")


def forwarding_headers(
    *,
    peer_ip: str,
    peer_port: int | None = None,
    client_ip: str,
    scheme: bytes,
    host: bytes,
    port: int | None,
    prior: Prior | None = None,
    trusted: bool,
) -> list[Header]:
    """All forwarding fields of one request, for who has no `PeerForwarding` at hand."""
    peer = PeerForwarding(peer_ip, scheme, port, peer_port)
    return peer.appended(host, prior or Prior(), client_ip) if trusted else peer.fresh(host)


def _fields(xff: bytes, proto: bytes, host: bytes, port: bytes | None, real_ip: bytes) -> list[Header]:
    fields: list[Header] = []
    if xff:
        fields.append((b"X-Forwarded-For", xff))
    fields.append((b"X-Forwarded-Proto", proto))
    if host:
        fields.append((b"X-Forwarded-Host", host))
    if port is not None:
        fields.append((b"X-Forwarded-Port", port))
    if real_ip:
        fields.append((b"X-Real-IP", real_ip))
    return fields


def _node(ip: str, port: int | None) -> bytes:
    """A node identifier (RFC 7239 section 6); IPv6 and ports make it a quoted string."""
    if not ip:
        return b"unknown"
    node = f"[{ip}]" if ":" in ip else ip
    if port is not None:
        node = f"{node}:{port}"
    return (f'"{node}"' if ":" in node else node).encode("ascii")


def _element(node: bytes, proto: bytes, host: bytes) -> bytes:
    """One hop (RFC 7239 section 4). A valid host is a token unless it has a port or is an IPv6 address."""
    if not host:
        return b"for=%b;proto=%b" % (node, proto)
    return (b'for=%b;proto=%b;host="%b"' if b":" in host else b"for=%b;proto=%b;host=%b") % (node, proto, host)
