"""What was found out about tokens, for a while: by hash, in bounded memory, none of them kept in the clear."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """At most `size` findings.

    Two halves: what is used again moves into the new one, and when that is full the old one is dropped whole, with all
    in it that ended or was not asked for again.
    """

    __slots__ = ("_half", "_new", "_old")

    def __init__(self, size: int) -> None:
        """0: nothing is remembered."""
        self._half = (size + 1) // 2
        self._new: dict[bytes, tuple[float, float, T]] = {}
        self._old: dict[bytes, tuple[float, float, T]] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def find(self, digest: bytes, seconds: float, date: float) -> T | None:
        """What is remembered, if it is still good at these `seconds` of the reactor and this `date`, since 1970."""
        entry = self._new.get(digest)
        if entry is None:
            entry = self._old.pop(digest, None)
            if entry is None:
                return None
            self._put(digest, entry)
        until, ends, found = entry
        return found if seconds < until and date < ends else None

    def add(self, digest: bytes, until: float, ends: float, found: T) -> None:
        """Good until both, by the reactor and by date."""
        if self._half:
            self._old.pop(digest, None)
            self._put(digest, (until, ends, found))

    def _put(self, digest: bytes, entry: tuple[float, float, T]) -> None:
        if len(self._new) >= self._half and digest not in self._new:
            self._old = self._new
            self._new = {}
        self._new[digest] = entry
