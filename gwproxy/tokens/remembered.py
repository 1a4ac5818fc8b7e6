"""What an authority said of tokens, for a while: by hash, in bounded memory, none of them kept in the clear."""

from __future__ import annotations

from typing import TypeVar

from gwproxy.runtime.recent import Recent

T = TypeVar("T")


class Remembered(Recent[bytes, tuple[float, float, T]]):
    """Findings, each good by two clocks: for how long we believe it, and until when the token is good at all."""

    __slots__ = ()

    def find(self, digest: bytes, seconds: float, date: float) -> T | None:
        """What is remembered, if it is still good at these `seconds` of the reactor and this `date`, since 1970."""
        entry = self.get(digest)
        if entry is None:
            return None
        until, ends, found = entry
        return found if seconds < until and date < ends else None

    def add(self, digest: bytes, until: float, ends: float, found: T) -> None:
        """Good until both, by the reactor and by date."""
        self.put(digest, (until, ends, found))
