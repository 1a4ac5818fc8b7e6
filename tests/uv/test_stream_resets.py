"""The peer's reset, in every state of a connection: told once, and nothing is left."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.error import ConnectionDone, ConnectionLost

from tests.uv.net import (
    PLENTY,
    HalfProbe,
    Peer,
    Probe,
    Probes,
    dial,
    dialled,
    finish,
    global_reactor,
    listening,
    served,
    turns,
    until,
)


async def lost(probe: Any, kind: type[Exception]) -> None:
    await until(lambda: probe.lost)
    await turns()
    assert probe.lost_by(kind), probe.reason
    assert probe.transport not in global_reactor().streams
    assert probe.transport.fileno() == -1


@pytest_twisted.ensureDeferred
async def test_in_the_accept_queue() -> None:
    probe = Probe()
    async with listening(Probes(probe)) as port:
        dial(port).reset()
        await lost(probe, ConnectionLost)


@pytest_twisted.ensureDeferred
async def test_in_the_accept_queue_behind_data() -> None:
    probe = Probe()
    async with listening(Probes(probe)) as port:
        peer = dial(port)
        peer.send(b"hello")
        peer.reset()
        await lost(probe, ConnectionLost)
    assert probe.received == b"hello"


@pytest_twisted.ensureDeferred
async def test_between_accept_and_connection_made() -> None:
    peer: list[Peer] = []
    probe = Probe()
    async with listening(Probes(probe, build=lambda: peer[0].reset())) as port:
        peer.append(dial(port))
        await lost(probe, ConnectionLost)
    assert probe.told == ["connectionMade", "connectionLost"]


@pytest.mark.parametrize("opened", [served, dialled])
@pytest_twisted.ensureDeferred
async def test_while_reading(opened: Any) -> None:
    probe = Probe()
    async with opened(probe) as peer:
        peer.send(b"the last")
        peer.reset()
        await lost(probe, ConnectionLost)
    assert probe.received == b"the last"


@pytest_twisted.ensureDeferred
async def test_while_paused() -> None:
    """Nobody looks, so nobody is told: as with Twisted's own transports, that comes with resumeProducing()."""
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.pauseProducing()
        peer.send(b"the last")
        peer.reset()
        await turns()
        assert probe.told == ["connectionMade"]
        probe.transport.resumeProducing()
        await lost(probe, ConnectionLost)
    assert probe.received == b"the last"


@pytest.mark.parametrize("paused", [False, True])
@pytest_twisted.ensureDeferred
async def test_while_something_waits_to_be_sent(paused: bool) -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.write(PLENTY)
        if paused:
            probe.transport.pauseProducing()
        await turns()
        assert probe.transport.writing
        peer.reset()
        await lost(probe, ConnectionLost)


@pytest_twisted.ensureDeferred
async def test_when_it_is_found_by_a_write() -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.pauseProducing()
        peer.reset()
        probe.transport.write(b"into the void")
        probe.transport.write(b"and more")
        assert not probe.lost
        await lost(probe, ConnectionLost)


@pytest_twisted.ensureDeferred
async def test_after_loseConnection_with_unsent_data() -> None:  # Twisted's name
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.write(PLENTY)
        probe.transport.loseConnection()
        await turns()
        peer.reset()
        await lost(probe, ConnectionLost)


@pytest_twisted.ensureDeferred
async def test_after_loseConnection_with_nothing_unsent() -> None:  # Twisted's name
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.loseConnection()
        peer.reset()
        await lost(probe, ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_after_loseWriteConnection() -> None:  # Twisted's name
    probe = HalfProbe()
    async with served(probe) as peer:
        probe.transport.loseWriteConnection()
        await until(lambda: "writeConnectionLost" in probe.told)
        peer.reset()
        await lost(probe, ConnectionLost)


@pytest_twisted.ensureDeferred
async def test_after_loseWriteConnection_with_unsent_data() -> None:  # Twisted's name
    probe = HalfProbe()
    async with served(probe) as peer:
        probe.transport.write(PLENTY)
        probe.transport.loseWriteConnection()
        await turns()
        peer.reset()
        await lost(probe, ConnectionLost)
    assert "writeConnectionLost" not in probe.told


@pytest_twisted.ensureDeferred
async def test_after_the_peers_half_close() -> None:
    probe = HalfProbe()
    async with served(probe) as peer:
        peer.half_close()
        await until(lambda: "readConnectionLost" in probe.told)
        peer.reset()
        await turns()
        assert not probe.lost  # nothing is read any more: the next write finds it
        probe.transport.write(b"an answer")
        await lost(probe, ConnectionLost)


@pytest_twisted.ensureDeferred
async def test_after_both_half_closes() -> None:
    probe = HalfProbe()
    async with served(probe) as peer:
        peer.half_close()
        probe.transport.loseWriteConnection()
        await until(lambda: {"readConnectionLost", "writeConnectionLost"} <= set(probe.told))
        peer.reset()
        await turns()
        probe.transport.loseConnection()
        await lost(probe, ConnectionDone)


# What the peer said before its reset


@pytest.mark.parametrize("pieces", [1, 3])
@pytest_twisted.ensureDeferred
async def test_what_came_before_it_is_delivered_when_a_write_finds_it(pieces: int) -> None:
    """`pieces` written at once: uvloop sends one by write(2), several by libuv."""
    said = b"413, and why" * 10000
    probe = Probe()
    async with served(probe) as peer:
        peer.send(said)
        peer.reset()
        for _ in range(pieces):
            probe.transport.write(b"upload")
        await lost(probe, ConnectionLost)
    assert probe.received == said


@pytest_twisted.ensureDeferred
async def test_what_came_before_it_is_delivered_when_an_upload_waits() -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.pauseProducing()
        probe.transport.write(PLENTY)
        await turns()
        peer.send(b"413")
        probe.transport.resumeProducing()
        peer.reset()
        await lost(probe, ConnectionLost)
    assert probe.received == b"413"


@pytest_twisted.ensureDeferred
async def test_what_came_before_it_is_not_forced_on_who_paused() -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.pauseProducing()
        peer.send(b"413")
        peer.reset()
        probe.transport.write(b"upload")
        await lost(probe, ConnectionLost)
    assert not probe.received


@pytest_twisted.ensureDeferred
async def test_who_pauses_or_closes_meanwhile_gets_no_more() -> None:
    def stop(probe: Any, data: bytes) -> None:
        probe.transport.loseConnection()

    probe = Probe(dataReceived=stop)
    async with served(probe) as peer:
        peer.send(b"x" * 100_000)
        peer.reset()
        probe.transport.write(b"upload")
        await lost(probe, ConnectionLost)
    assert probe.told.count("dataReceived") == 1
    await finish(probe, peer)
