"""Time limits of a connection: one timer that is moved at no cost."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

NEVER = float("inf")


def _nothing() -> None:
    """What becomes of a deadline that is cancelled."""


class Deadline:
    """One deadline that moves all the time.

    Moving it later costs one assignment: the call under way finds out when it comes too early, and goes on waiting.
    Only moving it before the call under way makes a new one. So a connection that serves a request a millisecond
    makes a timer every few seconds.
    """

    __slots__ = ("_call", "_call_at", "_expired", "_reactor", "at")

    def __init__(self, reactor: IReactorTime, expired: Callable[[], None]) -> None:
        """`expired` is called, from the reactor, once for each time that the deadline passes."""
        self._reactor = reactor
        self._expired = expired
        self._call: IDelayedCall | None = None
        self._call_at = NEVER
        self.at = NEVER

    def set(self, at: float) -> None:
        """Moves the deadline to `at`, in the reactor's seconds."""
        self.at = at
        if at < self._call_at:
            self._schedule(at)

    def clear(self) -> None:
        """No deadline, until the next one is set."""
        self.at = NEVER

    def cancel(self) -> None:
        """No deadline ever again: the connection is gone. Nothing stays in the reactor."""
        self.at = NEVER
        self._expired = _nothing  # or who owns this and this would keep each other alive
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._call_at = 0.0  # nothing is before it: a late set() makes no call

    def _schedule(self, at: float) -> None:
        if self._call is not None:
            self._call.cancel()
        self._call_at = at
        self._call = self._reactor.callLater(max(0.0, at - self._reactor.seconds()), self._fire)

    def _fire(self) -> None:
        self._call = None
        self._call_at = NEVER
        at = self.at
        if at == NEVER:
            return
        # Timers may come a hair early, by the rounding of floats.
        if at - self._reactor.seconds() > 0.0005:
            self._schedule(at)
            return
        self.at = NEVER
        self._expired()
