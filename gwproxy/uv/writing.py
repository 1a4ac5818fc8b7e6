"""The writing half of a stream: producers are paced, what was written leaves before the connection is closed.

libuv takes what is written at once if it can, queues the rest, and tells when the queue has grown past a limit and when
it has left (asyncio's `pause_writing` and `resume_writing`). Twisted's promises are made of that here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol
from twisted.logger import Logger
from zope.interface import implementer

_log = Logger(namespace="gwproxy.uv")


@implementer(IConsumer)
class WritingHalf:
    """What is written, and who writes it. `write` and the closing calls never call back into the protocol."""

    disconnected: bool
    disconnecting: bool
    protocol: Any
    _uv: Any
    _loop: Any

    #: The registered IPushProducer or IPullProducer, and whether it is of the first kind.
    producer: Any = None
    streamingProducer = False

    #: How many bytes may wait before a push producer is paused.
    _limit = 65536
    _producer_paused = False
    #: Whether more waits in libuv's queue than the limit allows.
    _full = False
    #: Whether _settle() is due in the loop's next turn.
    _settling = False
    #: loseWriteConnection() was called; what was written has left and no more is taken.
    _write_closing = False
    _write_closed = False

    def _end_raised(self, method: str) -> None:
        raise NotImplementedError

    # IConsumer

    def write(self, data: bytes) -> None:
        """Sends `data` after all that was written before, now or as the peer takes it.

        While the connection stands this name is libuv's own `write`, on the instance. What comes here comes before or
        after that, and is dropped.
        """
        if not isinstance(data, bytes):
            raise TypeError("Data must be bytes")

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """As `write` with all of them joined: one piece for the kernel."""
        try:
            data = b"".join(iovec)
        except TypeError:
            raise TypeError("Data must be bytes") from None
        self.write(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Paces `producer` by what the peer takes, until unregisterProducer(). A lost connection stops it.

        A push producer (`streaming`) is paused while more than 64 KiB wait, at once if they do now, and resumed
        when they have left. A pull producer is asked for more each time that all it wrote has left.
        """
        if self.producer is not None:
            raise RuntimeError(
                f"Cannot register producer {producer}, because producer {self.producer} was never unregistered."
            )
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer = producer
        self.streamingProducer = streaming
        self._producer_paused = False
        if self._uv is None:
            return
        if not streaming:
            if not self._write_closed:
                self.write = self._write_and_ask  # type: ignore[method-assign]  # see write()
            self._set_limit()
            producer.resumeProducing()
            self._settle_soon()  # for what was written before: its leaving, too, asks for more
        elif self._full:
            self.pause_writing()

    def unregisterProducer(self) -> None:
        """Ends the pacing. A connection that is being closed is closed now, once all has left."""
        pulled = self.producer is not None and not self.streamingProducer
        self.producer = None
        if self._uv is None:
            return
        if pulled:
            if not self._write_closed:
                self.write = self._uv.write  # type: ignore[method-assign]  # see write()
            self._set_limit()
        if self.disconnecting or self._write_closing:
            self._settle_soon()

    def _write_and_ask(self, data: bytes) -> None:
        """A pull producer's `write`: when it has left, to the last byte, the producer is asked for more."""
        if self._uv is None:
            return
        self._uv.write(data)
        if data and not self._full:
            self._settle_soon()

    def stopConsuming(self) -> None:
        """For a producer that can't go on: as unregisterProducer() and loseConnection()."""
        self.unregisterProducer()
        self.loseConnection()

    def loseConnection(self) -> None:
        raise NotImplementedError

    @property
    def bufferSize(self) -> int:
        """How many bytes may wait before a push producer is paused. May be set."""
        return self._limit

    @bufferSize.setter
    def bufferSize(self, size: int) -> None:
        self._limit = size
        if self._uv is not None:
            self._set_limit()

    def _set_limit(self) -> None:
        """Tells libuv how much may wait before it calls pause_writing()."""
        self._uv.set_write_buffer_limits(high=0 if self._waits_for_the_last() else self._limit)

    def _waits_for_the_last(self) -> bool:
        """Whether resume_writing() has to mean that all has left, to the last byte."""
        return self._write_closing or (self.producer is not None and not self.streamingProducer)

    @property
    def writing(self) -> bool:
        """Whether bytes wait for the peer to take them."""
        return self._uv is not None and self._uv.get_write_buffer_size() > 0

    # asyncio's flow control

    def pause_writing(self) -> None:
        """More waits than the limit allows."""
        self._full = True
        if self.producer is not None and self.streamingProducer:
            self._producer_paused = True
            self.producer.pauseProducing()

    def resume_writing(self) -> None:
        """What waited has left, all but the lower limit."""
        self._full = False
        self._proceed()

    # What comes when all has left

    def _settle_soon(self) -> None:
        """Not at once: the promise is that nothing calls back from within a call to the transport."""
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        self._settling = False
        if self._uv is not None and not self._full:  # else resume_writing() comes
            self._proceed()

    def _proceed(self) -> None:
        """As twisted.internet.abstract.FileDescriptor.doWrite does when its buffer has become empty: who waits for that
        is told, and only where nobody does the connection is closed, or its writing half."""
        producer = self.producer
        if producer is not None and (self._producer_paused or not self.streamingProducer):
            self._producer_paused = False
            try:
                producer.resumeProducing()
            except BaseException:
                self._end_raised("resumeProducing()")
        elif self.disconnecting:
            self._uv.close()
        elif self._write_closing and not self._write_closed:
            self._close_writing()

    def loseWriteConnection(self) -> None:
        """Closes this direction when what was written has left; the protocol's writeConnectionLost() tells when, if it
        has one (IHalfCloseableProtocol). Reading goes on."""
        self._write_closing = True
        if self._uv is not None:
            self._set_limit()
            self._settle_soon()

    def _close_writing(self) -> None:
        self._write_closed = True
        vars(self).pop("write", None)
        self._shut_down(socket.SHUT_WR)
        half_closeable = IHalfCloseableProtocol(self.protocol, None)
        if half_closeable is None:
            return
        try:
            half_closeable.writeConnectionLost()
        except BaseException:
            self._end_raised("writeConnectionLost()")

    def _shut_down(self, how: int) -> None:
        raise NotImplementedError

    # The end

    def _stop_producer(self) -> None:
        producer, self.producer = self.producer, None
        if producer is None:
            return
        try:
            producer.stopProducing()
        except BaseException:
            _log.failure("stopProducing() failed")
