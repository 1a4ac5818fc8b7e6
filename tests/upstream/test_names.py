"""Addresses of a host name: looked up once, kept, looked up again beside their use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.testing import MemoryReactorClock

from gwproxy.upstream.names import Names


class NameServer:
    """A resolver that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._receivers: list[Any] = []

    def resolveHostName(self, receiver: Any, name: str) -> None:
        self.asked.append(name)
        self._receivers.append(receiver)
        receiver.resolutionBegan(None)

    def answer(self, *hosts: str) -> None:
        """The oldest question is answered."""
        receiver = self._receivers.pop(0)
        for host in hosts:
            kind = IPv6Address if ":" in host else IPv4Address
            receiver.addressResolved(kind("TCP", host, 0))
        receiver.resolutionComplete()


class Asking:
    """Names, and what those who asked were told."""

    def __init__(self) -> None:
        self.reactor = cast(Any, MemoryReactorClock())
        self.server = NameServer()
        self.reactor.installNameResolver(self.server)
        self.names = Names("users.test", self.reactor, 30.0)
        self.told: list[Sequence[str] | str] = []

    def ask(self) -> None:
        self.names.addresses(self.told.append, lambda: self.told.append("timed out"), 5.0)


@pytest.fixture
def asking() -> Asking:
    return Asking()


def test_the_first_who_asks_waits_for_the_answer(asking: Asking) -> None:
    asking.ask()
    asking.ask()
    assert (asking.told, asking.server.asked) == ([], ["users.test"])
    asking.server.answer("10.0.0.1", "::1", "10.0.0.1")
    assert asking.told == [("10.0.0.1", "::1")] * 2
    assert not asking.reactor.getDelayedCalls()


def test_later_ones_are_told_at_once(asking: Asking) -> None:
    asking.ask()
    asking.server.answer("10.0.0.1")
    asking.reactor.advance(29.9)
    asking.ask()
    assert asking.told == [("10.0.0.1",)] * 2
    assert len(asking.server.asked) == 1


def test_old_addresses_are_used_while_new_ones_are_looked_up(asking: Asking) -> None:
    asking.ask()
    asking.server.answer("10.0.0.1")
    asking.reactor.advance(30)
    asking.ask()
    asking.ask()
    assert asking.told[1:] == [("10.0.0.1",)] * 2
    assert len(asking.server.asked) == 2
    asking.server.answer("10.0.0.2")
    asking.ask()
    assert asking.told[3] == ("10.0.0.2",)


def test_what_was_found_outlives_a_name_server_that_is_down(asking: Asking) -> None:
    asking.ask()
    asking.server.answer("10.0.0.1")
    asking.reactor.advance(30)
    asking.ask()
    asking.server.answer()
    asking.ask()
    assert asking.told == [("10.0.0.1",)] * 3
    assert len(asking.server.asked) == 2
    asking.reactor.advance(1)
    asking.ask()
    assert len(asking.server.asked) == 3  # a second later it is tried again


def test_a_name_without_addresses_is_told_as_none_and_tried_again_after_a_second(asking: Asking) -> None:
    asking.ask()
    asking.server.answer()
    asking.ask()
    assert asking.told == [(), ()]
    assert len(asking.server.asked) == 1
    asking.reactor.advance(1)
    asking.ask()
    asking.server.answer("10.0.0.1")
    assert asking.told == [(), (), ("10.0.0.1",)]


def test_who_waits_too_long_is_told_once(asking: Asking) -> None:
    asking.ask()
    asking.reactor.advance(2)
    asking.ask()
    asking.reactor.advance(3)
    assert asking.told == ["timed out"]
    asking.server.answer("10.0.0.1")
    assert asking.told == ["timed out", ("10.0.0.1",)]
    asking.reactor.advance(10)
    assert len(asking.told) == 2


def test_a_lookup_that_takes_long_is_not_begun_twice(asking: Asking) -> None:
    asking.ask()
    asking.reactor.advance(100)
    asking.ask()
    assert len(asking.server.asked) == 1


def test_a_resolver_that_answers_at_once(asking: Asking) -> None:
    reactor: Any = MemoryReactorClock()  # its own resolver does
    told: list[Sequence[str]] = []
    Names("users.test", reactor, 30.0).addresses(told.append, lambda: None, 5.0)
    assert told == [("127.0.0.1",)]


def test_addresses_of_another_kind_are_ignored(asking: Asking) -> None:
    asking.ask()
    asking.server._receivers[0].addressResolved(UNIXAddress("/run/a.sock"))
    asking.server.answer("10.0.0.1")
    assert asking.told == [("10.0.0.1",)]
