"""A listener's channels: how many there may be, when they close."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock

from gwproxy.config.model import ListenOptions
from gwproxy.edge import listener as listener_module
from gwproxy.edge.channel import EdgeChannel
from gwproxy.edge.listener import Listener, listening_port
from gwproxy.http.trusted import TrustedProxies


class Site:
    """A site that nobody asks."""

    settings = SimpleNamespace(trusted=TrustedProxies(["10.0.0.0/8"]))


def listener(**options: Any) -> Listener:
    site: Any = Site()
    return Listener(ListenOptions(name="http", endpoint="tcp:0", **options), site, Clock())


def accepted(by: Listener, client: Any) -> EdgeChannel:
    channel = by.buildProtocol(client)
    assert channel is not None
    return channel


def address(host: str = "192.0.2.7", port: int = 4000) -> IPv4Address:
    return IPv4Address("TCP", host, port)


def test_a_channel_knows_its_peer() -> None:
    made = listener()
    channel = accepted(made, address())
    assert (channel.peer.ip, channel.scheme, channel.listener.name) == ("192.0.2.7", b"http", "http")
    assert not channel.peer_trusted
    assert accepted(made, address("10.1.2.3")).peer_trusted
    assert accepted(made, IPv6Address("TCP", "2001:db8::1", 1)).peer.ip == "2001:db8::1"
    assert made.connections == 3
    assert repr(made) == "<Listener http connections=3>"


@pytest.mark.parametrize("peer", [UNIXAddress(None), None])
def test_a_unix_socket_has_no_address_and_is_nobodys(peer: Any) -> None:
    channel = accepted(listener(max_connections_per_address=1), peer)
    assert (channel.peer.ip, channel.peer_trusted, channel.overload) == ("", False, False)


def test_the_bound_on_all() -> None:
    made = listener(max_connections=2)
    one, two, three = (accepted(made, address()) for _ in range(3))
    assert [one.overload, two.overload, three.overload] == [False, False, True]
    assert made.connections == 2
    made.connection_lost(three)
    assert accepted(made, address()).overload, "the one too many took nobody's place"
    made.connection_lost(one)
    made.connection_lost(one)
    assert made.connections == 1
    assert not accepted(made, address()).overload


def test_those_that_are_told_so_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "MAX_REFUSED", 2)
    made = listener(max_connections=1)
    accepted(made, address())
    told, _ = accepted(made, address()), accepted(made, address())
    assert made.buildProtocol(address()) is None
    made.connection_lost(told)
    assert accepted(made, address()).overload
    assert made.connections == 1


def test_no_bound() -> None:
    made = listener(max_connections=0)
    assert not any(accepted(made, address()).overload for _ in range(100))


def test_the_bound_for_one_address_counts_it_however_it_is_written() -> None:
    made = listener(max_connections_per_address=1)
    one = accepted(made, address())
    assert accepted(made, address()).overload
    assert accepted(made, IPv6Address("TCP", "::ffff:192.0.2.7", 1)).overload
    assert not accepted(made, address("192.0.2.8")).overload
    made.connection_lost(one)
    assert not accepted(made, address()).overload
    # Nothing is kept of who has left.
    for channel in tuple(made.channels):
        made.connection_lost(channel)
    assert not made._by_address


def test_when_a_connection_ends() -> None:
    made = listener(keepalive_requests=3, keepalive_max_age=10.0)
    clock: Any = made.reactor
    assert not made.closes_after(2, 0)
    assert made.closes_after(3, 0)
    clock.advance(9.9)
    assert not made.closes_after(1, 0)
    clock.advance(0.1)
    assert made.closes_after(1, 0)
    assert not made.closes_after(1, 5)
    assert not listener().closes_after(10**6, -(10.0**6))


def test_a_draining_listener_closes_after_every_request() -> None:
    made = listener()
    made.drain()
    assert made.closes_after(1, 0)


def test_the_port() -> None:
    assert listening_port(address(port=8080)) == 8080
    assert listening_port(IPv6Address("TCP", "::1", 8081)) == 8081
    assert listening_port(UNIXAddress(b"/run/gw.sock")) is None
