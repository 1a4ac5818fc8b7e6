"""The one call that the proxy makes when an exchange is over.

Exchanges are put down and looked at some at a time: formatting a line right between two system calls finds none of its
code and data in the processor's caches, and costs twice what it does among others like it.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from gwproxy.observe.access import AccessLog
from gwproxy.observe.finished import FinishedExchange
from gwproxy.observe.metrics import Metrics
from gwproxy.observe.security import SecurityLog
from gwproxy.runtime.wall import wall_clock

_log = Logger()

# How many exchanges are put down at most, and for how long, in seconds. They hold their heads, no bodies.
BATCH: Final = 32
INTERVAL: Final = 0.25


class Observer:
    """Passes finished exchanges on to the metrics and the logs."""

    def __init__(self, access: AccessLog, metrics: Metrics, security: SecurityLog, reactor: IReactorTime) -> None:
        """An access log whose sink is off is not even written into."""
        self._security = security
        self._reactor = reactor
        self._count = metrics.observe
        self._access = None if access.sink.off else access.log
        self._finished: list[FinishedExchange] = []
        self._timer: IDelayedCall | None = None

    def exchange_finished(self, exchange: FinishedExchange) -> None:
        """Count and log the exchange, soon. To be called exactly once, for refused and malformed requests too. Never
        raises: what is wrong with a log must not become wrong with an answer."""
        finished = self._finished
        finished.append(exchange)
        if len(finished) >= BATCH:
            self.flush()
        elif self._timer is None:
            self._timer = self._reactor.callLater(INTERVAL, self._tick)

    def flush(self) -> None:
        """Counts and logs what was put down: before a scrape, before files change, at the end."""
        finished, self._finished = self._finished, []
        # From the reactor's clock to the date.
        offset = wall_clock() - self._reactor.seconds()
        for exchange in finished:
            try:
                self._count(exchange)
                if self._access is not None:
                    self._access(exchange, exchange.started + offset)
                if exchange.reason is not None:
                    self._security.exchange_finished(exchange)
            except Exception:
                _log.failure("an exchange could not be logged", request_id=exchange.request_id)

    def close(self) -> None:
        """Nothing more will finish."""
        self.flush()
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _tick(self) -> None:
        self._timer = None
        self.flush()
