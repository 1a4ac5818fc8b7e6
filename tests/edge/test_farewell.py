"""Half-closed clients and those that still send: when they are asked, when they are cut."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock

from gwproxy.edge.farewell import LEADING_ZERO, PROCESSING, HalfClosed, Linger


class Connection:
    """Stands for an EdgeChannel and its transport."""

    def __init__(self, minor: int = 1, sock: socket.socket | None = None) -> None:
        self.transport: Any = self
        self.exchange: Any = SimpleNamespace(committed=False, chunking=False, head=SimpleNamespace(minor=minor))
        self.did: list[Any] = []
        self._sock = sock

    def getHandle(self) -> socket.socket | None:
        return self._sock

    def write(self, data: bytes) -> None:
        self.did.append(data)

    def abortConnection(self) -> None:
        self.did.append("abort")

    def abort(self) -> None:
        self.did.append("abort")

    def unregisterProducer(self) -> None:
        self.did.append("unregister")

    def loseWriteConnection(self) -> None:
        self.did.append("shut")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_answer_that_comes_at_once_is_the_only_one(clock: Clock) -> None:
    connection = Connection()
    half = HalfClosed(connection, clock)
    clock.advance(0.03)
    half.stop()
    half.stop()
    clock.advance(100)
    assert (connection.did, clock.getDelayedCalls()) == ([], [])


def test_who_waits_is_asked_once(clock: Clock) -> None:
    connection = Connection()
    half = HalfClosed(connection, clock)
    for _ in range(100):
        clock.advance(1)
    assert connection.did == [PROCESSING]
    half.stop()


def test_http_1_0_knows_no_interim_response(clock: Clock) -> None:
    connection = Connection(minor=0)
    HalfClosed(connection, clock)
    clock.advance(1)
    assert (connection.did, clock.getDelayedCalls()) == ([], [])


@pytest.mark.parametrize("over", ["committed", "gone"])
def test_nothing_is_asked_when_the_answer_is_under_way(over: str, clock: Clock) -> None:
    connection = Connection()
    HalfClosed(connection, clock)
    if over == "committed":
        connection.exchange.committed = True
    else:
        connection.exchange = None
    clock.advance(1)
    assert (connection.did, clock.getDelayedCalls()) == ([], [])


def test_between_two_chunks_something_can_be_asked(clock: Clock) -> None:
    connection = Connection()
    connection.exchange.committed = connection.exchange.chunking = True
    half = HalfClosed(connection, clock)
    for _ in range(100):
        clock.advance(1)
    assert connection.did == [LEADING_ZERO]
    half.stop()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), 5)
        ours, _ = server.accept()
        with client, ours:
            yield ours, client


def test_a_client_that_is_gone_is_found_out_within_100_ms(
    clock: Clock, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, client = pair
    connection = Connection(sock=ours)
    HalfClosed(connection, clock)
    client.close()
    clock.advance(0.04)
    assert connection.did == [PROCESSING]
    ours.send(PROCESSING)  # which a closed socket answers with a reset
    ours.settimeout(5)
    # Until the reset is here: a read would take the error away, and so does waiting for one.
    import select

    poll = select.poll()
    poll.register(ours, select.POLLERR)
    assert poll.poll(5000)
    clock.advance(0.03)
    assert connection.did == [PROCESSING, "abort"]
    assert clock.seconds() < 0.1 and not clock.getDelayedCalls()


def test_a_client_that_listens_is_not_cut(clock: Clock, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, client = pair
    connection = Connection(sock=ours)
    half = HalfClosed(connection, clock)
    client.shutdown(socket.SHUT_WR)
    for _ in range(30):
        clock.advance(1)
    assert connection.did == [PROCESSING]
    half.stop()


def test_a_client_that_still_sends_sees_our_end_first() -> None:
    connection = Connection()
    linger = Linger(connection)
    linger.begin()
    assert connection.did == ["unregister", "shut"]
    linger.received(Linger.BYTES)
    assert "abort" not in connection.did
    linger.received(1)
    assert connection.did[2:] == ["abort"]


def test_a_transport_that_cannot_shut_one_side() -> None:
    transport = SimpleNamespace(unregisterProducer=lambda: None)
    Linger(SimpleNamespace(transport=transport, exchange=None, abort=lambda: None)).begin()
