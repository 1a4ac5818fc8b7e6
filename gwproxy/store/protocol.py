"""Redis on the wire: txredisapi reads the answers; who asked what is for the connection to know."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Final, Protocol

# Bytes of one answer: scripts give a few numbers. Who sends more is no Redis of ours, and would fill the memory.
MOST_ANSWER: Final = 1 << 20


class Receiver(Protocol):
    """What a protocol tells."""

    def made(self, protocol: Any) -> None:
        """It is connected."""

    def replied(self, protocol: Any, reply: Any) -> None:
        """The next answer: an int, bytes, str (a status), None, a list of these, or an Exception."""

    def lost(self, protocol: Any, why: str) -> None:
        """It is connected no more."""


def encode(parts: Iterable[bytes]) -> bytes:
    """A command: an array of bulk strings."""
    pieces = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"*%d\r\n%b" % (len(pieces), b"".join(pieces))


@cache
def protocol_class() -> type[Any]:
    """The class of protocols, each made with its Receiver.

    txredisapi imports the reactor, and who does so first chooses it for all: call this once the reactor runs.
    Its own queue of Deferreds, its login and its reconnecting are left out, for they wait without a deadline.
    """
    from txredisapi import RedisProtocol  # type: ignore[import-untyped]  # ships no types

    class StoreProtocol(RedisProtocol):  # type: ignore[misc]  # for the same reason
        """One connection."""

        def __init__(self, receiver: Receiver) -> None:
            # bytes stay bytes, and numbers in them text
            super().__init__(charset=None, convertNumbers=False)
            self._receiver = receiver
            self._unfinished = 0  # bytes since the last answer

        def connectionMade(self) -> None:
            self._receiver.made(self)

        def connectionLost(self, why: Any) -> None:
            self._receiver.lost(self, why.getErrorMessage())

        def dataReceived(self, data: bytes, unpause: bool = False) -> None:
            self._unfinished += len(data)
            super().dataReceived(data, unpause)
            if self._unfinished > MOST_ANSWER:
                self.transport.abortConnection()

        def replyReceived(self, reply: Any) -> None:
            self._unfinished = 0
            self._receiver.replied(self, reply)

    return StoreProtocol
