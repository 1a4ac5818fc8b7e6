"""What the reactor counts as watched: what Twisted's others would have among their readers and writers."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from gwproxy.uv.stream import Stream
from tests.uv.net import PLENTY, HalfProbe, Probe, global_reactor, served, until


def pause(probe: Any, *args: object) -> None:
    probe.transport.pauseProducing()


def removed() -> list[Any]:
    """What the reactor gives up at once; the tests' own ports are put back."""
    reactor = global_reactor()
    found = reactor.removeAll()
    for selectable in found:
        if not isinstance(selectable, Stream):
            reactor.addReader(selectable)
    return [selectable for selectable in found if isinstance(selectable, Stream)]


@pytest_twisted.ensureDeferred
async def test_one_that_reads_is_removed_once() -> None:
    probe = Probe()
    async with served(probe):
        assert removed() == [probe.transport]
        assert removed() == []
        probe.transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_one_that_is_read_already_as_connectionMade_runs() -> None:
    seen: list[bool] = []
    probe = Probe(connectionMade=lambda probe: seen.append(probe.transport in global_reactor().getReaders()))
    async with served(probe):
        pass
    assert seen == [True]


@pytest_twisted.ensureDeferred
async def test_one_that_neither_reads_nor_writes_is_not_watched() -> None:
    probe = Probe(connectionMade=pause)
    async with served(probe):
        assert removed() == []
        probe.transport.write(PLENTY)
        assert removed() == []  # forgotten all the same
        probe.transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_one_that_writes_is() -> None:
    probe = Probe(connectionMade=pause)
    async with served(probe):
        probe.transport.write(PLENTY)
        assert removed() == [probe.transport]
        probe.transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_one_whose_peer_says_no_more_is_not() -> None:
    probe = HalfProbe()
    async with served(probe) as peer:
        peer.half_close()
        await until(lambda: "readConnectionLost" in probe.told)
        assert removed() == []
        probe.transport.abortConnection()
