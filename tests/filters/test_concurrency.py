"""The filter `concurrency`: who gets a place, who waits, who is refused; and that every place comes back."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from gwproxy.config import ConfigMistake
from gwproxy.config.mistakes import BadValue
from gwproxy.filters import concurrency
from gwproxy.filters.api import Exchange, IRequestFilter, Principal, Reply, Verdict
from gwproxy.testing import FakeExchange, FilterHarness, Played, Surroundings, build_filter, parse_options


@implementer(IRequestFilter)
class Held:
    """Behind it: each request goes on when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Verdict]] = []

    def on_request(self, exchange: Exchange) -> Deferred[Verdict]:
        self.waiting.append(Deferred())
        return self.waiting[-1]


class Limited:
    """A filter and what is around it."""

    def __init__(self, **options: str) -> None:
        self.around = Surroundings()
        self.behind = Held()
        self.filter = build_filter(concurrency, {"limit": "2", **options}, name="few", around=self.around)
        self.harness = FilterHarness(("few", self.filter), ("behind", self.behind), clock=self.around.clock)

    def ask(self, **exchange: Any) -> Played:
        return self.harness.run(FakeExchange(**exchange))

    def metric(self, name: str) -> float:
        (family,) = [family for family in self.around.meters.families() if family.name == name]
        return family.series[("few",)]()


def statuses(played: list[Played]) -> list[int | None]:
    return [each.status for each in played]


def test_so_many_at_once() -> None:
    limited = Limited()
    played = [limited.ask() for _ in range(3)]
    assert statuses(played) == [None, None, 503]
    assert played[2].filter_name == "few"
    assert limited.metric("concurrency_in_flight") == 2
    limited.behind.waiting[0].callback(None)
    assert statuses(played) == [200, None, 503]
    assert limited.ask().waiting
    assert limited.around.decisions("few") == {("allow", "enforce"): 3, ("deny", "enforce"): 1}


def test_a_denial() -> None:
    limited = Limited(limit="1")
    limited.ask()
    denied = limited.ask()
    assert denied.reply is not None
    assert (denied.reply.status, denied.reply.detail) == (503, "concurrency_limit")
    assert denied.header(b"retry-after") == b"1"
    assert [(event["event"], event["reason"]) for event in limited.around.events] == [
        ("overloaded", "concurrency_limit")
    ]


@pytest.mark.parametrize("end", ["answered", "replied", "raised", "gone"])
def test_a_place_comes_back_however_it_ends(end: str) -> None:
    limited = Limited(limit="1")
    for _ in range(3):
        played = limited.ask()
        assert played.waiting
        assert limited.ask().status == 503
        if end == "answered":
            limited.behind.waiting[-1].callback(None)
        elif end == "replied":
            limited.behind.waiting[-1].callback(Reply(418))
        elif end == "raised":
            limited.behind.waiting[-1].errback(ZeroDivisionError())
        else:
            played.disconnect()
        assert limited.metric("concurrency_in_flight") == 0


def test_who_finds_none_waits_in_line() -> None:
    limited = Limited(limit="1", queue="2")
    played = [limited.ask() for _ in range(4)]
    assert [each.waiting for each in played] == [True, True, True, False]
    assert played[3].status == 503
    assert limited.metric("concurrency_waiting") == 2
    for i in range(3):
        assert len(limited.behind.waiting) == i + 1
        limited.behind.waiting[i].callback(None)
    assert statuses(played) == [200, 200, 200, 503]
    assert limited.metric("concurrency_in_flight") == limited.metric("concurrency_waiting") == 0
    assert limited.around.clock.getDelayedCalls() == []
    assert limited.around.decisions("few") == {("allow", "enforce"): 3, ("deny", "enforce"): 1}


def test_and_is_refused_in_the_end() -> None:
    limited = Limited(limit="1", queue="1", queue_timeout="2s")
    first, second = limited.ask(), limited.ask()
    limited.around.clock.advance(1.9)
    assert second.waiting
    limited.around.clock.advance(0.1)
    assert second.status == 503
    limited.behind.waiting[0].callback(None)
    assert first.status == 200
    assert limited.metric("concurrency_in_flight") == 0


def test_a_client_that_goes_while_it_waits_takes_no_place() -> None:
    limited = Limited(limit="1", queue="2")
    _, gone, stays = (limited.ask() for _ in range(3))
    gone.disconnect()
    assert limited.metric("concurrency_waiting") == 1
    limited.behind.waiting[0].callback(None)
    assert len(limited.behind.waiting) == 2
    limited.behind.waiting[1].callback(None)
    assert stays.status == 200
    assert limited.metric("concurrency_in_flight") == 0
    assert limited.around.clock.getDelayedCalls() == []


def test_each_key_has_its_own() -> None:
    limited = Limited(limit="1", key="claim:sub")
    alice = Principal("alice", {"sub": "alice"})
    assert limited.ask(principal=alice).waiting
    assert limited.ask(principal=alice, client_ip="192.0.2.9").status == 503
    assert limited.ask().waiting
    assert limited.ask().status == 503


def test_in_shadow_mode_nothing_waits_and_all_pass() -> None:
    limited = Limited(limit="1", queue="5", mode="shadow")
    played = [limited.ask() for _ in range(3)]
    assert len(limited.behind.waiting) == 3
    assert limited.around.decisions("few") == {("allow", "shadow"): 1, ("deny", "shadow"): 2}
    for waiting in limited.behind.waiting:
        waiting.callback(None)
    assert statuses(played) == [200] * 3
    assert limited.metric("concurrency_in_flight") == 0


def test_places_outlive_a_reload_as_long_as_they_mean_the_same() -> None:
    limited = Limited(limit="1")
    limited.ask()

    def reloaded(**options: str) -> int | None:
        again = build_filter(concurrency, {"limit": "1", **options}, name="few", around=limited.around)
        return FilterHarness(again, clock=limited.around.clock).run().status

    assert reloaded() == 503
    assert reloaded(limit="2") == 200
    assert reloaded(key="route") == 200
    limited.behind.waiting[0].callback(None)
    assert reloaded() == 200


def test_what_is_refused_at_load() -> None:
    with pytest.raises(ConfigMistake, match="needs a queue"):
        Limited(queue_timeout="5s")
    for options in ({"limit": "0"}, {"queue": "-1"}, {"queue_timeout": "0", "queue": "1"}, {"key": "ips"}):
        with pytest.raises(BadValue):
            Limited(**options)


def test_traits() -> None:
    options = parse_options(concurrency.Options, {"limit": "1", "key": "claim:sub"})
    assert concurrency.traits(options).needs_principal
