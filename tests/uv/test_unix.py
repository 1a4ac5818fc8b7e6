"""UNIX sockets: descriptors between bytes, names without files, half of a connection."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IFileDescriptorReceiver, IUNIXTransport
from twisted.logger import LogEvent
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.uv.net import (
    PLENTY,
    HalfProbe,
    Peer,
    Probe,
    Probes,
    Told,
    global_reactor,
    served_unix,
    turns,
    until,
    waiting_bytes,
)


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """An open file in which `told` stands."""
    path = tmp_path / "file"
    path.write_text("told")
    number = os.open(path, os.O_RDONLY)
    yield number
    os.close(number)


class WithDescriptors(Peer):
    """Reads both."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.descriptors: list[int] = []
        #: How many bytes had come before each.
        self.places: list[int] = []

    def take(self, most: int = 1 << 30) -> bytes:
        before = len(self.received)
        while not self.ended:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(64))
            except BlockingIOError:
                break
            for _, _, sent in ancillary:
                numbers = array.array("i", sent)
                self.descriptors += numbers
                self.places += [len(self.received)] * len(numbers)
            if not data:
                self.ended = "fin"
            self.received += data
        return bytes(self.received[before:])

    def read_and_close(self) -> list[str]:
        """What is in them."""
        texts = []
        for number in self.descriptors:
            texts.append(os.pread(number, 100, 0).decode())
            os.close(number)
        self.descriptors.clear()
        return texts


@pytest_twisted.ensureDeferred
async def test_is_the_transport_that_protocols_expect(tmp_path: Path) -> None:
    probe = Probe()
    async with served_unix(probe, tmp_path / "socket") as peer:
        stream = probe.transport
        verifyObject(IUNIXTransport, stream)
        assert stream.getHost().name == str(tmp_path / "socket").encode()
        assert stream.getPeer().name is None
        assert not stream.getTcpNoDelay()
        stream.setTcpNoDelay(True)
        peer.send(b"hello")
        await until(lambda: probe.received == b"hello")
        stream.write(PLENTY)
        stream.loseConnection()
        assert await peer.ending() == "fin"
        assert peer.received == PLENTY
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_a_name_without_a_file() -> None:
    name = f"\0gwproxy-test-{os.getpid()}"
    server, client = Probe(), Probe()
    port = global_reactor().listenUNIX(name, Probes(server))
    global_reactor().connectUNIX(name, Probes(client))
    await until(lambda: server.made and client.made)
    client.transport.write(b"hello")
    await until(lambda: server.received == b"hello")
    server.transport.loseConnection()
    await until(lambda: server.lost and client.lost)
    await maybeDeferred(port.stopListening)


@pytest_twisted.ensureDeferred
async def test_half_close_both_ways(tmp_path: Path) -> None:
    probe = HalfProbe()
    async with served_unix(probe, tmp_path / "socket") as peer:
        peer.send(b"question")
        peer.half_close()
        await until(lambda: "readConnectionLost" in probe.told)
        probe.transport.write(b"answer")
        probe.transport.loseWriteConnection()
        assert await peer.ending() == "fin"
        assert peer.received == b"answer" and probe.received == b"question"
        await until(lambda: "writeConnectionLost" in probe.told)
        assert not probe.lost


@pytest_twisted.ensureDeferred
async def test_a_peer_that_goes_while_bytes_wait(tmp_path: Path) -> None:
    probe = Probe()
    async with served_unix(probe, tmp_path / "socket") as peer:
        probe.transport.write(PLENTY)
        await turns()
        peer.close()
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionLost)


# Descriptors: the stream is given back to Twisted's own transport


@pytest.mark.parametrize("before", [b"", b"before ", PLENTY])
@pytest_twisted.ensureDeferred
async def test_a_descriptor_comes_at_its_place(before: bytes, descriptor: int, tmp_path: Path) -> None:
    probe = Probe()
    async with served_unix(probe, tmp_path / "socket") as bare:
        peer = WithDescriptors(bare.socket)
        stream = probe.transport
        stream.write(before)
        stream.sendFileDescriptor(descriptor)
        stream.write(b"x")
        stream.writeSequence([b"after ", b"it"])
        assert (probe.transport is stream) == (before is PLENTY), "given back only when all before has left"
        await peer.take_until(lambda: len(peer.received) >= len(before) + 9)
        assert peer.received == before + b"xafter it"
        assert peer.places == [len(before)]
        assert peer.read_and_close() == ["told"]
        assert probe.transport is not stream
        # both ways of reaching it work on, in both directions
        stream.write(b"1")
        probe.transport.write(b"2")
        peer.send(b"hello")
        await peer.take_until(lambda: peer.received.endswith(b"12"))
        await until(lambda: probe.received == b"hello")
        assert not global_reactor().streams
        stream.loseConnection()
        assert await peer.ending() == "fin"
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_a_close_waits_for_bytes_and_descriptors(descriptor: int, tmp_path: Path) -> None:
    probe = Probe()
    async with served_unix(probe, tmp_path / "socket") as bare:
        peer = WithDescriptors(bare.socket)
        stream = probe.transport
        stream.bufferSize = 32 << 20  # libuv would tell when a quarter of it is left
        stream.write(PLENTY)
        stream.write(PLENTY[: 7 << 20])
        stream.sendFileDescriptor(descriptor)
        stream.write(b"x")
        stream.loseConnection()
        assert waiting_bytes(stream)
        assert await peer.ending() == "fin"
        assert peer.received == PLENTY + PLENTY[: 7 << 20] + b"x"
        assert peer.read_and_close() == ["told"]
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_a_producer_and_a_pause_go_along(descriptor: int, tmp_path: Path) -> None:
    probe = Probe()
    async with served_unix(probe, tmp_path / "socket") as bare:
        peer = WithDescriptors(bare.socket)
        stream = probe.transport
        producer = Told()
        stream.registerProducer(producer, True)
        stream.pauseProducing()
        stream.write(PLENTY)
        assert producer.told == ["pause"]
        stream.sendFileDescriptor(descriptor)
        stream.write(b"x")
        peer.send(b"hello")
        await peer.take_until(lambda: len(peer.received) == len(PLENTY) + 1)
        await until(lambda: producer.told == ["pause", "resume"])
        assert peer.read_and_close() == ["told"]
        await turns()
        assert not probe.received
        probe.transport.resumeProducing()
        await until(lambda: probe.received == b"hello")
        peer.close()
        await until(lambda: probe.lost)
    assert producer.told == ["pause", "resume", "stop"]


@pytest.mark.parametrize("also", ["nothing", "pauseProducing", "loseConnection"])
@pytest_twisted.ensureDeferred
async def test_a_descriptor_from_connectionMade(also: str, descriptor: int, tmp_path: Path) -> None:
    def send(probe: Any) -> None:
        probe.transport.sendFileDescriptor(descriptor)
        probe.transport.write(b"x")
        if also != "nothing":
            getattr(probe.transport, also)()

    probe = Probe(connectionMade=send)
    first = b"" if also == "loseConnection" else b"hello"  # closing on what was not read would be a reset
    async with served_unix(probe, tmp_path / "socket", first=first) as bare:
        peer = WithDescriptors(bare.socket)
        await peer.take_until(lambda: peer.received == b"x")
        assert peer.read_and_close() == ["told"]
        await turns()
        assert bytes(probe.received) == (b"hello" if also == "nothing" else b"")
        if also == "loseConnection":
            await until(lambda: probe.lost)
        else:
            probe.transport.resumeProducing()
            await until(lambda: probe.received == b"hello")


@implementer(IFileDescriptorReceiver)
class Receiver(Probe):
    """Is given descriptors."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.texts.append(os.pread(descriptor, 100, 0).decode())
        os.close(descriptor)


@pytest_twisted.ensureDeferred
async def test_who_receives_descriptors(descriptor: int, tmp_path: Path) -> None:
    """Both ends on the reactor: a protocol that can take them, a client that sends some."""
    server, client = Receiver(), Probe()
    factory = Probes(client)
    port = global_reactor().listenUNIX(str(tmp_path / "socket"), Probes(server))
    connector = global_reactor().connectUNIX(str(tmp_path / "socket"), factory)
    await until(lambda: server.made and client.made)
    for _ in range(3):
        client.transport.sendFileDescriptor(descriptor)
        client.transport.write(b"x")
    await until(lambda: len(server.received) == 3)
    assert server.texts == ["told"] * 3
    connector.disconnect()
    await until(lambda: server.lost and client.lost)
    await until(lambda: factory.told == ["buildProtocol", "clientConnectionLost"])
    await maybeDeferred(port.stopListening)


@pytest.mark.parametrize("paused", [False, True])
@pytest_twisted.ensureDeferred
async def test_what_was_read_before_a_descriptor_is_sent_is_not_lost(
    paused: bool, descriptor: int, tmp_path: Path
) -> None:
    def send(probe: Any) -> None:
        probe.transport.sendFileDescriptor(descriptor)
        probe.transport.write(b"!")

    def made(probe: Any) -> None:
        if paused:
            probe.transport.pauseProducing()
        else:
            global_reactor().callLater(0, send, probe)

    probe = Probe(connectionMade=made)
    async with served_unix(probe, tmp_path / "socket", first=b"hello ") as peer:
        peer.send(b"world")
        await turns()
        if paused:
            send(probe)
            probe.transport.resumeProducing()
            probe.transport.pauseProducing()
            await turns()
            assert not probe.received
            probe.transport.resumeProducing()
            assert not probe.received, "not from within"
        await until(lambda: probe.received == b"hello world")
        peer.half_close()
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_what_was_read_before_a_descriptor_is_sent_and_raises(
    descriptor: int, tmp_path: Path, logged_errors: list[LogEvent]
) -> None:
    def send(probe: Any) -> None:
        probe.transport.sendFileDescriptor(descriptor)
        probe.transport.write(b"!")

    def raise_it(probe: Any, data: bytes) -> None:
        raise ZeroDivisionError

    probe = Probe(connectionMade=lambda probe: global_reactor().callLater(0, send, probe), dataReceived=raise_it)
    async with served_unix(probe, tmp_path / "socket", first=b"hello"):
        await until(lambda: probe.lost)
    assert probe.lost_by(ZeroDivisionError)
    assert [event["log_failure"].type for event in logged_errors] == [ZeroDivisionError]
    logged_errors.clear()


@pytest_twisted.ensureDeferred
async def test_a_stream_that_has_sent_a_descriptor_can_still_be_asked(descriptor: int, tmp_path: Path) -> None:
    probe = Probe()
    async with served_unix(probe, tmp_path / "socket"):
        stream = probe.transport
        host = stream.getHost()
        stream.sendFileDescriptor(descriptor)
        stream.write(b"x")
        await turns()
        assert probe.transport is not stream
        assert stream.getHost() == host
        assert stream.logPrefix() == probe.transport.logPrefix()
        assert stream.getTcpKeepAlive() is False
        assert "UnixStream" in repr(stream)
