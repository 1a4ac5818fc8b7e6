"""A place where clients connect: makes a channel for each, holds the bounds on how many there are."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from gwproxy.config.model import ListenOptions
from gwproxy.edge.channel import EdgeChannel
from gwproxy.edge.site import Site
from gwproxy.http.forwarded import PeerForwarding
from gwproxy.http.request import HeadLimits

# Connections that are told 503 at one time. They linger until their client has read it, some seconds at most; more than
# these are closed without a word, so that descriptors are bounded whoever knocks.
MAX_REFUSED: Final = 1000


class Listener(Factory):
    """The factory of one [listen:NAME]. `site` is the current generation's: a reload assigns another."""

    noisy = False
    scheme = b"http"

    def __init__(self, options: ListenOptions, site: Site, reactor: IReactorTime) -> None:
        self.options = options
        self.site = site
        self.reactor = reactor
        self.name = options.name
        self.limits = HeadLimits(options.max_header_size, options.max_headers, options.max_target, options.underscores)
        self.channels: set[EdgeChannel] = set()
        self._refused: set[EdgeChannel] = set()
        self.draining = False
        # Whether connections end before their clients end them: asked for each request.
        self.ends_connections = bool(options.keepalive_requests or options.keepalive_max_age)
        self.port: int | None = None  # where it listens, for X-Forwarded-Port; None on a unix socket
        self._by_address: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Listener {self.name} connections={len(self.channels)}>"

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self.channels)

    def buildProtocol(self, addr: IAddress | None) -> EdgeChannel | None:
        ip, peer_port = ("", None)
        if isinstance(addr, IPv4Address | IPv6Address):
            ip, peer_port = addr.host, addr.port
        peer = PeerForwarding(ip, self.scheme, self.port, peer_port)
        channel = EdgeChannel(self, peer, peer.ip in self.site.settings.trusted)
        options = self.options
        channel.overload = bool(
            (options.max_connections and len(self.channels) >= options.max_connections)
            or (
                options.max_connections_per_address
                and ip
                and self._by_address[peer.ip] >= options.max_connections_per_address
            )
        )
        if channel.overload:
            if len(self._refused) >= MAX_REFUSED:
                return None
            self._refused.add(channel)
            return channel
        self.channels.add(channel)
        if options.max_connections_per_address:
            self._by_address[peer.ip] += 1
        return channel

    def connection_lost(self, channel: EdgeChannel) -> None:
        """For the channel."""
        self._refused.discard(channel)
        if channel not in self.channels:
            return
        self.channels.remove(channel)
        ip = channel.peer.ip
        if self.options.max_connections_per_address:
            self._by_address[ip] -= 1
            if not self._by_address[ip]:
                del self._by_address[ip]

    def closes_after(self, requests: int, made: float) -> bool:
        """Whether a connection with so many requests, made then, is to end with this one (CORRECTNESS K7)."""
        options = self.options
        if self.draining or 0 < options.keepalive_requests <= requests:
            return True
        return bool(options.keepalive_max_age) and self.reactor.seconds() - made >= options.keepalive_max_age

    def drain(self) -> None:
        """Closes idle connections now, the others after their answer."""
        self.draining = self.ends_connections = True
        for channel in tuple(self.channels):
            channel.drain()

    def abort_all(self) -> None:
        """The drain is over: what is left is cut."""
        for channel in tuple(self.channels):
            channel.cut()


def listening_port(address: Any) -> int | None:
    """The TCP port of what a listening port's getHost() gives, or None."""
    return address.port if isinstance(address, IPv4Address | IPv6Address) else None
