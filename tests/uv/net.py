"""Connections for the tests of gwproxy.uv: at one end a protocol on the reactor's own transport, at the other a bare
socket in the test's hands.

Every wait is bounded. What is sent over loopback is there when send() returns, so a few turns of the reactor are enough
to say that something does not come. Bytes that come in the turn of connectionMade() are held for a while; a test that
is not about that begins after it.
"""

from __future__ import annotations

import hashlib
import select
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

PATIENCE = 5.0
#: More than the kernel's buffers take, whoever tuned them: some of it waits in the process.
PLENTY = bytes(range(256)) * (64 << 10)
PIECE = 1 << 16


def global_reactor() -> Any:
    """The reactor that the tests run on."""
    from twisted.internet import reactor

    return reactor


async def turns(count: int = 4) -> None:
    """Lets the reactor go round."""
    for _ in range(count):
        await deferLater(global_reactor(), 0)


async def until(true: Callable[[], object], what: str = "it does not come") -> None:
    """Lets the reactor go round until `true` says so."""
    deadline = global_reactor().seconds() + PATIENCE
    while not true():
        assert global_reactor().seconds() < deadline, what
        await deferLater(global_reactor(), 0.001)


class Probe(Protocol):
    """Writes down what it is told, and does what the test has put in its way: `Probe(dataReceived=f)` calls f(probe,
    data) after writing that down."""

    transport: Any

    def __init__(self, **does: Callable[..., object]) -> None:
        self.does = does
        self.told: list[str] = []
        self.received = bytearray()
        self.reason: Failure | None = None

    def _tell(self, event: str, *args: Any) -> None:
        self.told.append(event)
        do = self.does.get(event)
        if do is not None:
            do(self, *args)

    @property
    def made(self) -> bool:
        return "connectionMade" in self.told

    @property
    def lost(self) -> bool:
        return self.reason is not None

    def connectionMade(self) -> None:
        self._tell("connectionMade")

    def dataReceived(self, data: bytes) -> None:
        assert self.made and not self.lost
        self.received += data
        self._tell("dataReceived", data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        assert not self.lost, "told twice"
        self.reason = reason
        self._tell("connectionLost", reason)

    def lost_by(self, *kinds: type[BaseException]) -> bool:
        """Whether the connection has ended, once, and for one of these reasons."""
        return self.reason is not None and self.told.count("connectionLost") == 1 and bool(self.reason.check(*kinds))


@implementer(IHalfCloseableProtocol)
class HalfProbe(Probe):
    """One that can do with half of a connection."""

    def readConnectionLost(self) -> None:
        self._tell("readConnectionLost")

    def writeConnectionLost(self) -> None:
        self._tell("writeConnectionLost")


class Told:
    """A producer that writes down what it is told, and does what the test has put in its way: pause, resume, stop."""

    def __init__(self, **does: Callable[[], object]) -> None:
        self.does = does
        self.told: list[str] = []

    def _tell(self, event: str) -> None:
        self.told.append(event)
        if event in self.does:
            self.does[event]()

    def pauseProducing(self) -> None:
        self._tell("pause")

    def resumeProducing(self) -> None:
        self._tell("resume")

    def stopProducing(self) -> None:
        self._tell("stop")


class Probes(ClientFactory):
    """A factory of the probes that it is given, one for each connection; of none, it refuses."""

    noisy = False

    def __init__(self, *probes: Any, build: Callable[[], object] | None = None) -> None:
        self._probes = list(probes)
        self._build = build
        self.told: list[str] = []
        self.reason: Any = None

    def buildProtocol(self, addr: Any) -> Any:
        self.told.append("buildProtocol")
        if self._build is not None:
            self._build()
        return self._probes.pop(0) if self._probes else None

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.told.append("clientConnectionFailed")
        self.reason = reason

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self.told.append("clientConnectionLost")
        self.reason = reason


class Peer:
    """The bare end."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        sock.setblocking(False)
        self.received = bytearray()
        #: How the connection ended: "", "fin" or "rst".
        self.ended = ""

    def send(self, data: bytes) -> None:
        """Must fit in the kernel's buffer."""
        assert self.socket.send(data) == len(data)

    async def send_all(self, data: bytes) -> None:
        """As the other end takes it."""
        sent = 0
        while sent < len(data):
            try:
                sent += self.socket.send(data[sent : sent + PIECE])
            except BlockingIOError:
                await turns(1)

    def take(self, most: int = 1 << 30) -> bytes:
        """What has come, `most` bytes of it; notes the end when that has come, too."""
        taken = bytearray()
        while len(taken) < most and not self.ended:
            try:
                data = self.socket.recv(min(PIECE, most - len(taken)))
            except BlockingIOError:
                break
            except OSError:
                self.ended = "rst"
                break
            if not data:
                self.ended = "fin"
            taken += data
        self.received += taken
        return bytes(taken)

    async def take_until(self, true: Callable[[], object]) -> None:
        """Reads on until `true` says so."""
        await until(lambda: (self.take(), true())[1])

    async def take_bytes(self, count: int) -> bytes:
        """Exactly the next `count` bytes."""
        start = len(self.received)
        end = start + count

        def enough() -> bool:
            self.take(end - len(self.received))
            return len(self.received) >= end

        await until(enough, f"{count} bytes do not come")
        return bytes(self.received[start:])

    async def ending(self) -> str:
        """Reads to the end: how it came, "fin" or "rst"."""
        await self.take_until(lambda: self.ended)
        return self.ended

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection by an RST; over UNIX sockets, which have none, by closing it."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


async def finish(probe: Any, peer: Peer) -> None:
    """Ends what is left of a connection."""
    peer.close()
    if probe.made:
        probe.transport.abortConnection()
        await until(lambda: not probe.transport.connected, "the connection does not end")


@asynccontextmanager
async def listening(factory: Factory, interface: str = "127.0.0.1") -> AsyncIterator[Any]:
    """A TCP port."""
    port = global_reactor().listenTCP(0, factory, interface=interface)
    try:
        yield port
    finally:
        await maybeDeferred(port.stopListening)


def dial(port: Any) -> Peer:
    """A bare connection to a TCP port. The kernel makes it; nothing has been accepted yet."""
    return Peer(socket.create_connection(("127.0.0.1", port.getHost().port)))


@asynccontextmanager
async def served(probe: Any, *, made: bool = True, first: bytes = b"") -> AsyncIterator[Peer]:
    """A TCP connection that the reactor has accepted, up to connectionMade() if `made`; `first` comes before that."""
    async with listening(Probes(probe)) as port:
        peer = dial(port)
        if first:
            peer.send(first)
        try:
            if made:
                await until(lambda: probe.made)
                await turns(1)
            yield peer
        finally:
            await finish(probe, peer)


@asynccontextmanager
async def dialled(probe: Any) -> AsyncIterator[Peer]:
    """A TCP connection that the reactor has opened."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        factory = Probes(probe)
        global_reactor().connectTCP("127.0.0.1", listener.getsockname()[1], factory)
        await until(lambda: select.select([listener], [], [], 0)[0], "nobody connects")
        peer = Peer(listener.accept()[0])
        try:
            await until(lambda: probe.made)
            await turns(1)
            yield peer
        finally:
            await finish(probe, peer)


@asynccontextmanager
async def served_unix(probe: Any, path: Path | str, *, first: bytes = b"") -> AsyncIterator[Peer]:
    """The same over a UNIX socket."""
    port = global_reactor().listenUNIX(str(path), Probes(probe))
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    peer = Peer(sock)
    if first:
        peer.send(first)
    try:
        await until(lambda: probe.made)
        await turns(1)
        yield peer
    finally:
        await finish(probe, peer)
        await maybeDeferred(port.stopListening)


def waiting_bytes(stream: Any) -> int:
    """How much of what was written waits in the process."""
    return int(stream._uv.get_write_buffer_size())


def pieces(size: int) -> Iterator[bytes]:
    """A long text in pieces, no two of which are alike."""
    for number in range(size // PIECE):
        yield hashlib.sha256(b"%d" % number).digest() * (PIECE // 32)
