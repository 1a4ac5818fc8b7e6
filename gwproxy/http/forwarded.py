"""What upstreams are told about the client: X-Forwarded-*, X-Real-IP and Forwarded (RFC 7239).

Only a peer in `trusted_proxies` is believed. From anybody else these fields are dropped and made fresh; a trusted
peer's are passed on, and this hop is appended.
"""

from __future__ import annotations

from collections.abc import Iterable

from gwproxy.errors import BadHost
from gwproxy.http.headers import Header
from gwproxy.http.host import parse_host
from gwproxy.http.trusted import TrustedProxies, canonical_ip, client_address, well_formed
from gwproxy.http.writing import fields


class Prior:
    """What a trusted peer's forwarding fields say. Of repeated ones the last counts: the peer itself wrote that."""

    __slots__ = ("forwarded", "host", "others", "port", "proto", "xff")

    def __init__(self, fields: Iterable[Header] = ()) -> None:
        """Reads all fields of Kind.FORWARDING; spellings with `_` are not believed."""
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
        self.forwarded = well_formed(forwarded)

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

    __slots__ = ("_for", "_host", "_lines", "_peer", "_port", "_scheme", "ip")

    def __init__(self, peer_ip: str, scheme: bytes, port: int | None, peer_port: int | None = None) -> None:
        """`scheme` and `port` are this listener's (None: a unix socket); with `peer_port` Forwarded has it too."""
        self.ip = canonical_ip(peer_ip) or ""
        self._peer = self.ip.encode("ascii")
        self._scheme = scheme
        self._port = None if port is None else b"%d" % port
        self._for = _node(self.ip, peer_port)
        # One connection nearly always asks for one host.
        self._host: bytes | None = None
        self._lines = b""

    def fresh(self, host: bytes) -> list[Header]:
        """The fields of a request whose peer is not trusted. `host` is as received, valid, or empty."""
        made = _fields(self._peer, self._scheme, host, self._port, self._peer)
        made.append((b"Forwarded", _element(self._for, self._scheme, host)))
        return made

    def fresh_lines(self, host: bytes) -> bytes:
        """The same as lines ready to be written; made once for all requests of a connection to one host."""
        if host != self._host:
            self._host = host
            self._lines = fields(self.fresh(host))
        return self._lines

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
