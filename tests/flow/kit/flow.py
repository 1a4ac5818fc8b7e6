"""The whole gateway in memory: built from the text of a configuration, over a clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from gwproxy.build import Builder
from gwproxy.config import ConfigErrors, parse
from gwproxy.edge.listener import Listener
from gwproxy.filters.registry import FilterType
from gwproxy.observe.access import AccessLog
from gwproxy.observe.metrics import Metrics
from gwproxy.observe.observer import Observer
from gwproxy.observe.security import SecurityLog
from gwproxy.proxy.exchange import Exchange
from gwproxy.runtime.keep import Keeper
from gwproxy.upstream.server import Server
from tests.flow.kit.peer import Peer
from tests.flow.kit.scripted import Scripted
from tests.flow.kit.wire import Wire

GATEWAY: Final = IPv4Address("TCP", "192.0.2.1", 8080)
CLIENT: Final = IPv4Address("TCP", "192.0.2.7", 40000)

CONFIG: Final = """\
[gateway]
{gateway}
[listen:http]
endpoint = tcp:8080
{listen}
[upstream:service]
servers = {servers}
{upstream}
[route:service]
path = /
upstream = service
filters = {filters}
{route}
{more}
"""


class _Lines:
    """A log in memory."""

    off = False

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def write(self, line: bytes) -> None:
        self.records.append(json.loads(line))


class _Watch(Observer):
    """The gateway's own observer; and which exchanges it was told of."""

    def __init__(self, access: Any, security: Any, reactor: Any) -> None:
        super().__init__(AccessLog(access), Metrics("test"), SecurityLog(security), reactor)
        self.finished: list[Exchange] = []

    def exchange_finished(self, exchange: Any) -> None:
        self.finished.append(exchange)
        super().exchange_finished(exchange)
        self.close()  # at once, for the sake of short conversations


@attrs.frozen
class _NoOptions:
    """For filters that are made by the test."""


class Flow:
    """A gateway and those it talks to. `gateway`, `listen`, `upstream` and `route` are more lines of those sections,
    `more` is other sections. `filters` are the route's, by name, in order."""

    def __init__(
        self,
        *,
        gateway: str = "",
        listen: str = "",
        servers: str = "http://192.0.2.10:80",
        upstream: str = "",
        route: str = "",
        more: str = "",
        filters: Mapping[str, object] | None = None,
        types: Mapping[str, FilterType] | None = None,
    ) -> None:
        self.filters = dict(filters or {})
        self.clock: Any = MemoryReactorClock()
        made = {name: FilterType(name, "a test", _NoOptions, self._maker(made)) for name, made in self.filters.items()}
        made.update(types or {})
        sections = "".join(f"[filter:{name}]\ntype = {name}\n" for name in self.filters)
        names = ", ".join(self.filters)
        text = CONFIG.format(
            gateway=gateway,
            listen=listen,
            servers=servers,
            upstream=upstream,
            route=route,
            more=sections + more,
            filters=names,
        )
        options = {name: filter_type.options_class for name, filter_type in made.items()}
        config = parse(text.encode(), "gw.ini", environ={}, filter_types=options)
        access, security = _Lines(), _Lines()
        self.log = access.records
        self.security_log = security.records
        self.watch = _Watch(access, security, self.clock)
        builder = Builder(config, self.clock, Keeper(), self.watch, {}, made)
        self.gateway = builder.build()
        if builder.mistakes:
            raise ConfigErrors(builder.mistakes)
        self.generation = self.gateway.generation
        self.listener = Listener(config.listeners["http"], self.gateway.site, self.clock)
        self.clients: list[Peer] = []
        self.upstreams: list[Peer] = []
        self._dials = 0

    @staticmethod
    def _maker(filter_object: object) -> Any:
        return lambda options, context: filter_object

    # Clients

    def connect(self, address: IPv4Address = CLIENT) -> Peer:
        """Another client."""
        channel = self.listener.buildProtocol(address)
        wire = Wire(self.clock, channel, address, GATEWAY)
        peer = Peer(self.clock, wire)
        self.clients.append(peer)
        wire.open()
        peer.turn()
        return peer

    @property
    def client(self) -> Peer:
        """The client who came last; the first comes by being asked for."""
        return self.clients[-1] if self.clients else self.connect()

    # Servers

    @property
    def dials(self) -> int:
        """Connections that the gateway wants to make and that nobody has answered."""
        self.clock.advance(0)
        return len(self.clock.tcpClients) - self._dials

    def _next_dial(self) -> tuple[str, int, Any]:
        assert self.dials, "the gateway makes no connection"
        host, port, factory, _, _ = self.clock.tcpClients[self._dials]
        self._dials += 1
        return host, port, factory

    def accept(self) -> Peer:
        """The server takes the connection that the gateway wants to make."""
        host, port, factory = self._next_dial()
        address = IPv4Address("TCP", host, port)
        protocol = factory.buildProtocol(address)
        wire = Wire(self.clock, protocol, address, GATEWAY)
        peer = Peer(self.clock, wire)
        self.upstreams.append(peer)
        wire.open()
        peer.turn()
        return peer

    def refuse(self, reason: Exception | None = None) -> str:
        """The server does not. Its address."""
        host, _, factory = self._next_dial()
        factory.clientConnectionFailed(None, Failure(reason or ConnectionRefusedError()))
        self.clock.advance(0)
        return host

    @property
    def upstream(self) -> Peer:
        """The server's end of the connection made last; one that the gateway wants to make is taken."""
        return self.accept() if self.dials else self.upstreams[-1]

    @property
    def servers(self) -> list[Server]:
        """All servers."""
        return [server for upstream in self.gateway.upstreams for server in upstream.servers]

    # Time, and what became of it

    def wait(self, seconds: float) -> None:
        """So long passes, in steps: timers that set timers find their moment."""
        for _ in range(20):
            self.clock.advance(seconds / 20)
        self.clock.advance(0)

    @property
    def last(self) -> dict[str, Any]:
        """The access log's last line."""
        return self.log[-1]

    def logged(self, *, status: int, reason: str | None, by: str | None = None) -> dict[str, Any]:
        """The access log has exactly one line, and it says this."""
        assert len(self.log) == 1, self.log
        line = self.log[0]
        assert (line["status"], line["reason"]) == (status, reason), line
        assert by is None or line["by"] == by
        return line

    def settle(self) -> None:
        """What must hold after every flow, whatever happened in it: nothing is in flight, and each exchange ended once.

        Then everybody leaves, and nothing may stay in the reactor.
        """
        self.clock.advance(0)
        self._check("in the end")
        for peer in (*self.clients, *self.upstreams):
            peer.wire.lose(ConnectionDone())
        self.gateway.close()
        self.clock.advance(0)
        self._check("after everybody left")
        assert self.listener.connections == 0
        assert not [call for call in self.clock.getDelayedCalls() if call.active()], self.clock.getDelayedCalls()

    def _check(self, when: str) -> None:
        finished = self.watch.finished
        assert self.generation.in_flight == 0, f"{when}: {self.generation!r}"
        assert len(set(map(id, finished))) == len(finished), f"{when}: told of an exchange twice"
        assert len(self.log) == len(finished), f"{when}: an exchange is not logged"
        for server in self.servers:
            assert server.active == 0, f"{when}: {server!r}"
            assert server.pool.waiting == 0, f"{when}: {server!r}"
        tries = sum(exchange.tries for exchange in finished)
        assert sum(server.outcomes.total() for server in self.servers) == tries, f"{when}: a try has no outcome"
        for name, each in self.filters.items():
            if isinstance(each, Scripted):
                asked, told = list(map(id, each.asked)), list(map(id, each.told))
                assert sorted(asked) == sorted(told), f"{when}: on_done of {name} ran {len(told)} of {len(asked)} times"
