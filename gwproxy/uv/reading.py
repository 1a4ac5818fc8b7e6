"""The reading half of a stream: what the peer sends reaches the protocol, unless it has paused."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.python.log import callWithContext
from zope.interface import implementer


@implementer(IPushProducer)
class ReadingHalf:
    """What is read, and when."""

    connected: bool
    disconnecting: bool
    _uv: Any
    _loop: Any
    _protocol: Any
    _reason: Failure | None

    #: Whether the peer has closed its direction.
    _read_closed = False
    _paused = False
    #: Whether uvloop calls the protocol's own dataReceived.
    _straight = False
    #: Between connectionMade(), which paused, and the turn in which uvloop obeys: see _hold_back(). What came then.
    _holding = False
    _held: bytes | None = None
    _held_end = False

    def _end_raised(self, method: str) -> None:
        raise NotImplementedError

    def logPrefix(self) -> str:
        raise NotImplementedError

    def loseConnection(self) -> None:
        raise NotImplementedError

    def readConnectionLost(self, reason: Failure) -> None:
        raise NotImplementedError

    # asyncio's protocol

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer. What the protocol logs is logged under the name of the connection."""
        callWithContext({"system": self.logPrefix()}, self._protocol.dataReceived, data)

    def deliver_straight(self) -> None:
        """For a protocol whose dataReceived is never replaced by another, and which logs under names of its own: uvloop
        calls it from now on, with nothing in between."""
        self._straight = True
        self._choose_delivery()

    def _deliver_indirectly(self) -> None:
        """Undoes that: there is another protocol."""
        if self._straight:
            self._straight = False
            self._choose_delivery()

    def _choose_delivery(self) -> None:
        """What uvloop calls with bytes: it has looked that up, and is told to do so again."""
        if self._holding:
            self.data_received = self._hold  # type: ignore[method-assign]
        elif self._straight:
            self.data_received = self._protocol.dataReceived  # type: ignore[method-assign]
        else:
            vars(self).pop("data_received", None)
        if self._uv is not None:
            self._uv.set_protocol(self)

    def eof_received(self) -> bool:
        """The peer has closed its direction. True: what that means for ours is not for uvloop to decide."""
        raise NotImplementedError

    # IPushProducer

    def pauseProducing(self) -> None:
        """Nothing is delivered from now on, not even the peer's end."""
        self._paused = True
        if self._uv is not None:
            self._uv.pause_reading()

    def resumeProducing(self) -> None:
        """Undoes that."""
        self._paused = False
        if not self.connected or self.disconnecting or self._read_closed or self._uv is None:
            return
        if self._held is None and not self._held_end:
            self._uv.resume_reading()
        else:
            self._loop.call_soon(self._deliver_held)

    def stopProducing(self) -> None:
        """As loseConnection()."""
        self.loseConnection()

    startReading = resumeProducing
    stopReading = pauseProducing

    @property
    def reading(self) -> bool:
        """Whether bytes from the peer are waited for."""
        if self._uv is None or self._uv.is_closing():
            return False
        return not (self._paused or self._read_closed or self.disconnecting)

    # uvloop begins to read right after connectionMade(), which may have paused or closed

    def _hold_back(self) -> None:
        """What that brings is held until the loop's next turn, where reading can be stopped. Nor may a byte come before
        what connectionMade() has put off by callLater(0): a ClientCreator tells that way who wanted the connection."""
        self._holding = True
        self._choose_delivery()
        self._loop.call_soon(self._deliver_held)

    def _hold(self, data: bytes) -> None:
        self._held = data if self._held is None else self._held + data
        self._uv.pause_reading()

    def _wants_nothing(self) -> bool:
        return self._paused or self.disconnecting or self._reason is not None

    def _deliver_held(self) -> None:
        if self._uv is None:
            return
        if self._holding:
            self._holding = False
            self._choose_delivery()
        if self._wants_nothing():
            self._uv.pause_reading()
            return
        data, self._held = self._held, None
        try:
            if data is not None:
                self.data_received(data)
            if self._held_end and not self._wants_nothing():
                self._held_end = False
                self.eof_received()
        except BaseException:
            self._end_raised("dataReceived()")
            return
        if not self._paused:  # nor may it have been lost or closed meanwhile
            self.resumeProducing()
