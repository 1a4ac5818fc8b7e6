"""Listening: Twisted's own ports, whose connections become streams.

libuv could accept by itself, but uvloop closes a listener for good after the first accept() that fails, and an edge has
to survive a kernel that is out of buffers. Twisted's ports do.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.address import UNIXAddress
from twisted.logger import Logger

from gwproxy.uv.addresses import internet_address
from gwproxy.uv.tcp import TcpStream
from gwproxy.uv.unix import UnixStream, unix_transport

_log = Logger(namespace="gwproxy.uv")


def serve_tcp(reactor: Any, sock: socket.socket, peer_name: Any, factory: Any, number: int) -> TcpStream | None:
    """A protocol of `factory` for a connected socket, and its stream, the port's `number`th; None where the factory
    wants none."""
    peer = internet_address(peer_name)
    protocol = factory.buildProtocol(peer)
    if protocol is None:
        sock.close()
        return None
    stream = TcpStream(reactor, sock, protocol, peer)
    stream.sessionno = number
    stream.open()
    return stream


def serve_unix(reactor: Any, sock: socket.socket, peer_name: Any, factory: Any, number: int) -> Any:
    """The same over a UNIX socket."""
    peer = UNIXAddress(peer_name or None)
    protocol = factory.buildProtocol(peer)
    if protocol is None:
        sock.close()
        return None
    stream = UnixStream(reactor, sock, protocol, peer)
    stream.sessionno = number
    return unix_transport(stream)


def adopt(reactor: Any, sock: socket.socket, factory: Any) -> Any:
    """The same for a socket of either kind."""
    peer_name = sock.getpeername()
    if sock.family == socket.AF_UNIX:
        return serve_unix(reactor, sock, peer_name, factory, 0)
    return serve_tcp(reactor, sock, peer_name, factory, peer_name[1])


class _Accepting:
    """Accepts what waits in the queue and hands each connection to _accepted()."""

    socket: Any
    factory: Any
    reactor: Any
    numberAccepts: int
    sessionno: int
    _logger: Any

    def doRead(self) -> None:
        """The reactor's word that connections wait."""
        accepted = 0
        try:
            with tcp._BuffersLogs(self._logger.namespace, self._logger.observer) as log:
                queue = tcp._accept(log, range(self.numberAccepts), self.socket, tcp._reservedFD)
                for accepted, (sock, name) in enumerate(queue, 1):  # noqa: B007 # counts
                    self._accepted(sock, name)
        except BaseException:
            _log.failure("A connection could not be accepted")
        # a full turn may have left some; the next takes more
        self.numberAccepts = self.numberAccepts + 20 if accepted == self.numberAccepts else max(1, accepted)

    def _accepted(self, sock: socket.socket, name: Any) -> None:
        raise NotImplementedError


class TcpPort(_Accepting, tcp.Port):
    """A TCP port."""

    def _accepted(self, sock: socket.socket, name: Any) -> None:
        serve_tcp(self.reactor, sock, name, self.factory, self.sessionno)
        self.sessionno += 1


class UnixPort(_Accepting, unix.Port):
    """A UNIX socket."""

    def _accepted(self, sock: socket.socket, name: Any) -> None:
        serve_unix(self.reactor, sock, name, self.factory, self.sessionno)
        self.sessionno += 1
