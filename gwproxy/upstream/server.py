"""An upstream and its servers: addresses, what is in flight to each, and whether it seems to be there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime

from gwproxy.config.addresses import ServerAddress
from gwproxy.config.model import UpstreamOptions
from gwproxy.upstream.balance import PICKERS
from gwproxy.upstream.dial import Dialer
from gwproxy.upstream.pool import Pool

# A server that could not be reached is left alone for so long while there are others: doubling, in seconds.
FIRST_REST = 0.5
LONGEST_REST = 10.0


class Server:
    """One address of an upstream. Its counters are read by balancing and by the metrics."""

    __slots__ = (
        "active",
        "address",
        "failures",
        "host_header",
        "label",
        "outcomes",
        "pool",
        "rest_until",
        "turn",
        "weight",
    )

    def __init__(self, address: ServerAddress, options: UpstreamOptions, dialer: Dialer, reactor: IReactorTime) -> None:
        self.address = address
        self.label = address.label
        self.weight = address.weight
        self.host_header = address.authority
        self.pool = Pool(self, options, dialer, reactor)
        self.active = 0  # attempts in flight, also those that wait for a connection
        self.outcomes: Counter[str] = Counter()  # by "ok" or a Reason
        self.failures = 0  # connections in a row that could not be made
        self.rest_until = 0.0
        self.turn = 0  # for balancing

    def __repr__(self) -> str:
        return f"<Server {self.label} active={self.active} failures={self.failures} {self.pool!r}>"

    @property
    def in_use(self) -> int:
        """Connections with an exchange on them."""
        return self.pool.in_use

    @property
    def idle(self) -> int:
        """Connections kept open for the next exchange."""
        return len(self.pool.idle)

    @property
    def up(self) -> bool:
        """Whether the last attempt to connect worked."""
        return not self.failures

    def connected(self) -> None:
        """A connection was made: the server is there."""
        self.failures = 0
        self.rest_until = 0.0

    def unreachable(self, now: float) -> None:
        """A connection could not be made."""
        self.failures += 1
        self.rest_until = now + min(LONGEST_REST, FIRST_REST * 2.0 ** min(self.failures - 1, 10))


class Upstream:
    """A named group of servers that answer alike."""

    __slots__ = ("_pick", "name", "options", "servers")

    def __init__(self, options: UpstreamOptions, servers: Sequence[Server]) -> None:
        self.name = options.name
        self.options = options
        self.servers = tuple(servers)
        self._pick = PICKERS[options.balance]

    def __repr__(self) -> str:
        return f"<Upstream {self.name} {list(self.servers)!r}>"

    def pick(self, tried: Sequence[Server], now: float) -> Server | None:
        """The server for the next attempt, or None when all were tried. Resting ones only when there is no other."""
        servers = self.servers
        if len(servers) == 1:
            return None if tried else servers[0]
        fresh = [server for server in servers if server not in tried]
        awake = [server for server in fresh if server.rest_until <= now]
        candidates = awake or fresh
        return self._pick(candidates) if candidates else None

    def close(self) -> None:
        """Closes idle connections; those in use are closed when their exchange ends."""
        for server in self.servers:
            server.pool.close()
