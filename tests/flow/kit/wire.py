"""One TCP connection in memory, seen from the gateway: it does what twisted.internet.tcp.Connection does.

Bytes leave in the next turn of the reactor. A peer that does not read fills the buffer, and a full buffer pauses the
producer; the gateway that does not read leaves the peer's bytes, and its FIN, waiting.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

# What a transport of Twisted's holds before its producer must wait.
BUFFER: Final = 64 * 1024

FIN: Final = b""


@implementer(ITCPTransport, IPushProducer)
class Wire:
    """The transport of one protocol of the gateway's."""

    def __init__(self, clock: Clock, protocol: Any, peer: IPv4Address, host: IPv4Address) -> None:
        self._clock = clock
        self._protocol = protocol
        self._peer = peer
        self._host = host
        self.producer: Any = None
        self._producer_paused = False
        self.arrived = b""  # what the peer has read
        self.unsent = b""  # what it has not
        self.peer_reads = True
        self.reading = True  # whether the gateway reads
        self._waiting: list[bytes] = []  # for the gateway to read on
        self.shut = False  # the gateway has sent its FIN
        self._shutting = False
        self.disconnecting = False
        self.lost: Failure | None = None
        self._aborting = False

    # For the gateway

    def write(self, data: bytes) -> None:
        if self.lost or self._shutting or not data:
            return
        assert isinstance(data, bytes)
        self.unsent += data
        if self.producer is not None and len(self.unsent) > BUFFER:
            self._producer_paused = True
            self.producer.pauseProducing()
        self._clock.callLater(0, self._send)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None and streaming
        self.producer = producer
        if self.disconnecting or self.lost:
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        self.producer = None
        self._clock.callLater(0, self._send)

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        if not self.lost and not self.disconnecting and not self._aborting:
            self.reading = True
            self._clock.callLater(0, self._deliver)

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        if not self.lost and not self.disconnecting:
            self.disconnecting = True
            self.reading = False
            self._clock.callLater(0, self._send)

    def loseWriteConnection(self) -> None:
        self._shutting = True
        self._clock.callLater(0, self._send)

    def abortConnection(self) -> None:
        if not self.lost and not self._aborting:
            self._aborting = True
            self.reading = False
            self._clock.callLater(0, self.lose, ConnectionAborted())

    def setTcpNoDelay(self, enabled: bool) -> None: ...

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None: ...

    def getTcpKeepAlive(self) -> bool:
        return False

    def getPeer(self) -> IPv4Address:
        return self._peer

    def getHost(self) -> IPv4Address:
        return self._host

    # For the peer

    def open(self) -> None:
        """The connection is made."""
        self._protocol.makeConnection(self)

    def deliver(self, data: bytes) -> None:
        """Bytes of the peer's, or its FIN."""
        self._waiting.append(data)
        self._deliver()

    @property
    def held_back(self) -> int:
        """How much the gateway leaves unread."""
        return sum(map(len, self._waiting))

    def read_on(self) -> None:
        """The peer reads again, all that there is."""
        self.peer_reads = True
        self._send()

    def lose(self, reason: Exception) -> None:
        """The connection is gone, for the gateway."""
        if self.lost is None:
            self.lost = Failure(reason)
            self.reading = False
            producer, self.producer = self.producer, None
            if producer is not None:
                producer.stopProducing()
            self._protocol.connectionLost(self.lost)

    def _deliver(self) -> None:
        while self._waiting and self.reading and not self.lost:
            data = self._waiting.pop(0)
            if data is not FIN:
                self._protocol.dataReceived(data)
            elif IHalfCloseableProtocol.providedBy(self._protocol):
                self._protocol.readConnectionLost()
            else:
                self.lose(ConnectionDone())

    def _send(self) -> None:
        if self.lost or self._aborting or not self.peer_reads:
            return
        self.arrived += self.unsent
        self.unsent = b""
        if self.producer is not None and self._producer_paused:
            self._producer_paused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            self.lose(ConnectionDone())
        elif self._shutting and not self.shut:
            self.shut = True
            self._protocol.writeConnectionLost()
