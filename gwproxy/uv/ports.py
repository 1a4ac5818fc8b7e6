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
from twisted.python.failure import Failure

from gwproxy.uv.addresses import internet_address
from gwproxy.uv.stream import Stream
from gwproxy.uv.tcp import TcpStream
from gwproxy.uv.unix import UnixStream

_log = Logger(namespace="gwproxy.uv")


class Serving:
    """Opens connections for a factory of servers' protocols."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def build(self, stream: Stream) -> Any:
        """The protocol that the factory makes for the peer; None where it wants none."""
        return self._factory.buildProtocol(stream.getPeer())

    def failed(self, reason: Failure) -> None:
        """Nobody waits for it."""


class _Built:
    """Opens a connection for a protocol that is there."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def build(self, stream: Stream) -> Any:
        return self._protocol

    def failed(self, reason: Failure) -> None:
        """It was told of nothing."""


def adopt(reactor: Any, sock: socket.socket, factory: Any) -> Stream | None:
    """A stream for a socket that somebody else has connected; None where the factory wants no protocol for it."""
    name = sock.getpeername()
    unix_peer = UNIXAddress(name or None) if sock.family == socket.AF_UNIX else None
    peer = unix_peer or internet_address(name)
    protocol = factory.buildProtocol(peer)
    if protocol is None:
        sock.close()
        return None
    stream: Stream
    if unix_peer is not None:
        stream = UnixStream(reactor, sock, unix_peer, _Built(protocol))
    else:
        stream = TcpStream(reactor, sock, peer, _Built(protocol))
        stream.sessionno = name[1]
    stream.open()
    return stream


class _Accepting:
    """Accepts what waits in the queue and opens a stream for each connection."""

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
                    stream = self._stream(sock, name, Serving(self.factory))
                    stream.sessionno = self.sessionno
                    self.sessionno += 1
                    stream.open()
        except BaseException:
            _log.failure("A connection could not be accepted")
        # a full turn may have left some; the next takes more
        self.numberAccepts = self.numberAccepts + 20 if accepted == self.numberAccepts else max(1, accepted)

    def _stream(self, sock: socket.socket, name: Any, opener: Serving) -> Stream:
        raise NotImplementedError


class TcpPort(_Accepting, tcp.Port):
    """A TCP port."""

    def _stream(self, sock: socket.socket, name: Any, opener: Serving) -> Stream:
        return TcpStream(self.reactor, sock, internet_address(name), opener)


class UnixPort(_Accepting, unix.Port):
    """A UNIX socket."""

    def _stream(self, sock: socket.socket, name: Any, opener: Serving) -> Stream:
        return UnixStream(self.reactor, sock, UNIXAddress(name or None), opener)
