"""Streams over UNIX sockets, which can carry file descriptors beside bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import unix
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IFileDescriptorReceiver, IUNIXTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from gwproxy.uv.stream import Stream

_log = Logger(namespace="gwproxy.uv")

# What a stream that has been given back leads to Twisted's transport.
_LED = (
    "write", "writeSequence", "sendFileDescriptor", "registerProducer", "unregisterProducer", "stopConsuming",
    "loseConnection", "loseWriteConnection", "abortConnection", "connectionLost", "pauseProducing", "resumeProducing",
    "stopProducing", "startReading", "stopReading", "startTLS", "getHandle", "fileno", "getHost", "logPrefix",
    "getTcpKeepAlive", "setTcpKeepAlive",
)  # fmt: skip


@implementer(IUNIXTransport)
class UnixStream(Stream):
    """Over a UNIX socket, accepted by this end.

    libuv sends and receives no descriptors. The first that is to be sent gives the connection back to Twisted's own
    transport, once what was written before has left.
    """

    _peer: UNIXAddress

    #: Descriptors and bytes that wait for that, from the first descriptor on.
    _waiting: list[int | bytes] | None = None
    _given_back = False

    def getHost(self) -> Any:
        return UNIXAddress(self.socket.getsockname())

    def _log_name(self) -> str:
        return f"{self.sessionno},{self.socket.getsockname()!s}"

    def sendFileDescriptor(self, descriptor: int) -> None:
        """Sends a copy of `descriptor` with the bytes that are written next; at least one for each."""
        if self._uv is None:
            return
        if self._waiting is None:
            self._waiting = []
            self.write = self._waiting.append  # type: ignore[assignment, method-assign]  # see WritingHalf.write
            self._set_limit()
        self._waiting.append(descriptor)
        if not self._full:
            self._give_back(self._waiting)

    def _begin(self) -> None:
        receives_descriptors = IFileDescriptorReceiver.providedBy(self._protocol)
        if receives_descriptors:
            self._protocol.makeConnection(self._give_back([]))
        else:
            super()._begin()

    def _waits_for_the_last(self) -> bool:
        return self._waiting is not None or super()._waits_for_the_last()

    def _proceed(self) -> None:
        if self._waiting is None:
            super()._proceed()
        else:
            self._give_back(self._waiting)

    def _give_back(self, waiting: list[int | bytes]) -> unix.Server:
        # The copy stays when libuv closes the original, and what the peer has sent waits in the kernel.
        transport = _Transport(
            self.socket.dup(), self._protocol, self._peer.name or "", None, self.sessionno, self.reactor
        )
        transport.lost = self.lost
        self._given_back = True
        self._uv.abort()
        self._uv = None
        self.reactor.streams.discard(self)
        vars(self).update({name: getattr(transport, name) for name in _LED})
        if getattr(self._protocol, "transport", None) is self:
            self._protocol.transport = transport
        transport.held, self._held = self._held, None
        transport.stopReading()
        if not self._paused:
            transport.startReading()  # now that it knows
        producer, streaming = self.producer, self.streamingProducer
        if producer is not None:
            transport.registerProducer(producer, streaming)
        for item in waiting:
            if isinstance(item, int):
                transport.sendFileDescriptor(item)
            else:
                transport.write(item)
        if self._producer_paused:
            producer.resumeProducing()
        if self.disconnecting:
            transport.loseConnection()
        return transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self._given_back:
            super().connection_lost(error)

    def getTcpNoDelay(self) -> bool:
        """There is nothing to delay: False, as Twisted says it."""
        return False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Changes nothing."""


class UnixClientStream(UnixStream):
    """The same, opened by this end."""

    _tlsClientDefault = True

    def getHost(self) -> Any:
        return UNIXAddress(None)

    def _log_name(self) -> str:
        return "client"


class _Transport(unix.Server):
    """Twisted's own, which tells a connector as well, and delivers first what libuv has read."""

    lost: Callable[[Failure], Any] | None = None
    #: What libuv has read, and whether that is to be delivered now.
    held: bytes | None = None
    _reads = False

    reactor: Any

    def startReading(self) -> None:
        self._reads = True
        if self.held is None:
            super().startReading()
        else:
            self.reactor.callLater(0, self._deliver_held)

    def stopReading(self) -> None:
        self._reads = False
        super().stopReading()

    def _deliver_held(self) -> None:
        held = self.held
        if held is None or not self._reads:
            return
        self.held = None
        super().startReading()
        try:
            self.protocol.dataReceived(held)
        except BaseException:
            reason = Failure()
            _log.failure("dataReceived() failed", reason)
            self.connectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        lost, self.lost = self.lost, None
        if lost is not None:
            lost(reason)
