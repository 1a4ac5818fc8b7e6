"""What the daemon does on signals. Handlers only wake the reactor; the work is done in its turn."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any


class Signals:
    """Handlers, for as long as the process lives: a signal that comes while it is ending must not end it otherwise."""

    def __init__(self, reactor: Any, actions: Mapping[int, Callable[[], None]]) -> None:
        self._reactor = reactor
        self._actions = actions

    def install(self) -> None:
        """To be called when the reactor runs: it installs its own at its start, which would end the process by SIGTERM
        again after a clean stop, instead of with status 0."""
        for number in self._actions:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._actions[number])
