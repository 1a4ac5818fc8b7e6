"""Connecting: Twisted's own connectors, whose connections become streams."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from gwproxy.uv.stream import Stream
from gwproxy.uv.tcp import TcpClientStream
from gwproxy.uv.unix import UnixClientStream


class _Unwanted(Protocol):
    """For a connection for which the factory wants no protocol: closed, and the connector told, as Twisted does."""

    def connectionMade(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]  # not None: connected


class _Attempt:
    """An attempt to connect, as Twisted makes it: binding, resolving, failing. What comes after is the stream's."""

    connector: Any
    reactor: Any
    socket: Any
    connected: Any
    fileno: Any

    _opening: Stream | None = None

    def _connectDone(self) -> None:
        """The kernel has a connection."""
        sock = self.socket
        del self.socket, self.fileno
        self._opening = self._stream(sock)
        self._opening.open()

    def _stream(self, sock: socket.socket) -> Stream:
        raise NotImplementedError

    def failIfNotConnected(self, err: Any) -> None:
        """Gives up, for the reason given, at any moment before there is a protocol."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.abandon()
        super().failIfNotConnected(err)  # type: ignore[misc]  # Twisted's, in the classes below

    # Opener

    def build(self, stream: Stream) -> Any:
        """The protocol. The connector has the stream from now on, and no attempt."""
        connector = self.connector
        protocol = connector.buildProtocol(stream.getPeer())
        self._opening = None
        self.connected = 1
        del self.connector
        connector.transport = stream
        stream.lost = connector.connectionLost
        return _Unwanted() if protocol is None else protocol

    def failed(self, reason: Failure) -> None:
        """It broke before."""
        self._opening = None
        self.failIfNotConnected(ConnectError(string=reason))


class TcpClient(_Attempt, tcp.Client):
    """Over TCP."""

    def _stream(self, sock: socket.socket) -> Stream:
        stream = TcpClientStream(self.reactor, sock, self.getPeer(), self)
        stream.addr = self.addr
        return stream


class UnixClient(_Attempt, unix.Client):
    """Over a UNIX socket."""

    def _stream(self, sock: socket.socket) -> Stream:
        return UnixClientStream(self.reactor, sock, self.getPeer(), self)


class TcpConnector(tcp.Connector):
    """connectTCP()'s."""

    def _makeTransport(self) -> Any:
        return TcpClient(self.host, self.port, self.bindAddress, self, self.reactor)


class UnixConnector(unix.Connector):
    """connectUNIX()'s."""

    def _makeTransport(self) -> Any:
        return UnixClient(self.address, self, self.reactor, self.checkPID)
