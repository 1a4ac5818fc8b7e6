"""How long the event loop is kept from its work.

A probe asks to be called every 50 ms and looks how late it is. It sees a hold-up that begins anywhere between two calls
as up to one interval shorter than it was; with 50 ms every hold-up from 150 ms on is seen as over 100 ms. Costs 20
cheap calls a second.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

# Seconds between two probes.
_INTERVAL = 0.05
# Seconds. A hold-up this long is felt by every client at once.
_THRESHOLD = 0.1
# Seconds that `worst` looks back, at least; at most twice that. As long as Prometheus' usual scrape interval.
_WINDOW = 15.0
# Seconds between two warnings, unless the later one is twice as bad.
_QUIET = 5.0

_log = Logger()


class LagProbe:
    """Measures the loop's lag; warns when it passes 100 ms."""

    def __init__(self, reactor: IReactorTime, threshold: float = _THRESHOLD) -> None:
        self._reactor = reactor
        self._threshold = threshold
        self._call: IDelayedCall | None = None
        self._due = 0.0
        self._window_ends = 0.0
        self._current = 0.0  # worst in this window
        self._previous = 0.0  # worst in the one before
        self._warned_at = float("-inf")
        self._warned_of = 0.0

    @property
    def worst(self) -> float:
        """Seconds: the worst lag of the last 15 to 30 seconds."""
        return max(self._current, self._previous)

    def start(self) -> None:
        """Begin to measure."""
        self._window_ends = self._reactor.seconds() + _WINDOW
        self._schedule()

    def stop(self) -> None:
        """End; nothing is left in the reactor."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _schedule(self) -> None:
        self._due = self._reactor.seconds() + _INTERVAL
        self._call = self._reactor.callLater(_INTERVAL, self._probe)

    def _probe(self) -> None:
        now = self._reactor.seconds()
        lag = max(0.0, now - self._due)
        if now >= self._window_ends:
            self._previous = self._current
            self._current = 0.0
            self._window_ends = now + _WINDOW
        self._current = max(self._current, lag)
        if lag >= self._threshold:
            self._warn(lag, now)
        self._schedule()

    def _warn(self, lag: float, now: float) -> None:
        if now - self._warned_at < _QUIET and lag < 2 * self._warned_of:
            return
        self._warned_at = now
        self._warned_of = lag
        _log.warn("the event loop was held up for {milliseconds} ms", milliseconds=round(lag * 1000))
