"""What is written arrives whole, however slow the peer, and what waits for it in the process stays bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.error import ConnectionDone

from tests.uv.net import PIECE, PLENTY, HalfProbe, Peer, Probe, Told, pieces, served, turns, until, waiting_bytes

MANY = 64 << 20
LIMIT = 65536


class Pushing:
    """Writes pieces as long as it may, and closes the connection after the last."""

    def __init__(self, stream: Any, source: Iterator[bytes]) -> None:
        self.stream = stream
        self.source = source
        self.paused = False
        self.stopped = False
        self.pauses = 0
        self.most = 0

    def start(self) -> None:
        self.stream.registerProducer(self, True)
        self._go()

    def _go(self) -> None:
        while not self.paused:
            piece = next(self.source, None)
            if piece is None:
                self.stream.unregisterProducer()
                self.stream.loseConnection()
                return
            self.stream.write(piece)
            self.most = max(self.most, waiting_bytes(self.stream))

    def pauseProducing(self) -> None:
        assert not self.paused
        self.paused = True
        self.pauses += 1

    def resumeProducing(self) -> None:
        assert self.paused and waiting_bytes(self.stream) <= LIMIT
        self.paused = False
        self._go()

    def stopProducing(self) -> None:
        self.stopped = True


class Pulling:
    """Writes one piece each time it is asked, and closes the connection after the last."""

    def __init__(self, stream: Any, source: Iterator[bytes]) -> None:
        self.stream = stream
        self.source = source
        self.stopped = False
        self.asked = 0
        self.most = 0

    def start(self) -> None:
        self.stream.registerProducer(self, False)

    def resumeProducing(self) -> None:
        assert waiting_bytes(self.stream) == 0, "asked before all has left"
        self.asked += 1
        piece = next(self.source, None)
        if piece is None:
            self.stream.unregisterProducer()
            self.stream.loseConnection()
            return
        self.stream.write(piece)
        self.most = max(self.most, waiting_bytes(self.stream))

    def stopProducing(self) -> None:
        self.stopped = True


async def arrives(peer: Peer, size: int, *, slowly: bool) -> None:
    """All of pieces(size), read without keeping it."""
    wanted, came = hashlib.sha256(), hashlib.sha256()
    for piece in pieces(size):
        wanted.update(piece)
    count = 0
    while not peer.ended:
        data = peer.take(3 * PIECE if slowly else 1 << 30)
        peer.received.clear()
        count += len(data)
        came.update(data)
        await turns(1)
    assert (count, peer.ended) == (size, "fin")
    assert came.digest() == wanted.digest()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Pushing, Pulling])
@pytest_twisted.ensureDeferred
async def test_a_slow_peer_costs_no_memory(kind: Any) -> None:
    probe = Probe()
    async with served(probe) as peer:
        producer = kind(probe.transport, pieces(MANY))
        producer.start()
        await until(lambda: waiting_bytes(probe.transport))
        progress = producer.most, getattr(producer, "pauses", None), getattr(producer, "asked", None)
        await turns(20)
        assert progress == (producer.most, getattr(producer, "pauses", None), getattr(producer, "asked", None))
        await arrives(peer, MANY, slowly=True)
        await until(lambda: probe.lost)
        assert producer.most <= (LIMIT + PIECE if kind is Pushing else PIECE)
    assert probe.lost_by(ConnectionDone) and not producer.stopped
    if kind is Pushing:
        assert producer.pauses > 10


@pytest.mark.parametrize("kind", [Pushing, Pulling])
@pytest_twisted.ensureDeferred
async def test_a_peer_that_goes_stops_the_producer(kind: Any) -> None:
    probe = Probe()
    async with served(probe) as peer:
        producer = kind(probe.transport, pieces(MANY))
        producer.start()
        await turns(20)
        peer.reset()
        await until(lambda: probe.lost)
        assert producer.stopped
    later = Told()
    probe.transport.registerProducer(later, True)
    assert later.told == ["stop"]


@pytest_twisted.ensureDeferred
async def test_a_small_limit() -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.write(PLENTY[: 8 << 20])
        await turns()
        left = waiting_bytes(probe.transport)
        assert left
        await peer.take_bytes(8 << 20)
        await until(lambda: not probe.transport.writing)
        probe.transport.bufferSize = 10
        assert probe.transport.bufferSize == 10
        producer = Told()
        probe.transport.registerProducer(producer, True)
        while not producer.told:
            probe.transport.write(b"x" * PIECE)
        assert 10 < waiting_bytes(probe.transport) <= PIECE
        probe.transport.unregisterProducer()


# Producers one after the other


@pytest_twisted.ensureDeferred
async def test_push_then_pull_then_push() -> None:
    """Each takes over while bytes of the one before wait."""
    text = b"".join(pieces(24 << 20))
    third = len(text) // 3
    probe = Probe()
    async with served(probe) as peer:
        stream = probe.transport

        def source(start: int, then: Callable[[], object]) -> Iterator[bytes]:
            for at in range(start, start + third, PIECE):
                yield text[at : at + PIECE]
            stream.unregisterProducer()
            then()

        class Chained(Pushing):
            def _go(self) -> None:
                while not self.paused and stream.producer is self:
                    piece = next(self.source, b"")
                    if stream.producer is self:
                        stream.write(piece)

        class ChainedPull(Pulling):
            def resumeProducing(self) -> None:
                assert waiting_bytes(stream) == 0
                piece = next(self.source, b"")
                if stream.producer is self:
                    stream.write(piece)

        last = Chained(stream, source(2 * third, stream.loseConnection))
        second = ChainedPull(stream, source(third, last.start))
        # a pull producer is asked at once, whatever waits
        second.start = lambda: stream.registerProducer(_Late(second), False)  # type: ignore[method-assign]
        Chained(stream, source(0, second.start)).start()
        await turns(20)
        assert await peer.ending() == "fin"
        assert peer.received == text
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)


class _Late:
    """A pull producer that lets the first question pass: it comes from within registerProducer()."""

    def __init__(self, pulling: Pulling) -> None:
        self.pulling = pulling
        self.asked = False

    def resumeProducing(self) -> None:
        if not self.asked:
            self.asked = True
            return
        self.pulling.stream.unregisterProducer()
        self.pulling.stream.registerProducer(self.pulling, False)

    def stopProducing(self) -> None:
        pass


@pytest_twisted.ensureDeferred
async def test_a_push_producer_that_comes_while_the_queue_is_full_is_paused_at_once() -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.write(PLENTY)
        assert waiting_bytes(probe.transport) > LIMIT
        producer = Told()
        probe.transport.registerProducer(producer, True)
        assert producer.told == ["pause"]
        await peer.take_bytes(len(PLENTY))
        await until(lambda: producer.told == ["pause", "resume"])
        probe.transport.unregisterProducer()


@pytest_twisted.ensureDeferred
async def test_there_is_one_producer_at_a_time() -> None:
    probe = Probe()
    async with served(probe):
        producer = Told()
        probe.transport.registerProducer(producer, True)
        with pytest.raises(RuntimeError, match="never unregistered"):
            probe.transport.registerProducer(producer, True)
        probe.transport.unregisterProducer()
        probe.transport.registerProducer(producer, True)
    assert producer.told == ["stop"]


@pytest.mark.parametrize("lose_first", [False, True])
@pytest_twisted.ensureDeferred
async def test_unregistered_while_paused_and_closed(lose_first: bool) -> None:
    probe = Probe()
    async with served(probe) as peer:
        producer = Told()
        probe.transport.registerProducer(producer, True)
        probe.transport.write(PLENTY)
        assert producer.told == ["pause"]
        if lose_first:
            probe.transport.loseConnection()
            await turns()
        probe.transport.unregisterProducer()
        probe.transport.loseConnection()
        assert await peer.ending() == "fin"
        assert peer.received == PLENTY
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)
    assert producer.told == ["pause"]


@pytest_twisted.ensureDeferred
async def test_a_close_waits_for_the_producer() -> None:
    probe = Probe()
    async with served(probe) as peer:
        producer = Told()
        probe.transport.registerProducer(producer, True)
        probe.transport.write(PLENTY)
        probe.transport.loseConnection()

        def more() -> None:
            probe.transport.write(PLENTY)
            if producer.told.count("resume") == 2:
                probe.transport.unregisterProducer()

        producer.does["resume"] = more
        assert await peer.ending() == "fin"
        assert peer.received == PLENTY * 3
        await until(lambda: probe.lost)
    assert producer.told == ["pause", "resume", "pause", "resume", "pause"]


@pytest.mark.parametrize("last", [b"", b"the last"])
@pytest_twisted.ensureDeferred
async def test_a_close_waits_for_a_producer_that_takes_its_time(last: bytes) -> None:
    """Resumed, it writes nothing for a while: that is no reason to close under it."""
    probe = Probe()
    async with served(probe) as peer:
        producer = Told()
        probe.transport.registerProducer(producer, True)
        probe.transport.write(PLENTY)
        probe.transport.loseConnection()
        await peer.take_bytes(len(PLENTY))
        await until(lambda: producer.told == ["pause", "resume"])
        await turns()
        assert not probe.lost
        probe.transport.write(last)
        probe.transport.unregisterProducer()
        assert await peer.ending() == "fin"
        assert peer.received == PLENTY + last
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_stopConsuming_ends_both() -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.registerProducer(Told(), True)
        probe.transport.write(b"the last")
        probe.transport.stopConsuming()
        assert await peer.ending() == "fin"
        assert peer.received == b"the last"
        await until(lambda: probe.lost)


@pytest.mark.parametrize("unregister", ["before", "after"])
@pytest_twisted.ensureDeferred
async def test_a_half_close_comes_after_what_a_pull_producer_wrote(unregister: str) -> None:
    probe = HalfProbe()
    async with served(probe) as peer:
        stream = probe.transport
        stream.bufferSize = 32 << 20  # libuv would tell when a quarter of it is left
        stream.registerProducer(Told(), False)
        stream.write(PLENTY)
        stream.write(PLENTY[: 7 << 20])
        if unregister == "before":
            stream.unregisterProducer()
        stream.loseWriteConnection()
        stream.bufferSize = 32 << 20
        if unregister == "after":
            stream.unregisterProducer()
        assert await peer.ending() == "fin"
        assert peer.received == PLENTY + PLENTY[: 7 << 20]
        await until(lambda: "writeConnectionLost" in probe.told)
        assert not probe.lost


@pytest_twisted.ensureDeferred
async def test_a_pull_producers_write_captured_and_called_after_the_end_is_dropped() -> None:
    probe = Probe()
    async with served(probe):
        probe.transport.registerProducer(Told(), False)
        write = probe.transport.write
        probe.transport.abortConnection()
        await until(lambda: probe.lost)
        write(b"late")


@pytest.mark.parametrize("data", ["text", 7, [b"list"]])
@pytest_twisted.ensureDeferred
async def test_only_bytes_are_taken(data: Any) -> None:
    probe = Probe()
    async with served(probe) as peer:
        with pytest.raises(TypeError):
            probe.transport.write(data)
        with pytest.raises(TypeError):
            probe.transport.writeSequence([data])
        probe.transport.write(b"")
        probe.transport.writeSequence([])
        probe.transport.write(b"still works")
        await peer.take_until(lambda: peer.received == b"still works")
    with pytest.raises(TypeError):
        probe.transport.write(data)


@pytest_twisted.ensureDeferred
async def test_a_pull_producer_that_comes_after_the_half_close_writes_to_nobody() -> None:
    probe = HalfProbe()
    async with served(probe) as peer:
        stream = probe.transport
        stream.loseWriteConnection()
        await until(lambda: "writeConnectionLost" in probe.told)
        stream.registerProducer(Told(resume=lambda: stream.write(b"x")), False)
        stream.unregisterProducer()
        stream.write(b"y")
        peer.send(b"hello")
        await until(lambda: probe.received == b"hello")
        await turns()
        assert not probe.lost
