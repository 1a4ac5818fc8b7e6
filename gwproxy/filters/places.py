"""So many places for each key; who finds none may wait in line, first come, first served.

Holds nothing of a key that nobody uses, so its memory is bounded by the exchanges that there are.
"""

from __future__ import annotations

from collections import OrderedDict

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Places:
    """Places are taken under a `ticket`, a number of the caller's, and given back by it: once, whoever is first."""

    def __init__(self, limit: int, queue: int, patience: float, reactor: IReactorTime) -> None:
        """For each key `limit` places, and `queue` more who may wait for one, for `patience` seconds."""
        self._limit = limit
        self._queue = queue
        self._patience = patience
        self._reactor = reactor
        self._lines: dict[str, _Line] = {}
        self._taken: dict[int, _Line] = {}

    @property
    def taken(self) -> int:
        """Places taken, of all keys."""
        return len(self._taken)

    @property
    def waiting(self) -> int:
        """How many wait, for all keys."""
        return sum(len(line.waiting) for line in self._lines.values())

    def take(self, key: str, ticket: int) -> bool:
        """Whether there was a place."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(key)
        elif line.taken >= self._limit or line.waiting:
            return False
        line.taken += 1
        self._taken[ticket] = line
        return True

    def wait(self, key: str, ticket: int) -> Deferred[bool] | None:
        """For who found no place: whether there was one in time, or None if the line is full. Cancelling it leaves the
        line."""
        line = self._lines[key]
        if len(line.waiting) >= self._queue:
            return None
        answer: Deferred[bool] = Deferred(lambda _: line.leave(ticket))
        timer = self._reactor.callLater(self._patience, self._give_up, line, ticket)
        line.waiting[ticket] = (answer, timer)
        return answer

    def give_back(self, ticket: int) -> None:
        """Nothing for who has no place. The first in line gets it."""
        line = self._taken.pop(ticket, None)
        if line is None:
            return
        line.taken -= 1
        if not line.passing_on:
            self._pass_on(line)

    def _pass_on(self, line: _Line) -> None:
        # Who gets a place may have given it back when the call returns, and that may go on: here, not ever deeper.
        line.passing_on = True
        while line.waiting and line.taken < self._limit:
            ticket, (answer, timer) = line.waiting.popitem(last=False)
            timer.cancel()
            line.taken += 1
            self._taken[ticket] = line
            answer.callback(True)
        line.passing_on = False
        if not line.taken:
            del self._lines[line.key]

    def _give_up(self, line: _Line, ticket: int) -> None:
        answer, _ = line.waiting.pop(ticket)
        answer.callback(False)


class _Line:
    """One key: places taken, and who waits, in order."""

    __slots__ = ("key", "passing_on", "taken", "waiting")

    def __init__(self, key: str) -> None:
        self.key = key
        self.taken = 0
        self.waiting: OrderedDict[int, tuple[Deferred[bool], IDelayedCall]] = OrderedDict()
        self.passing_on = False

    def leave(self, ticket: int) -> None:
        """Waits no more."""
        _, timer = self.waiting.pop(ticket)
        timer.cancel()
