"""What the kernel knows of a connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.testing import StringTransport

from gwproxy.kernel import looks_open, unsent


class Pair:
    """A transport over one end of a pair of sockets."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()

    def getHandle(self) -> socket.socket:
        return self.ours


@pytest.fixture
def transport() -> Iterator[Pair]:
    transport = Pair()
    yield transport
    transport.ours.close()
    transport.theirs.close()


def test_k2_it_looks_open_until_the_server_closes_it(transport: Pair) -> None:
    assert looks_open(transport)
    transport.theirs.close()
    assert not looks_open(transport)


def test_k2_unasked_bytes_are_no_sign_of_life(transport: Pair) -> None:
    transport.theirs.send(b"x")
    assert not looks_open(transport)
    assert transport.ours.recv(9) == b"x"  # they were only looked at


def test_k2_a_socket_that_fails_is_not_open(transport: Pair) -> None:
    transport.ours.close()
    assert not looks_open(transport)


def test_k2_without_a_socket_nothing_is_known() -> None:
    assert looks_open(StringTransport())
    assert looks_open(object())


class Transport:
    """A transport over a socket."""

    def __init__(self, sock: Any) -> None:
        self.getHandle = lambda: sock


def test_unsent_counts_what_the_peer_did_not_take() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        with ours:
            theirs, _ = server.accept()
            with theirs:
                assert unsent(Transport(ours)) == 0
                ours.setblocking(False)
                with pytest.raises(BlockingIOError):
                    while True:
                        ours.send(b"x" * 65536)
                assert unsent(Transport(ours)) > 0


def test_where_the_system_does_not_tell_nothing_is_unsent() -> None:
    closed = socket.socket()
    closed.close()
    for transport in (StringTransport(), Transport(None), Transport(closed)):
        assert unsent(transport) == 0
