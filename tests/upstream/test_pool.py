"""The pool: reuse, bounds, the queue before them, and whom a dial serves."""

from __future__ import annotations

import pytest
from twisted.internet.error import TimeoutError

from gwproxy.errors import ConnectFailed, ConnectTimeout, QueueFull, QueueTimeout
from gwproxy.upstream.protocol import UpstreamConnection
from tests.upstream.net import Net, Waiting, Wire


def wait(net: Net) -> Waiting:
    waiter = Waiting()
    net.pool.wait(waiter)
    return waiter


def connected(net: Net) -> tuple[UpstreamConnection, Wire]:
    """A connection in use."""
    waiter = wait(net)
    wire = net.accept()
    assert waiter.connection is wire.protocol
    return wire.protocol, wire


def test_nothing_is_idle_at_first() -> None:
    net = Net()
    assert net.pool.take() is None
    assert (net.pool.open, net.pool.waiting, net.dialing) == (0, 0, 0)


def test_a_waiter_gets_the_connection_made_for_it() -> None:
    net = Net()
    waiter = wait(net)
    assert (net.pool.open, net.pool.waiting, net.dialing) == (1, 1, 1)
    assert net.pool.in_use == 0
    assert waiter.connection is None
    wire = net.accept()
    assert waiter.connection is wire.protocol
    assert (net.pool.open, net.pool.waiting, net.pool.in_use) == (1, 0, 1)
    assert net.server.up


def test_k1_the_connection_used_last_is_used_first() -> None:
    net = Net()
    first, _ = connected(net)
    second, _ = connected(net)
    third, _ = connected(net)
    for connection in (second, first, third):
        net.pool.release(connection)
    assert [net.pool.take() for _ in range(4)] == [third, first, second, None]


def test_no_more_than_keepalive_are_kept() -> None:
    net = Net(keepalive=1)
    first, _ = connected(net)
    second, wire = connected(net)
    net.pool.release(first)
    net.pool.release(second)
    assert wire.disconnected
    wire.lose()
    assert net.pool.idle == [first]
    assert net.pool.open == 1


def test_k1_an_idle_connection_is_kept_for_keepalive_timeout() -> None:
    net = Net(keepalive_timeout=4.0)
    connection, wire = connected(net)
    net.pool.release(connection)
    net.advance(3.9)
    assert not wire.disconnected
    net.advance(0.2)
    assert wire.disconnected


def test_k1_a_connection_being_closed_is_given_to_nobody() -> None:
    """The transport tells of an abort in a later turn; a request in between must not get it."""
    net = Net(keepalive_timeout=4.0)
    expired, wire = connected(net)
    net.pool.release(expired)
    net.advance(4.1)
    assert wire.disconnected and not expired.lost
    assert net.pool.take() is None
    assert net.pool.open == 1  # it counts until it is gone
    wire.lose()
    assert net.pool.open == 0


def test_an_idle_connection_that_is_lost_is_forgotten() -> None:
    net = Net()
    connection, wire = connected(net)
    net.pool.release(connection)
    wire.lose()
    assert net.pool.take() is None
    assert net.pool.open == 0


def test_a_released_connection_goes_to_whoever_waits() -> None:
    net = Net(max_connections=1)
    connection, _ = connected(net)
    first, second = wait(net), wait(net)
    assert (net.pool.open, net.pool.waiting, net.dialing) == (1, 2, 0)
    net.pool.release(connection)
    assert (first.connection, second.connection) == (connection, None)
    net.pool.release(connection)
    assert second.connection is connection
    net.pool.release(connection)
    assert net.pool.idle == [connection]


def test_m7_the_queue_is_bounded() -> None:
    net = Net(max_connections=1, queue=2)
    connected(net)
    wait(net)
    wait(net)
    with pytest.raises(QueueFull) as raised:
        wait(net)
    assert raised.value.status == 503
    assert net.pool.waiting == 2


def test_those_for_whom_a_connection_is_made_are_not_in_the_queue() -> None:
    net = Net(max_connections=2, queue=1)
    for _ in range(3):
        wait(net)
    assert (net.dialing, net.pool.waiting) == (2, 3)
    with pytest.raises(QueueFull):
        wait(net)


def test_no_queue_at_all() -> None:
    net = Net(max_connections=1, queue=0)
    connected(net)
    with pytest.raises(QueueFull):
        wait(net)


def test_m7_each_waits_for_queue_timeout_at_most() -> None:
    net = Net(max_connections=1, queue_timeout=5.0)
    connection, _ = connected(net)
    first = wait(net)
    net.advance(2)
    second = wait(net)
    net.advance(2.9)
    assert first.error is None
    net.advance(0.2)
    assert isinstance(first.error, QueueTimeout)
    assert second.error is None
    net.pool.release(connection)
    assert second.connection is connection
    third = wait(net)
    net.advance(4.9)
    assert third.error is None
    net.advance(0.2)
    assert isinstance(third.error, QueueTimeout)
    assert net.pool.waiting == 0


def test_m7_each_times_out_at_its_own_time() -> None:
    net = Net(max_connections=1, queue_timeout=4.0)
    connected(net)
    first = wait(net)
    net.advance(1)
    second = wait(net)
    net.advance(3)
    assert isinstance(first.error, QueueTimeout)
    assert second.error is None
    net.advance(1)
    assert isinstance(second.error, QueueTimeout)


def test_queue_timeout_is_not_for_those_who_wait_for_a_dial() -> None:
    net = Net(max_connections=2, queue_timeout=1.0)
    first, second, queued = wait(net), wait(net), wait(net)
    net.advance(1.1)
    assert isinstance(queued.error, QueueTimeout)
    assert first.error is second.error is None
    assert net.accept().protocol is first.connection


def test_k1_who_leaves_is_told_nothing_and_the_connection_is_for_the_next() -> None:
    net = Net()
    gone = wait(net)
    net.pool.leave(gone)
    assert net.pool.waiting == 0
    wire = net.accept()
    assert gone.connection is None
    assert net.pool.take() is wire.protocol


def test_who_leaves_the_queue_gives_up_its_place_only() -> None:
    net = Net(max_connections=1, queue_timeout=1.0)
    connection, _ = connected(net)
    first, gone, last = wait(net), wait(net), wait(net)
    net.pool.leave(gone)
    net.pool.leave(gone)  # once more does nothing
    net.pool.release(connection)
    net.pool.release(connection)
    assert first.connection is last.connection is connection
    net.advance(2)
    assert (gone.connection, gone.error) == (None, None)


def test_when_all_have_left_the_queue_its_timeout_finds_nobody() -> None:
    net = Net(max_connections=1, queue_timeout=1.0)
    connected(net)
    net.pool.leave(wait(net))
    net.advance(2)
    assert net.pool.waiting == 0


def test_b1_a_refused_dial_fails_its_waiter() -> None:
    net = Net()
    waiter = wait(net)
    net.refuse()
    assert isinstance(waiter.error, ConnectFailed)
    assert "127.0.0.1:9001" in waiter.error.detail
    assert not net.server.up
    assert (net.pool.open, net.pool.waiting) == (0, 0)


def test_a_dial_that_takes_too_long_is_told_from_one_refused() -> None:
    net = Net(connect_timeout=3.0)
    waiter = wait(net)
    assert net.reactor.tcpClients[0][3] == 3.0
    net.refuse(TimeoutError())
    assert isinstance(waiter.error, ConnectTimeout)


def test_a_refused_dial_that_nobody_waits_for_fails_nobody() -> None:
    net = Net()
    net.pool.leave(wait(net))
    net.refuse()
    assert net.pool.open == 0


def test_a_refused_dial_makes_room_for_another_for_those_in_the_queue() -> None:
    net = Net(max_connections=1)
    first, second, third = wait(net), wait(net), wait(net)
    assert net.dialing == 1
    net.refuse()
    assert isinstance(first.error, ConnectFailed)
    assert net.dialing == 1
    wire = net.accept()
    assert second.connection is wire.protocol
    net.pool.release(wire.protocol)
    assert third.connection is wire.protocol


def test_who_waits_already_comes_before_who_comes_back_after_a_refusal() -> None:
    """Else one who tries again would take the dial of one in the queue, and could then wait for ever."""
    net = Net(max_connections=1, queue_timeout=5.0)

    class Again(Waiting):
        def connection_failed(self, error: object) -> None:
            self.second = wait(net)

    again = Again()
    net.pool.wait(again)
    queued = wait(net)
    net.refuse()
    assert net.dialing == 1
    wire = net.accept()
    assert queued.connection is wire.protocol
    net.advance(5.1)
    assert isinstance(again.second.error, QueueTimeout)


def test_a_lost_connection_makes_room_for_those_in_the_queue() -> None:
    net = Net(max_connections=1)
    _, wire = connected(net)
    waiter = wait(net)
    assert net.dialing == 0
    wire.lose()
    assert net.dialing == 1
    assert waiter.connection is None
    assert net.accept().protocol is waiter.connection


def test_a_lost_connection_is_not_replaced_for_nobody() -> None:
    net = Net(max_connections=1)
    _, wire = connected(net)
    wire.lose()
    assert net.dialing == 0


def test_one_dial_a_waiter() -> None:
    net = Net(max_connections=2)
    _, first_wire = connected(net)
    _, second_wire = connected(net)
    wait(net)
    first_wire.lose()
    second_wire.lose()
    assert net.dialing == 1


def test_a_connection_for_whom_another_was_released_meanwhile_serves_the_next_or_rests() -> None:
    net = Net(max_connections=2)
    connection, _ = connected(net)
    first = wait(net)
    net.pool.release(connection)
    assert first.connection is connection
    wire = net.accept()
    assert net.pool.idle == [wire.protocol]


def test_a_closed_pool_keeps_nothing_idle() -> None:
    net = Net()
    idle, idle_wire = connected(net)
    busy, busy_wire = connected(net)
    net.pool.release(idle)
    net.pool.close()
    assert idle_wire.disconnected and not busy_wire.disconnected
    assert net.pool.take() is None
    net.pool.release(busy)
    assert busy_wire.disconnected
    idle_wire.lose()
    busy_wire.lose()
    assert net.pool.open == 0
    assert not net.reactor.getDelayedCalls()


def test_a_closed_pool_still_serves_those_under_way() -> None:
    net = Net(max_connections=1, queue_timeout=1.0)
    connection, _ = connected(net)
    queued = wait(net)
    net.pool.close()
    net.pool.release(connection)
    assert queued.connection is connection
    late = wait(net)
    net.advance(1.1)
    assert isinstance(late.error, QueueTimeout)


def test_a_closed_pool_still_ends_the_wait_in_its_queue() -> None:
    net = Net(max_connections=1, queue_timeout=1.0)
    connected(net)
    queued = wait(net)
    net.pool.close()
    net.advance(1.1)
    assert isinstance(queued.error, QueueTimeout)


def test_a_closed_pool_ends_a_wait_that_begins_after_it() -> None:
    net = Net(max_connections=1, queue_timeout=1.0)
    connected(net)
    net.pool.close()
    late = wait(net)
    net.advance(1.1)
    assert isinstance(late.error, QueueTimeout)


def test_a_pool_closed_after_a_wait_leaves_no_timer() -> None:
    net = Net(max_connections=1, queue_timeout=100.0)
    connection, wire = connected(net)
    wait(net)
    net.pool.release(connection)
    net.pool.close()
    wire.lose()
    assert not net.reactor.getDelayedCalls()


def test_its_state_is_told() -> None:
    net = Net(max_connections=2)
    connection, _ = connected(net)
    net.pool.release(connection)
    wait(net)
    assert repr(net.pool) == "<Pool open=2 idle=1 dialing=1 waiting=1>"
