"""A Redis that several gateways share, asked with a deadline and behind a circuit breaker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from gwproxy.config.stores import StoreOptions
from gwproxy.runtime.meters import Meters


class StoreFailed(Exception):
    """There is no answer: the store is down, too slow, or not asked because it was just now."""


class Store:
    """One [store:NAME]. Kept over reloads; connects when started."""

    def __init__(self, options: StoreOptions, reactor: Any, meters: Meters) -> None:
        self.name = options.name

    @property
    def available(self) -> bool:
        """Whether a question is worth asking now: False costs nothing while the breaker is open."""
        raise NotImplementedError

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int | float]) -> Deferred[Any]:
        """Runs a Lua script in one round trip; `keys` without the store's prefix. Fails with StoreFailed."""
        raise NotImplementedError

    def start(self) -> None:
        """Connects, and stays connected."""

    def stop(self) -> None:
        """Closes its connections."""
