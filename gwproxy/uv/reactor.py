"""The reactor: the asyncio reactor's on uvloop's loop, but for stream connections, which are libuv's own."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvloop
from twisted.internet._signals import _MultiSignalHandling
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.base import ReactorBase
from twisted.internet.error import UnsupportedAddressFamily
from twisted.internet.main import installReactor
from twisted.logger import Logger
from twisted.python.failure import Failure

from gwproxy.uv.children import ChildSignals
from gwproxy.uv.clients import TcpConnector, UnixConnector
from gwproxy.uv.ports import TcpPort, UnixPort, adopt
from gwproxy.uv.stream import Stream

_log = Logger(namespace="gwproxy.uv")


def install() -> None:
    """Makes it the process's reactor, and its loop asyncio's. Raises ReactorAlreadyInstalledError.

    Each reactor's module has such a function: it is what twistd calls, and how a child process gets the same reactor.
    """
    reactor = UvReactor()
    asyncio.set_event_loop(reactor.loop)
    installReactor(reactor)


class UvReactor(AsyncioSelectorReactor):
    """Timers, threads, processes, datagrams and foreign descriptors are the asyncio reactor's."""

    def __init__(self, eventloop: Any = None) -> None:
        """`eventloop` is a uvloop.Loop; without one, a new one."""
        self.loop = uvloop.new_event_loop() if eventloop is None else eventloop
        self.loop.set_exception_handler(_failed)
        #: Those that are open: what getReaders() and getWriters() tell besides the descriptors that are watched.
        self.streams: set[Stream] = set()
        super().__init__(self.loop)

    def _signalsFactory(self) -> Any:
        return _MultiSignalHandling((ReactorBase._signalsFactory(self), ChildSignals(self.loop.call_soon_threadsafe)))

    # IReactorTCP

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str = "") -> TcpPort:
        """Returns an IListeningPort that listens. Raises CannotListenError."""
        listening = TcpPort(port, factory, backlog, interface, self)
        listening.startListening()
        return listening

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30.0, bindAddress: Any = None
    ) -> TcpConnector:
        """Returns an IConnector that connects; how that goes, `factory` is told."""
        connector = TcpConnector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    # IReactorUNIX

    def listenUNIX(
        self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: int = 0
    ) -> UnixPort:
        """Returns an IListeningPort that listens. Raises CannotListenError."""
        listening = UnixPort(address, factory, backlog, mode, self, wantPID)
        listening.startListening()
        return listening

    def connectUNIX(self, address: Any, factory: Any, timeout: float = 30, checkPID: int = 0) -> UnixConnector:
        """Returns an IConnector that connects; how that goes, `factory` is told."""
        connector = UnixConnector(address, factory, timeout, self, checkPID)
        connector.connect()
        return connector

    # IReactorSocket

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """Listens on a copy of a socket that somebody else has bound. Raises UnsupportedAddressFamily."""
        if addressFamily == socket.AF_UNIX:
            listening = UnixPort._fromListeningDescriptor(self, fileDescriptor, factory)
        elif addressFamily in self._supportedAddressFamilies:
            listening = TcpPort._fromListeningDescriptor(self, fileDescriptor, addressFamily, factory)
        else:
            raise UnsupportedAddressFamily(addressFamily)
        listening.startListening()
        return listening

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """Takes over a copy of a connected socket, as a server's. Returns its transport, or None where `factory` wants
        no protocol for it. Raises UnsupportedAddressFamily."""
        if addressFamily not in self._supportedAddressFamilies:
            raise UnsupportedAddressFamily(addressFamily)
        return adopt(self, socket.fromfd(fileDescriptor, addressFamily, socket.SOCK_STREAM), factory)

    # IReactorFDSet

    def getReaders(self) -> list[Any]:
        return [*super().getReaders(), *(stream for stream in self.streams if stream.reading)]

    def getWriters(self) -> list[Any]:
        return [*super().getWriters(), *(stream for stream in self.streams if stream.writing)]

    def addReader(self, reader: Any) -> None:
        if isinstance(reader, Stream):
            reader.startReading()
        else:
            super().addReader(reader)

    def removeReader(self, reader: Any) -> None:
        if isinstance(reader, Stream):
            reader.stopReading()
        else:
            super().removeReader(reader)

    def addWriter(self, writer: Any) -> None:
        if not isinstance(writer, Stream):  # which writes by itself
            super().addWriter(writer)

    def removeWriter(self, writer: Any) -> None:
        if not isinstance(writer, Stream):
            super().removeWriter(writer)

    def removeAll(self) -> Any:
        waiting = [
            stream
            for stream in self.streams
            if stream.opening or stream.reading or stream.writing or stream.disconnecting
        ]
        self.streams.clear()
        for stream in waiting:
            stream.pauseProducing()
        return super().removeAll() + waiting


def _failed(loop: Any, context: dict[str, Any]) -> None:
    """What the loop could tell nobody else."""
    error = context.get("exception")
    if error is None:
        _log.error("{message}", message=context["message"])
    else:
        failure = Failure(error, type(error), error.__traceback__)
        _log.failure("{message}", failure, message=context["message"])
