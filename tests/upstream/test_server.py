"""An upstream's servers: which is next, and which is left alone for a while."""

from __future__ import annotations

import pytest

from gwproxy.config.addresses import ServerAddress
from gwproxy.config.model import Balance, UpstreamOptions
from gwproxy.upstream.server import Server, Upstream
from tests.upstream.net import Net, Waiting


class Group:
    """An upstream of several servers."""

    def __init__(self, count: int, balance: Balance = Balance.ROUND_ROBIN) -> None:
        self.nets = [Net() for _ in range(count)]
        self.servers = [net.server for net in self.nets]
        options = UpstreamOptions(
            name="users", servers=tuple(server.address for server in self.servers), balance=balance
        )
        self.upstream = Upstream(options, self.servers)

    def picks(self, count: int, now: float = 0.0, tried: tuple[Server, ...] = ()) -> list[int]:
        found = [self.upstream.pick(tried, now) for _ in range(count)]
        return [self.servers.index(server) for server in found if server is not None]


def test_a_server_is_named_by_its_address() -> None:
    server = Net().server
    assert (server.label, server.host_header, server.weight) == ("127.0.0.1:9001", "127.0.0.1:9001", 1)
    assert (server.active, server.idle, server.up) == (0, 0, True)
    assert repr(server).startswith("<Server 127.0.0.1:9001 active=0 failures=0 <Pool ")


def test_a_server_knows_its_idle_connections() -> None:
    net = Net()
    waiter = Waiting()
    net.pool.wait(waiter)
    net.pool.release(net.accept().protocol)
    assert net.server.idle == 1


def test_m7_a_server_that_cannot_be_reached_rests_twice_as_long_each_time() -> None:
    server = Net().server
    rests = []
    for _ in range(20):
        server.unreachable(100.0)
        rests.append(server.rest_until - 100.0)
    assert rests[:6] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert set(rests[5:]) == {10.0}
    assert (server.up, server.failures) == (False, 20)
    server.connected()
    assert (server.up, server.rest_until) == (True, 0.0)
    server.unreachable(200.0)
    assert server.rest_until == 200.5


def test_the_pool_tells_the_server_of_dials() -> None:
    net = Net()
    net.advance(50)
    net.pool.wait(Waiting())
    net.refuse()
    assert (net.server.failures, net.server.rest_until) == (1, 50.5)
    net.pool.wait(Waiting())
    net.accept()
    assert net.server.up


def test_one_server_is_always_picked_and_once() -> None:
    group = Group(1)
    group.servers[0].unreachable(0.0)
    assert group.picks(3) == [0, 0, 0]
    assert group.upstream.pick((group.servers[0],), 0.0) is None


def test_several_are_picked_by_the_balance_asked_for() -> None:
    assert Group(3).picks(4) == [0, 1, 2, 0]
    group = Group(3, Balance.LEAST_ACTIVE)
    group.servers[0].active = group.servers[2].active = 1
    assert group.picks(3) == [1, 1, 1]


def test_k3_another_attempt_goes_to_another_server() -> None:
    group = Group(3)
    first, second, third = group.servers
    assert set(group.picks(6, tried=(first,))) == {1, 2}
    assert set(group.picks(6, tried=(first, third))) == {1}
    assert group.upstream.pick((third, second, first), 0.0) is None


def test_m7_a_resting_server_is_picked_only_when_there_is_no_other() -> None:
    group = Group(2)
    first, second = group.servers
    first.unreachable(10.0)
    assert group.picks(4, now=10.4) == [1, 1, 1, 1]
    assert set(group.picks(4, now=10.5)) == {0, 1}
    assert group.picks(1, now=10.0, tried=(second,)) == [0]
    second.unreachable(10.0)
    assert set(group.picks(4, now=10.0)) == {0, 1}


def test_closing_closes_the_idle_connections_of_all() -> None:
    group = Group(2)
    wires = []
    for net in group.nets:
        net.pool.wait(Waiting())
        wires.append(net.accept())
        net.pool.release(wires[-1].protocol)
    group.upstream.close()
    assert all(wire.disconnected for wire in wires)


@pytest.mark.parametrize(
    ("address", "label", "host"),
    [
        (ServerAddress("tcp", "::1", 80), "[::1]:80", "[::1]"),
        (ServerAddress("unix", path="/run/a.sock"), "unix:/run/a.sock", "localhost"),
        (ServerAddress("builtin", "echo"), "builtin:echo", "localhost"),
    ],
)
def test_x7_labels_and_hosts_of_other_addresses(address: ServerAddress, label: str, host: str) -> None:
    net = Net()
    server = Server(address, net.options, net.dialer, net.reactor)
    assert (server.label, server.host_header) == (label, host)


def test_an_upstream_tells_its_state() -> None:
    assert repr(Group(1).upstream).startswith("<Upstream users [<Server 127.0.0.1:9001 ")
