"""Who waits for the same answer: a call to another service, keys that are fetched, a password that is verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Waiting(Generic[T]):
    """Each that waits has a Deferred of its own, which may be cancelled; what comes of one is no other's matter."""

    __slots__ = ("_deferreds", "_deserted")

    def __init__(self, deserted: Callable[[], object] | None = None) -> None:
        """`deserted` is called when the last of them went away before there was an answer."""
        self._deferreds: list[Deferred[T]] = []
        self._deserted = deserted

    def __len__(self) -> int:
        return len(self._deferreds)

    def join(self) -> Deferred[T]:
        """The answer, once it is there."""
        waiting: Deferred[T] = Deferred(self._leave)
        self._deferreds.append(waiting)
        return waiting

    def tell(self, answer: T | Failure) -> None:
        """All that wait now; who joins from then on waits for another answer."""
        deferreds, self._deferreds = self._deferreds, []
        for each in deferreds:
            if each.called:
                continue  # cancelled by what one before it brought about
            if isinstance(answer, Failure):
                each.errback(answer)
            else:
                each.callback(answer)

    def _leave(self, gone: Deferred[T]) -> None:
        if gone not in self._deferreds:
            return  # the answer is there, and others are being told
        self._deferreds.remove(gone)
        if not self._deferreds and self._deserted is not None:
            self._deserted()
