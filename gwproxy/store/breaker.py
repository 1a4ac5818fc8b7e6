"""A circuit breaker: who fails is not asked for a while, and then once, to find out."""

from __future__ import annotations

from collections.abc import Callable


class Breaker:
    """Closed: ask. Open: do not, for `pause` seconds from the last failure; then one question, and what comes of it
    decides. As long as it is closed, `may_ask()` reads no clock."""

    __slots__ = ("_failures", "_limit", "_pause", "_probing", "_seconds", "_until")

    def __init__(self, limit: int, pause: float, seconds: Callable[[], float]) -> None:
        """Opens after `limit` failures in a row. `seconds`: a clock."""
        self._limit = limit
        self._pause = pause
        self._seconds = seconds
        self._failures = 0
        self._until: float | None = None  # open until then; None: closed
        self._probing = False

    @property
    def closed(self) -> bool:
        """Whether all is well."""
        return self._until is None

    def may_ask(self) -> bool:
        """Whether a question may be asked now. Who then asks says so by `asked()`."""
        return self._until is None or (not self._probing and self._seconds() >= self._until)

    def asked(self) -> None:
        """A question goes out: nobody else asks until its end is known, if the breaker is open."""
        if self._until is not None:
            self._probing = True

    def succeeded(self) -> None:
        """There was an answer."""
        self._failures = 0
        self._until = None
        self._probing = False

    def failed(self) -> None:
        """There was none."""
        self._failures += 1
        if self._failures >= self._limit:
            self._until = self._seconds() + self._pause
            self._probing = False
