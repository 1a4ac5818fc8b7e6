"""What the kernel knows of an idle connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from twisted.internet.testing import StringTransport

from gwproxy.upstream.liveness import looks_open


class Transport:
    """A transport over one end of a pair of sockets."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()

    def getHandle(self) -> socket.socket:
        return self.ours


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport()
    yield transport
    transport.ours.close()
    transport.theirs.close()


def test_k2_it_looks_open_until_the_server_closes_it(transport: Transport) -> None:
    assert looks_open(transport)
    transport.theirs.close()
    assert not looks_open(transport)


def test_k2_unasked_bytes_are_no_sign_of_life(transport: Transport) -> None:
    transport.theirs.send(b"x")
    assert not looks_open(transport)
    assert transport.ours.recv(9) == b"x"  # they were only looked at


def test_k2_a_socket_that_fails_is_not_open(transport: Transport) -> None:
    transport.ours.close()
    assert not looks_open(transport)


def test_k2_without_a_socket_nothing_is_known() -> None:
    assert looks_open(StringTransport())
    assert looks_open(object())
