"""State that outlives a reload: made once for its key, found again by whoever asks for the same key."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

Key = tuple[Hashable, ...]


class Keeper:
    """One a process. A key holds everything that the meaning of what it names depends on."""

    def __init__(self) -> None:
        self._kept: dict[Key, Any] = {}

    def __repr__(self) -> str:
        return f"<Keeper {len(self._kept)} kept>"

    def keep(self, key: Key, make: Callable[[], Any]) -> Any:
        """What is kept for `key`; made by `make` the first time."""
        try:
            return self._kept[key]
        except KeyError:
            made = self._kept[key] = make()
            return made
