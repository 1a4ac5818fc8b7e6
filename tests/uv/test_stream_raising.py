"""Protocols and producers that raise: it is logged once, the connection ends as Twisted ends it, and nothing hangs."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogEvent

from tests.uv.net import PLENTY, HalfProbe, Probe, Told, dialled, global_reactor, served, turns, until


class Trouble(Exception):
    """What is raised here."""


class BrokenPart(OSError):
    """The same, of the kind that connections raise themselves."""


class Interruption(BaseException):
    """The same, of the kind that `except Exception` lets through."""


KINDS = [Trouble, BrokenPart]


def raiser(kind: type[BaseException]) -> Any:
    def raise_it(*args: object) -> None:
        raise kind("trouble")

    return raise_it


def logged_once(logged_errors: list[LogEvent], kind: type[BaseException]) -> None:
    assert [event["log_failure"].type for event in logged_errors] == [kind]
    logged_errors.clear()


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_connectionMade_of_a_server(kind: type[Exception], logged_errors: list[LogEvent]) -> None:
    """The connection stays, as it does with Twisted's own transports."""
    probe = Probe(connectionMade=raiser(kind))
    async with served(probe, first=b"hello") as peer:
        await until(lambda: probe.received)
        logged_once(logged_errors, kind)
        probe.transport.write(b"alive")
        await peer.take_until(lambda: peer.received == b"alive")


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_connectionMade_of_a_client(kind: type[Exception], logged_errors: list[LogEvent]) -> None:
    probe = Probe(connectionMade=raiser(kind))
    async with dialled(probe) as peer:
        await until(lambda: probe.lost)
        await peer.ending()
        logged_once(logged_errors, kind)
    assert probe.lost_by(kind)


@pytest.mark.parametrize("straight", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_dataReceived(kind: type[Exception], straight: bool, logged_errors: list[LogEvent]) -> None:
    probe = Probe(dataReceived=raiser(kind))
    async with served(probe) as peer:
        if straight:
            probe.transport.deliver_straight()
        peer.send(b"hello")
        await until(lambda: probe.lost)
        await peer.ending()
        logged_once(logged_errors, kind)
    assert probe.lost_by(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_dataReceived_of_what_was_held(kind: type[Exception], logged_errors: list[LogEvent]) -> None:
    probe = Probe(connectionMade=lambda probe: probe.transport.pauseProducing(), dataReceived=raiser(kind))
    async with served(probe, first=b"hello"):
        await turns()
        probe.transport.resumeProducing()
        await until(lambda: probe.lost)
        logged_once(logged_errors, kind)
    assert probe.lost_by(kind)


@pytest.mark.parametrize("kind", [*KINDS, Interruption])
@pytest_twisted.ensureDeferred
async def test_dataReceived_of_what_came_before_a_reset(
    kind: type[BaseException], logged_errors: list[LogEvent]
) -> None:
    probe = Probe(dataReceived=raiser(kind))
    async with served(probe) as peer:
        peer.send(b"hello")
        peer.reset()
        probe.transport.write(b"upload")
        await until(lambda: probe.lost)
        logged_once(logged_errors, kind)
    assert probe.lost_by(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["peer", "lose", "abort"])
@pytest_twisted.ensureDeferred
async def test_connectionLost(kind: type[Exception], how: str, logged_errors: list[LogEvent]) -> None:
    probe = Probe(connectionLost=raiser(kind))
    async with dialled(probe) as peer:
        if how == "peer":
            peer.close()
        elif how == "lose":
            probe.transport.loseConnection()
        else:
            probe.transport.abortConnection()
        await until(lambda: probe.lost)
        await turns()
        logged_once(logged_errors, kind)
    assert not global_reactor().streams and probe.transport.fileno() == -1


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_readConnectionLost(kind: type[Exception], logged_errors: list[LogEvent]) -> None:
    probe = HalfProbe(readConnectionLost=raiser(kind))
    async with served(probe) as peer:
        peer.half_close()
        await until(lambda: probe.lost)
        logged_once(logged_errors, kind)
    assert probe.lost_by(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_writeConnectionLost(kind: type[Exception], logged_errors: list[LogEvent]) -> None:
    probe = HalfProbe(writeConnectionLost=raiser(kind))
    async with served(probe):
        probe.transport.loseWriteConnection()
        await until(lambda: probe.lost)
        logged_once(logged_errors, kind)
    assert probe.lost_by(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_pauseProducing(kind: type[Exception], logged_errors: list[LogEvent]) -> None:
    """Twisted's transports let it out of write(), libuv's does not. The producer counts as paused."""
    probe = Probe()
    async with served(probe) as peer:
        producer = Told(pause=raiser(kind))
        probe.transport.registerProducer(producer, True)
        probe.transport.write(PLENTY)
        logged_once(logged_errors, kind)
        await peer.take_bytes(len(PLENTY))
        await until(lambda: producer.told == ["pause", "resume"])
        assert not probe.lost
        probe.transport.unregisterProducer()


@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_resumeProducing(kind: type[Exception], logged_errors: list[LogEvent]) -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.registerProducer(Told(resume=raiser(kind)), True)
        probe.transport.write(PLENTY)
        await peer.ending()
        await until(lambda: probe.lost)
        logged_once(logged_errors, kind)
    assert probe.lost_by(kind)


@pytest.mark.parametrize("size", [1, len(PLENTY)])
@pytest.mark.parametrize("kind", KINDS)
@pytest_twisted.ensureDeferred
async def test_resumeProducing_of_a_pull_producer(
    kind: type[Exception], size: int, logged_errors: list[LogEvent]
) -> None:
    """The second time: the first comes from within registerProducer(), whose caller gets what it raises."""
    probe = Probe()
    async with served(probe) as peer:
        producer = Told()
        probe.transport.registerProducer(producer, False)
        producer.does["resume"] = raiser(kind)
        probe.transport.write(PLENTY[:size])
        await peer.ending()
        await until(lambda: probe.lost)
        logged_once(logged_errors, kind)
        assert producer.told == ["resume", "resume", "stop"]
    assert probe.lost_by(kind)


@pytest.mark.parametrize("kind", [*KINDS, Interruption])
@pytest_twisted.ensureDeferred
async def test_stopProducing(kind: type[BaseException], logged_errors: list[LogEvent]) -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.registerProducer(Told(stop=raiser(kind)), True)
        peer.reset()
        await until(lambda: probe.lost)
        logged_once(logged_errors, kind)
    assert probe.lost_by(ConnectionLost)


@pytest_twisted.ensureDeferred
async def test_what_is_raised_after_a_close_was_asked_for(logged_errors: list[LogEvent]) -> None:
    def close_and_raise(probe: Any, data: bytes) -> None:
        probe.transport.write(b"bye")
        probe.transport.loseConnection()
        raise Trouble

    probe = Probe(dataReceived=close_and_raise)
    async with served(probe) as peer:
        peer.send(b"hello")
        await until(lambda: probe.lost)
        await peer.ending()
        logged_once(logged_errors, Trouble)
    assert probe.lost_by(Trouble, ConnectionDone)
