"""A producer that must be asked for each piece, made into one that goes until it is told to wait."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer


@implementer(IPushProducer)
class PullToPush:
    """Asks an IPullProducer once a turn of the reactor, so that a large file does not keep others waiting."""

    def __init__(self, producer: Any, reactor: IReactorTime) -> None:
        self._producer = producer
        self._reactor = reactor
        self._call: IDelayedCall | None = None
        self._running = False

    def start(self) -> None:
        """Begins with the next turn."""
        self._running = True
        if self._call is None:
            self._call = self._reactor.callLater(0, self._ask)

    def stop(self) -> None:
        """The producer has nothing more; nothing is asked of it again."""
        self._running = False
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _ask(self) -> None:
        self._call = None
        self._producer.resumeProducing()
        if self._running and self._call is None:
            self._call = self._reactor.callLater(0, self._ask)

    def pauseProducing(self) -> None:
        self.stop()

    def resumeProducing(self) -> None:
        self.start()

    def stopProducing(self) -> None:
        self.stop()
        self._producer.stopProducing()
