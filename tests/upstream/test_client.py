"""The client gives forwarded traffic its connections, and stays treq's beside that."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from treq.client import HTTPClient

from gwproxy.errors import QueueFull
from gwproxy.upstream.agent import UpstreamAgent
from gwproxy.upstream.client import UpstreamClient
from tests.upstream.net import Net, Waiting, Wire


@pytest.fixture
def client() -> UpstreamClient:
    def no_server(address: object) -> Any:
        raise AssertionError("forwarded traffic has servers of its own")

    return UpstreamClient(UpstreamAgent(no_server))


def idle(net: Net) -> Wire:
    """A connection that waits for its next exchange."""
    net.pool.wait(Waiting())
    wire = net.accept()
    net.pool.release(wire.protocol)
    return wire


def forward(client: UpstreamClient, net: Net, fresh: bool = False, careful: bool = False) -> Waiting:
    waiter = Waiting()
    client.forward(net.server, waiter, fresh, careful)
    return waiter


def test_it_is_treqs_client(client: UpstreamClient) -> None:
    assert isinstance(client, HTTPClient)


def test_an_idle_connection_is_given_at_once(client: UpstreamClient) -> None:
    net = Net()
    first, last = idle(net), None
    net.pool.take()
    last = idle(net)
    net.pool.release(first.protocol)
    assert forward(client, net).connection is first.protocol
    assert forward(client, net).connection is last.protocol
    assert net.dialing == 0


def test_else_one_is_made(client: UpstreamClient) -> None:
    net = Net()
    waiter = forward(client, net)
    assert waiter.connection is None
    assert net.accept().protocol is waiter.connection


def test_k1_a_second_try_is_over_a_fresh_connection(client: UpstreamClient) -> None:
    net = Net()
    wire = idle(net)
    waiter = forward(client, net, fresh=True)
    assert waiter.connection is None
    assert net.accept().protocol is waiter.connection
    assert net.pool.idle == [wire.protocol]


def test_k2_what_must_not_be_sent_twice_goes_over_one_that_is_alive(client: UpstreamClient) -> None:
    net = Net()
    alive, closed = idle(net), None
    net.pool.take()
    closed = idle(net)
    net.pool.release(alive.protocol)
    net.pool.idle.reverse()  # the closed one is on top
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        ours.setblocking(False)
        closed.getHandle = lambda: ours  # type: ignore[attr-defined]  # as a real transport has it
        assert forward(client, net, careful=True).connection is alive.protocol
    assert closed.disconnected
    assert not net.pool.idle


def test_k2_when_none_is_alive_one_is_made(client: UpstreamClient) -> None:
    net = Net(max_connections=1)
    closed = idle(net)
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        ours.setblocking(False)
        closed.getHandle = lambda: ours  # type: ignore[attr-defined]
        waiter = forward(client, net, careful=True)
    assert net.dialing == 0  # no more connections than may be, until the closed one is gone
    closed.lose()
    assert net.accept().protocol is waiter.connection


def test_what_was_said_unasked_is_no_answer_to_the_next_request(client: UpstreamClient) -> None:
    """A server that is tired of waiting may say 408 and close, when the reactor is just about to use the connection."""
    net = Net(keepalive_timeout=4.0)
    resting = idle(net)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        resting.getHandle = lambda: ours  # type: ignore[attr-defined]
        theirs.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        net.advance(1.0)
        waiter = forward(client, net)
    assert resting.disconnected
    assert waiter.connection is None
    assert net.accept().protocol is waiter.connection


def test_m7_a_full_queue_is_told_at_once(client: UpstreamClient) -> None:
    net = Net(max_connections=1, queue=0)
    forward(client, net)
    with pytest.raises(QueueFull):
        forward(client, net)
