"""How connections are made: to addresses, names, unix sockets and services inside the gateway."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectError, ConnectionRefusedError, DNSLookupError, TimeoutError
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from gwproxy.config.addresses import ServerAddress
from gwproxy.upstream.dial import Dialer

TCP = ServerAddress("tcp", "10.0.0.1", 9001)
NAME = ServerAddress("tcp", "users.test", 9001)


class Resolver:
    """Answers at once, with these."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self.receiver: Any = None

    def resolveHostName(self, receiver: Any, name: str) -> None:
        self.receiver = receiver
        for host in self.hosts:
            receiver.addressResolved(IPv4Address("TCP", host, 0))
        receiver.resolutionComplete()


class Silent:
    """Never answers."""

    def resolveHostName(self, receiver: Any, name: str) -> None:
        """Nothing."""


class Dialing:
    """A dialer, and what became of each dial."""

    def __init__(self, address: ServerAddress, resolver: Any = None, builtins: dict[str, int] | None = None) -> None:
        self.reactor: Any = MemoryReactorClock()
        if resolver is not None:
            self.reactor.nameResolver = resolver
        self.failures: list[Failure] = []
        self.dialer = Dialer(address, self.reactor, 6.0, 30.0, {} if builtins is None else builtins)

    def dial(self) -> Protocol:
        protocol = Protocol()
        before = len(self.failures)
        self.dialer.connect(protocol, self.failures.append)
        assert len(self.failures) == before, "not before connect() returns"
        return protocol

    def tries(self) -> list[tuple[str, int, float]]:
        """Host, port and timeout of each TCP connection tried."""
        return [(host, port, timeout) for host, port, _, timeout, _ in self.reactor.tcpClients]

    def fail(self, reason: Exception) -> None:
        """The last one fails."""
        self.reactor.tcpClients[-1][2].clientConnectionFailed(None, Failure(reason))


def test_an_address_is_connected_as_it_is() -> None:
    dialing = Dialing(TCP, Silent())
    protocol = dialing.dial()
    assert dialing.tries() == [("10.0.0.1", 9001, 6.0)]
    factory = dialing.reactor.tcpClients[0][2]
    assert factory.buildProtocol(None) is protocol
    factory.clientConnectionLost(SimpleNamespace(), Failure(ConnectionRefusedError()))  # the protocol knows
    assert not dialing.failures
    assert not factory.noisy


@pytest.mark.parametrize("host", ["::1", "2001:db8::1"])
def test_an_ipv6_address_is_no_name(host: str) -> None:
    dialing = Dialing(ServerAddress("tcp", host, 80), Silent())
    dialing.dial()
    assert dialing.tries() == [(host, 80, 6.0)]


def test_a_failure_is_passed_on() -> None:
    dialing = Dialing(TCP)
    dialing.dial()
    dialing.fail(ConnectionRefusedError())
    assert [failure.type for failure in dialing.failures] == [ConnectionRefusedError]


def test_a_unix_socket() -> None:
    dialing = Dialing(ServerAddress("unix", path="/run/users.sock"))
    protocol = dialing.dial()
    ((path, factory, timeout, _),) = dialing.reactor.unixClients
    assert (path, timeout) == ("/run/users.sock", 6.0)
    assert factory.buildProtocol(None) is protocol
    factory.clientConnectionFailed(None, Failure(FileNotFoundError()))
    assert dialing.failures[0].type is FileNotFoundError


def test_a_service_inside_the_gateway_is_where_it_listens_now() -> None:
    ports: dict[str, int] = {}
    dialing = Dialing(ServerAddress("builtin", "echo"), builtins=ports)
    dialing.dial()
    dialing.reactor.advance(0)
    assert dialing.failures[0].type is ConnectError
    assert "builtin:echo" in str(dialing.failures[0].value)
    ports["echo"] = 4711
    dialing.dial()
    assert dialing.tries() == [("127.0.0.1", 4711, 6.0)]


def test_a_name_is_a_balancer_of_its_own() -> None:
    dialing = Dialing(NAME, Resolver("10.0.0.1", "10.0.0.2", "10.0.0.3"))
    for _ in range(4):
        dialing.dial()
    assert [host for host, _, _ in dialing.tries()] == ["10.0.0.2", "10.0.0.3", "10.0.0.1", "10.0.0.2"]


def test_the_addresses_of_a_name_are_tried_in_turn_within_one_connect_timeout() -> None:
    dialing = Dialing(NAME, Resolver("10.0.0.1", "10.0.0.2", "10.0.0.3"))
    protocol = dialing.dial()
    dialing.reactor.advance(2)
    dialing.fail(TimeoutError())
    dialing.fail(ConnectionRefusedError())
    assert dialing.tries() == [("10.0.0.2", 9001, 2.0), ("10.0.0.3", 9001, 2.0), ("10.0.0.1", 9001, 4.0)]
    assert dialing.reactor.tcpClients[-1][2].buildProtocol(None) is protocol
    assert not dialing.failures
    dialing.fail(ConnectError())
    assert [failure.type for failure in dialing.failures] == [ConnectError]
    assert len(dialing.tries()) == 3


def test_when_the_time_is_over_no_other_address_is_tried() -> None:
    dialing = Dialing(NAME, Resolver("10.0.0.1", "10.0.0.2"))
    dialing.dial()
    dialing.reactor.advance(6)
    dialing.fail(TimeoutError())
    assert len(dialing.tries()) == 1
    assert dialing.failures[0].type is TimeoutError


def test_a_name_without_addresses_fails() -> None:
    dialing = Dialing(NAME, Resolver())
    dialing.dial()
    dialing.reactor.advance(0)
    assert dialing.failures[0].type is DNSLookupError
    dialing.dial()  # known by now, and told in its turn all the same
    dialing.reactor.advance(0)
    assert len(dialing.failures) == 2
    assert not dialing.tries()


def test_a_lookup_has_connect_timeout_and_leaves_the_rest_of_it() -> None:
    dialing = Dialing(NAME, Silent())
    dialing.dial()
    dialing.reactor.advance(6)
    assert dialing.failures[0].type is TimeoutError
    assert not dialing.tries()

    late = Resolver("10.0.0.1")

    class Late(Silent):
        def resolveHostName(self, receiver: Any, name: str) -> None:
            dialing.reactor.callLater(4, late.resolveHostName, receiver, name)

    dialing = Dialing(NAME, Late())
    dialing.dial()
    dialing.reactor.advance(4)
    assert dialing.tries() == [("10.0.0.1", 9001, 2.0)]


def test_the_protocol_tells_by_itself_that_it_is_connected() -> None:
    dialing = Dialing(TCP)
    made: list[object] = []

    class Connecting(Protocol):
        def connectionMade(self) -> None:
            made.append(self.transport)

    dialing.dialer.connect(Connecting(), dialing.failures.append)
    transport: Any = StringTransport()
    dialing.reactor.tcpClients[0][2].buildProtocol(None).makeConnection(transport)
    assert made == [transport]
