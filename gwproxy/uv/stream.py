"""A connection: towards a protocol a Twisted transport, towards libuv an asyncio protocol.

One object for both, so that nothing stands between them where it matters: `write` is uvloop's own, and with
deliver_straight() uvloop calls the protocol's dataReceived.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    ILoggingContext,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from gwproxy.uv.reading import ReadingHalf
from gwproxy.uv.secured import start_tls
from gwproxy.uv.writing import WritingHalf

_log = Logger(namespace="gwproxy.uv")

# With it, close() sends a reset instead of an orderly end.
_NO_LINGER = struct.pack("ii", 1, 0)
_READ_SIZE = 65536

Address = IPv4Address | IPv6Address | UNIXAddress


class Opener(Protocol):
    """Who wants the connection."""

    def build(self, stream: Stream) -> Any:
        """The protocol for it; None: it is closed without a word. May raise, which is logged, and the same."""

    def failed(self, reason: Failure) -> None:
        """It came to nothing before there was a protocol."""


@implementer(ITLSTransport, ITCPTransport, IHalfCloseableDescriptor, ISystemHandle, ILoggingContext)
class Stream(ReadingHalf, WritingHalf):
    """A stream connection from its first byte to its last.

    Made around a connected socket, which it owns; open() hands that to libuv. When libuv has it, in one of the loop's
    next turns, the protocol is built and its makeConnection() called.
    """

    connected = False
    disconnected = False
    disconnecting = False

    #: Counts the connections that a port has accepted.
    sessionno = 0

    TLS = False
    _tlsClientDefault: ClassVar[bool] = False

    #: uvloop's transport while there is one: from connection_made() to connection_lost().
    _uv: Any = None
    #: Why the connection ends, when it is we who end it, and whether by a reset.
    _reason: Failure | None = None
    _aborted = False
    #: What the log calls it, once asked.
    _log_prefix: str | None = None

    #: Told the reason after the protocol was: for a connector, which has to be told too.
    lost: Callable[[Failure], object] | None = None

    def __init__(self, reactor: Any, sock: socket.socket, peer: Address, opener: Opener) -> None:
        self.reactor = reactor
        self.socket = sock
        self._loop = reactor.loop
        self._peer = peer
        self._opener: Opener | None = opener
        self._protocol: Any = None
        sock.setblocking(False)

    def open(self) -> None:
        """Hands the socket to libuv."""
        self.reactor.streams.add(self)
        self._loop.create_task(self._open())

    async def _open(self) -> None:
        try:
            await self._loop.connect_accepted_socket(self._itself, self.socket)
        except OSError:  # it was not connected
            self.socket.close()
            self.connectionLost(Failure(ConnectionLost()))

    @property
    def opening(self) -> bool:
        """Whether libuv is to have the socket, and there is no protocol yet."""
        return self._opener is not None

    def abandon(self) -> None:
        """For an opener that no longer wants it: closed as soon as libuv has it."""
        self._opener = None
        self._forget()

    def _forget(self) -> None:
        self.connected = False
        self.disconnected = True
        self.reactor.streams.discard(self)

    def _itself(self) -> Stream:
        return self

    @property
    def protocol(self) -> Any:
        """Who is told what happens. Another may be set at any time."""
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        self._deliver_indirectly()

    # asyncio's protocol: the beginning and the end

    def connection_made(self, transport: Any) -> None:
        """libuv has the socket."""
        opener, self._opener = self._opener, None
        if opener is None:  # abandoned, or the reactor was stopped
            transport.abort()
            return
        failed = None
        try:
            self._protocol = opener.build(self)
        except BaseException:
            failed = Failure()
            _log.failure("buildProtocol() failed", failed)
        if self._protocol is None:
            self._forget()
            transport.abort()
            if failed is not None:
                opener.failed(failed)
            return
        self.connected = True
        self._uv = transport
        self.write = transport.write  # type: ignore[method-assign]  # see WritingHalf.write
        try:
            self._begin()
        except BaseException:
            reason = Failure()
            _log.failure("connectionMade() failed", reason)
            if self.lost is not None:  # as Twisted: a server's connection stays, a client's does not
                self._end(reason)
        if self._uv is not None:
            self._hold_back()

    def _begin(self) -> None:
        self._protocol.makeConnection(self)

    def eof_received(self) -> bool:
        if self._holding:
            self._held_end = True
            return True
        self._read_closed = True
        self.readConnectionLost(Failure(ConnectionDone()))
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """libuv closes the socket after this. `error`: what the system said, or what the protocol raised; None where
        it is we who close."""
        if self.disconnected:
            return
        raised = None
        if error is not None and error.__traceback__ is not None:  # what the system said was never raised, and has none
            raised = Failure(error, type(error), error.__traceback__)
        if error is None:
            if not self._aborted:
                # closing alone ends nothing while another process has a copy of the descriptor
                self._shut_down(socket.SHUT_RDWR)
        elif raised is None:
            self._drain()
        elif isinstance(error, OSError):  # of which uvloop tells nobody else
            _log.failure("dataReceived() failed", raised)
        self._finish(self._reason or raised or Failure(ConnectionDone() if error is None else ConnectionLost()))

    def _drain(self) -> None:
        """The connection broke when something was sent. What the peer had said before is still there, and may be the
        answer that explains it."""
        self._deliver_held()
        while not (self._read_closed or self._wants_nothing()):
            try:
                data = self.socket.recv(_READ_SIZE)
            except OSError:
                return
            if not data:
                return
            try:
                self.data_received(data)
            except BaseException:
                self._reason = Failure()
                _log.failure("dataReceived() failed", self._reason)

    def _finish(self, reason: Failure) -> None:
        self._forget()
        self._stop_producer()
        self._uv = None
        for name in ("write", "data_received"):
            vars(self).pop(name, None)
        lost, self.lost = self.lost, None
        try:
            self._protocol.connectionLost(reason)
        except BaseException:
            _log.failure("connectionLost() failed")
        self._protocol = None
        if lost is not None:
            lost(reason)

    def _end(self, reason: Failure) -> None:
        """Ends the connection without waiting for what was written; the protocol is told in the loop's next turn."""
        if self._reason is None:
            self._reason = reason
        if self._uv is not None:
            self._uv.abort()

    def _end_raised(self, method: str) -> None:
        """The same, in an except clause: for what the protocol, or the producer, has raised."""
        reason = Failure()
        _log.failure(f"{method} failed", reason)
        self._end(reason)

    # ITransport

    def loseConnection(self) -> None:
        """Closes the connection when what was written has left and the producer, if one waits, has finished."""
        if not self.connected or self.disconnecting:
            return
        self.disconnecting = True
        self._uv.pause_reading()
        self._settle_soon()

    def abortConnection(self) -> None:
        """Resets the connection: what was written and has not left is dropped."""
        if not self.connected or self._aborted:
            return
        self._aborted = True
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        except OSError:  # closed already
            pass
        self._end(Failure(ConnectionAborted()))

    def getPeer(self) -> Any:
        """The other end."""
        return self._peer

    def getHost(self) -> Any:
        """This end."""
        raise NotImplementedError

    def getHandle(self) -> socket.socket:
        """The socket. It is libuv's: to be asked and set, not to be read from."""
        return self.socket

    def fileno(self) -> int:
        """Its descriptor; -1 when it is closed."""
        return self.socket.fileno()

    def getTcpKeepAlive(self) -> bool:
        """Whether the kernel asks a silent peer for a sign of life."""
        return bool(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Whether it does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    def getTcpNoDelay(self) -> bool:
        """Whether small writes are sent at once."""
        raise NotImplementedError

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Whether they are."""
        raise NotImplementedError

    # IHalfCloseableDescriptor, and what reactors call

    def readConnectionLost(self, reason: Failure) -> None:
        """The peer has closed its direction: the end of the connection, unless the protocol can do with half of it."""
        half_closeable = IHalfCloseableProtocol(self._protocol, None)
        if half_closeable is None:
            self._end(reason)
            return
        try:
            half_closeable.readConnectionLost()
        except BaseException:
            self._end_raised("readConnectionLost()")

    def writeConnectionLost(self, reason: Failure) -> None:
        """Part of the interface; nobody calls it."""
        self.connectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        """Ends the connection at once: a reactor that stops has no next turn."""
        if self._opener is not None:
            opener, self._opener = self._opener, None
            self._forget()
            opener.failed(reason)
        elif self.connected:
            uv = self._uv
            self._finish(reason)
            self._shut_down(socket.SHUT_RDWR)
            uv.abort()

    def _shut_down(self, how: int) -> None:
        try:
            self.socket.shutdown(how)
        except OSError:  # the peer was faster; reading tells
            pass

    # ITLSTransport, ILoggingContext

    def startTLS(self, contextFactory: Any, normal: bool = True) -> None:
        """From here on the protocol speaks through TLS: as the client if this end has opened the connection, as the
        server if not; the other way round if not `normal`."""
        start_tls(self, contextFactory, client=self._tlsClientDefault == normal)

    def logPrefix(self) -> str:
        """Whose connection it is, as Twisted writes it: `HTTPChannel,7,127.0.0.1`, `Client,client`."""
        if self._log_prefix is None:
            protocol = self._protocol
            of = protocol.logPrefix() if ILoggingContext.providedBy(protocol) else type(protocol).__name__
            self._log_prefix = f"{of},{self._log_name()}"
        return self._log_prefix

    @property
    def logstr(self) -> str:
        """The same, by the name that Twisted's own transports have for it."""
        return self.logPrefix()

    def _log_name(self) -> str:
        return f"{self.sessionno},{getattr(self._peer, 'host', '')}"

    def __repr__(self) -> str:
        if self.disconnected or self.socket.fileno() < 0:
            return f"<{type(self).__name__} #{self.sessionno}, lost>"
        name = self.socket.getsockname()
        where = name[1] if isinstance(name, tuple) else name
        return f"<{type(self._protocol).__name__} #{self.sessionno} on {where}>"
