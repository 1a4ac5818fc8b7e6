"""Connecting: Twisted's own connectors, whose connections become streams."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from gwproxy.uv.tcp import TcpClientStream
from gwproxy.uv.unix import UnixClientStream, unix_transport


class _Attempt:
    """An attempt to connect, as Twisted makes it: binding, resolving, failing. What comes after belongs to a transport
    of ours."""

    connector: Any
    reactor: Any
    socket: Any
    connected: Any
    fileno: Any

    def _connectDone(self) -> None:
        """The kernel has a connection."""
        connector, sock = self.connector, self.socket
        peer = self.getPeer()  # type: ignore[attr-defined]
        protocol = connector.buildProtocol(peer)
        # nothing is left here that could fail or be closed
        self.connected = 1
        del self.connector, self.socket, self.fileno
        connector.transport = transport = self._connected(
            sock, Protocol() if protocol is None else protocol, peer, connector.connectionLost
        )
        if protocol is None:  # the factory wants none: closed, and the connector told
            transport.loseConnection()

    def _connected(self, sock: socket.socket, protocol: Any, peer: Any, lost: Callable[[Failure], object]) -> Any:
        raise NotImplementedError


class TcpClient(_Attempt, tcp.Client):
    """Over TCP."""

    def _connected(self, sock: socket.socket, protocol: Any, peer: Any, lost: Callable[[Failure], object]) -> Any:
        stream = TcpClientStream(self.reactor, sock, protocol, peer, lost)
        stream.addr = self.addr
        stream.open()
        return stream


class UnixClient(_Attempt, unix.Client):
    """Over a UNIX socket."""

    def _connected(self, sock: socket.socket, protocol: Any, peer: Any, lost: Callable[[Failure], object]) -> Any:
        return unix_transport(UnixClientStream(self.reactor, sock, protocol, peer, lost))


class TcpConnector(tcp.Connector):
    """connectTCP()'s."""

    def _makeTransport(self) -> Any:
        return TcpClient(self.host, self.port, self.bindAddress, self, self.reactor)


class UnixConnector(unix.Connector):
    """connectUNIX()'s."""

    def _makeTransport(self) -> Any:
        return UnixClient(self.address, self, self.reactor, self.checkPID)
