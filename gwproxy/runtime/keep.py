"""State that outlives a reload: made once for its key, found again by whoever asks for the same key.

What is kept may have work of its own to do: a file to look at, keys to fetch. It has `start()` and `stop()` then, and
rests until the gateway serves, so that a configuration that is only checked, or is wrong, sends nothing and opens
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol, runtime_checkable

Key = tuple[Hashable, ...]


@runtime_checkable
class Worker(Protocol):
    """Something kept that works by itself."""

    def start(self) -> None:
        """The gateway serves from now on. Called once; must not wait."""

    def stop(self) -> None:
        """Nobody needs it any more. Called once, if it was started: timers and connections end here."""


class Keeper:
    """One a process. A key holds everything that the meaning of what it names depends on."""

    def __init__(self) -> None:
        self._kept: dict[Key, Any] = {}
        self._started: dict[Key, Worker] = {}

    def __repr__(self) -> str:
        return f"<Keeper {len(self._kept)} kept, {len(self._started)} at work>"

    def keep(self, key: Key, make: Callable[[], Any]) -> Any:
        """What is kept for `key`; made by `make` the first time. What `make` raises leaves nothing behind."""
        try:
            return self._kept[key]
        except KeyError:
            made = self._kept[key] = make()
            return made

    def start(self) -> None:
        """Sets to work what was made since the last call."""
        for key, kept in self._kept.items():
            if key not in self._started and isinstance(kept, Worker):
                self._started[key] = kept
                kept.start()

    def stop(self) -> None:
        """Ends all work, the last begun first."""
        while self._started:
            self._started.popitem()[1].stop()
