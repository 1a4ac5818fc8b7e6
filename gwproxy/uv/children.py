"""How the end of a child process becomes known."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from twisted.internet.process import reapAllProcesses


class ChildSignals:
    """Reaps child processes when the system tells that one has ended (SIGCHLD).

    Twisted lets the signal write into a pipe of its own by signal.set_wakeup_fd(). There is one such place in a process
    and uvloop needs it while it runs; it runs the Python handlers of the signals that arrive there, so this is one.
    """

    def __init__(self, call_soon: Callable[[Callable[[], object]], object]) -> None:
        self._call_soon = call_soon  # callable from a signal handler

    def install(self) -> None:
        """Begins to listen, and reaps those that have ended before."""
        signal.signal(signal.SIGCHLD, self._child_ended)
        signal.siginterrupt(signal.SIGCHLD, False)
        reapAllProcesses()

    def uninstall(self) -> None:
        """Ends that."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _child_ended(self, number: int, frame: FrameType | None) -> None:
        self._call_soon(reapAllProcesses)
