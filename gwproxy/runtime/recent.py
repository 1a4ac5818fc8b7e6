"""What was found out, by key, in bounded memory: what is asked for again stays."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `size` values, rounded up to an even number; None is none of them.

    Two halves: what is used again moves into the new one, and when that is full the old one is dropped whole, with all
    in it that was not asked for again. So no flood of others drops what is in use, and to drop costs nothing: to take
    out of the front of a dict one by one costs more with each.

    Whether a value is still good is for whoever put it in.
    """

    __slots__ = ("_half", "_new", "_old")

    def __init__(self, size: int) -> None:
        """0: nothing is kept."""
        self._half = (size + 1) // 2
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self)} of up to {2 * self._half}>"

    def get(self, key: K) -> V | None:
        """What was put there last, if it is still here."""
        value = self._new.get(key)
        return self._renew(key) if value is None else value

    def put(self, key: K, value: V) -> None:
        """In place of what is there."""
        if self._half:
            self._old.pop(key, None)
            self._put(key, value)

    def clear(self) -> None:
        """Nothing is known any more."""
        self._new.clear()
        self._old.clear()

    def _renew(self, key: K) -> V | None:
        """Of what is not in the new half. Apart, so that who derives from this need not call to look there."""
        value = self._old.pop(key, None)
        if value is not None:
            self._put(key, value)
        return value

    def _put(self, key: K, value: V) -> None:
        if len(self._new) >= self._half and key not in self._new:
            self._old = self._new
            self._new = {}
        self._new[key] = value
