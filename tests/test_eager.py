"""Short ways to a socket, on a real one: what goes at once, what goes behind what waits, and nothing out of order."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock

from gwproxy.eager import eager_writer, read_directly, read_no_more


class Collects(Protocol):
    def __init__(self) -> None:
        self.got = b""

    def dataReceived(self, data: bytes) -> None:
        self.got += data


class Pair:
    """A transport of Twisted's, made as the reactor makes it, and the socket at its other end."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.peer = socket.create_connection(server.getsockname(), 5)
            ours, _ = server.accept()
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.reactor: Any = MemoryReactorClock()
        self.protocol = Collects()
        self.transport: Any = Connection(ours, self.protocol, self.reactor)
        self.transport.connected = True
        self.protocol.transport = self.transport

    def received(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self.peer.recv(size - len(data))
        return data

    def close(self) -> None:
        self.peer.close()
        sock = getattr(self.transport, "socket", None)
        if sock is not None:
            sock.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def test_it_is_sent_before_the_reactors_next_turn(pair: Pair) -> None:
    eager_writer(pair.transport)(b"hello")
    assert pair.received(5) == b"hello"
    assert not pair.reactor.writers, "nothing is left for the reactor"


def test_what_the_socket_does_not_take_follows_in_order(pair: Pair) -> None:
    write = eager_writer(pair.transport)
    pieces = [bytes([number]) * 60_000 for number in range(10)]
    for piece in pieces:
        write(piece)
    write(b"end")
    assert pair.reactor.writers, "the reactor is asked to go on"
    expected = b"".join(pieces) + b"end"
    got = b""
    readable = select.poll()
    readable.register(pair.peer, select.POLLIN)
    while len(got) < len(expected) and not pair.transport.disconnected:
        pair.transport.doWrite()
        # Not to wait for what the next doWrite() may have to send first.
        if readable.poll(10):
            got += pair.peer.recv(1 << 20)
    assert got == expected


def test_a_closing_connection_is_twisteds_own_business(pair: Pair) -> None:
    pair.transport.disconnecting = True
    eager_writer(pair.transport)(b"late")
    pair.peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        pair.peer.recv(10)
    pair.transport.connected = False
    eager_writer(pair.transport)(b"later")
    assert b"later" not in b"".join(pair.transport._tempDataBuffer)


def test_a_connection_that_is_gone_raises_nothing(pair: Pair) -> None:
    reset(pair)
    write = eager_writer(pair.transport)
    for _ in range(3):
        write(b"to nobody")


def test_other_transports_are_left_alone() -> None:
    transport = SimpleNamespace(write=lambda data: None)
    assert eager_writer(transport) is transport.write
    read_directly(transport, Collects())
    assert not hasattr(transport, "doRead")


def test_reads_go_to_the_protocol(pair: Pair) -> None:
    read_directly(pair.transport, pair.protocol)
    assert pair.transport.doRead() is None, "nothing is there"
    pair.peer.send(b"hello")
    assert pair.transport.doRead() is None
    assert pair.protocol.got == b"hello"
    pair.peer.shutdown(socket.SHUT_WR)
    assert pair.transport.doRead() is CONNECTION_DONE


def test_a_reset_is_a_loss(pair: Pair) -> None:
    read_directly(pair.transport, pair.protocol)
    reset(pair)
    assert pair.transport.doRead() is CONNECTION_LOST


def test_one_read_takes_no_more_than_a_buffer(pair: Pair) -> None:
    read_directly(pair.transport, pair.protocol)
    pair.peer.settimeout(5)
    size = pair.transport.bufferSize
    pair.peer.sendall(b"x" * (size + 1000))
    pair.transport.doRead()
    assert 0 < len(pair.protocol.got) <= size


def test_a_protocol_that_is_not_the_transports_own_is_left_alone(pair: Pair) -> None:
    """Through TLS, what the socket has is not what the protocol is to get."""
    read_directly(pair.transport, Collects())
    assert "doRead" not in vars(pair.transport)


def test_a_lost_connection_reads_no_more_and_keeps_nobody_alive(pair: Pair) -> None:
    read_directly(pair.transport, pair.protocol)
    read_no_more(pair.transport)
    assert "doRead" not in vars(pair.transport)
    read_no_more(pair.transport)
    read_no_more(SimpleNamespace())


def reset(pair: Pair) -> None:
    """The peer resets the connection, and it is known."""
    pair.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.peer.close()
