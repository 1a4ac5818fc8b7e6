"""The reading half of a stream: what the peer sends reaches the protocol, unless it has paused."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.log import callWithContext
from zope.interface import implementer

_log = Logger(namespace="gwproxy.uv")


@implementer(IPushProducer)
class ReadingHalf:
    """What is read, and when."""

    connected: bool
    disconnecting: bool
    _uv: Any
    _loop: Any
    _protocol: Any

    #: Whether the peer has closed its direction.
    _read_closed = False
    _paused = False
    #: What came between connectionMade(), which paused, and the turn in which uvloop obeyed; see _obey_pause().
    _held: bytes | None = None
    _held_end = False

    def _end(self, reason: Failure) -> None:
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
        self.data_received = self._protocol.dataReceived  # type: ignore[method-assign]
        if self._uv is not None:
            self._uv.set_protocol(self)

    def _deliver_indirectly(self) -> None:
        """Undoes that: there is another protocol."""
        if vars(self).pop("data_received", None) is not None and self._uv is not None:
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
        return self._uv is not None and bool(self._uv.is_reading())

    # connectionMade() has paused, and uvloop begins to read after it all the same

    def _obey_pause(self) -> None:
        """What that brings is held until the loop's next turn, where reading can be stopped."""
        straight = vars(self).get("data_received")
        self.data_received = self._hold  # type: ignore[method-assign]
        self.eof_received = self._hold_end  # type: ignore[method-assign]
        self._uv.set_protocol(self)
        self._loop.call_soon(self._stop_holding, straight)

    def _hold(self, data: bytes) -> None:
        self._held = data if self._held is None else self._held + data
        self._uv.pause_reading()

    def _hold_end(self) -> bool:
        self._held_end = True
        return True

    def _stop_holding(self, straight: Any) -> None:
        if self._uv is None:
            return
        del self.data_received, self.eof_received
        if straight is not None:
            self.data_received = straight  # type: ignore[method-assign]
        if self._paused:
            self._uv.pause_reading()
        self._uv.set_protocol(self)
        self._deliver_held()

    def _deliver_held(self) -> None:
        if self._paused or self._uv is None or self.disconnecting:
            return
        data, self._held = self._held, None
        try:
            if data is not None:
                self.data_received(data)
            if self._held_end and not self._paused:
                self._held_end = False
                self.eof_received()
        except BaseException:
            reason = Failure()
            _log.failure("dataReceived() failed", reason)
            self._end(reason)
            return
        if not self._paused:  # nor may it have been lost or closed meanwhile
            self.resumeProducing()
