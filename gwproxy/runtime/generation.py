"""All that one loaded configuration built: how many exchanges are in it, and when the last one has left."""

from __future__ import annotations

from collections.abc import Callable


class Generation:
    """A number and a count. What was built, and is immutable, is `build.Gateway`, which has its generation."""

    __slots__ = ("_emptied", "in_flight", "number")

    def __init__(self, number: int = 1) -> None:
        self.number = number
        self.in_flight = 0
        self._emptied: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<Generation {self.number} in_flight={self.in_flight}>"

    def enter(self) -> None:
        """An exchange begins."""
        self.in_flight += 1

    def leave(self) -> None:
        """An exchange is over."""
        self.in_flight -= 1
        if not self.in_flight and self._emptied is not None:
            emptied, self._emptied = self._emptied, None
            emptied()

    def when_empty(self, emptied: Callable[[], None]) -> None:
        """Calls `emptied` once, as soon as no exchange is left: now if there is none."""
        if self.in_flight:
            self._emptied = emptied
        else:
            emptied()
