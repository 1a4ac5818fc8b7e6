"""What the daemon does on signals. Handlers only wake the reactor; the work is done in its turn."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any


class Signals:
    """Handlers put in place of what was there, and back."""

    def __init__(self, reactor: Any, actions: Mapping[int, Callable[[], None]]) -> None:
        self._reactor = reactor
        self._actions = actions
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """To be called when the reactor runs: it installs its own at its start, which would end the process by SIGTERM
        again after a clean stop, instead of with status 0."""
        for number in self._actions:
            self._before[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """What was there before."""
        before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._actions[number])
