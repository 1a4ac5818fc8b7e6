"""Signals: handlers only wake the reactor."""

from __future__ import annotations

import signal
from collections.abc import Callable

from gwproxy.signals import Signals


class Reactor:
    """Keeps what it is asked to call in its turn."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []

    def callFromThread(self, call: Callable[[], None]) -> None:
        self.asked.append(call)


def test_a_signal_is_handled_in_the_reactors_turn() -> None:
    done: list[str] = []
    reactor = Reactor()
    signals = Signals(reactor, {signal.SIGUSR1: lambda: done.append("1"), signal.SIGUSR2: lambda: done.append("2")})
    old = signal.signal(signal.SIGUSR1, signal.SIG_IGN), signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        signals.install()
        for number in (signal.SIGUSR2, signal.SIGUSR1):
            signal.raise_signal(number)
        assert done == []
        for call in reactor.asked:
            call()
        assert done == ["2", "1"]
    finally:
        signal.signal(signal.SIGUSR1, old[0])
        signal.signal(signal.SIGUSR2, old[1])
