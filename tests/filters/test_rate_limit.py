"""The filter `rate_limit`: who gets a 429, what everybody is told, and what happens without the store."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError

from gwproxy.config import ConfigMistake
from gwproxy.config.mistakes import BadValue
from gwproxy.filters import rate_limit
from gwproxy.filters.api import Principal
from gwproxy.filters.gcra import SCRIPT
from gwproxy.store.redis import StoreFailed
from gwproxy.testing import (
    FakeExchange,
    FilterHarness,
    Played,
    Surroundings,
    UpstreamResponse,
    build_filter,
    parse_options,
    run_filter,
)
from tests.filters.fake_store import FakeStore


class Limited:
    """A filter and what is around it."""

    def __init__(self, store: FakeStore | None = None, /, **options: str) -> None:
        self.around = Surroundings(stores={} if store is None else {"shared": store})
        options = {"rate": "10/m", **({} if store is None else {"store": "shared"}), **options}
        self.filter = build_filter(rate_limit, options, name="per-ip", around=self.around)
        self.harness = FilterHarness(("per-ip", self.filter), clock=self.around.clock)

    def ask(self, response: UpstreamResponse | None = None, **exchange: Any) -> Played:
        return self.harness.run(FakeExchange(**exchange), response)

    def statuses(self, count: int, **exchange: Any) -> list[int | None]:
        return [self.ask(**exchange).status for _ in range(count)]

    def metric(self, name: str) -> float:
        (family,) = [family for family in self.around.meters.families() if family.name == name]
        return family.series[("per-ip",)]()


def told(played: Played) -> dict[str, str]:
    """The fields that tell of a limit."""
    return {
        name.decode(): value.decode()
        for name, value in played.headers
        if b"ratelimit" in name.lower() or name == b"Retry-After"
    }


def test_the_burst_then_the_rate() -> None:
    limited = Limited(burst="2")
    assert limited.statuses(3) == [200, 200, 429]
    limited.around.clock.advance(6)
    assert limited.statuses(2) == [200, 429]
    assert limited.around.decisions("per-ip") == {("allow", "enforce"): 3, ("deny", "enforce"): 2}


def test_without_a_burst_it_is_the_number_in_the_rate() -> None:
    assert Limited().statuses(11) == [200] * 10 + [429]


def test_a_denial() -> None:
    limited = Limited(burst="1")
    limited.ask()
    denied = limited.ask(client_ip="192.0.2.1")
    assert denied.reply is not None
    assert (denied.reply.status, denied.reply.detail) == (429, "rate_limit")
    assert denied.filter_name == "per-ip"
    assert told(denied) == {
        "Retry-After": "6",
        "RateLimit": '"per-ip";r=0;t=6',
        "RateLimit-Policy": '"per-ip";q=1;w=6',
        "X-RateLimit-Limit": "1",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "6",
    }
    assert limited.around.events == [
        {
            "event": "rate_limited",
            "filter": "per-ip",
            "reason": "rate_limit",
            "mode": "enforce",
            "client": "192.0.2.1",
        }
    ]


def test_retry_after_is_never_0() -> None:
    limited = Limited(rate="1000/s", burst="1")
    limited.ask()
    assert told(limited.ask())["Retry-After"] == "1"


def test_after_retry_after_one_passes_and_not_a_second_before() -> None:
    limited = Limited(burst="3")
    limited.statuses(3)
    limited.around.clock.advance(0.5)
    wait = int(told(limited.ask())["Retry-After"])
    limited.around.clock.advance(wait - 1)
    assert limited.statuses(1) == [429]
    limited.around.clock.advance(1)
    assert limited.statuses(2) == [200, 429]


def test_every_answer_tells_what_is_left() -> None:
    limited = Limited(burst="3")
    theirs = UpstreamResponse(headers=[(b"x-ratelimit-limit", b"999"), (b"RateLimit", b"x"), (b"A", b"b")])
    assert told(limited.ask(theirs)) == {
        "RateLimit": '"per-ip";r=2;t=6',
        "RateLimit-Policy": '"per-ip";q=3;w=18',
        "X-RateLimit-Limit": "3",
        "X-RateLimit-Remaining": "2",
        "X-RateLimit-Reset": "6",
    }
    assert told(limited.ask(theirs))["RateLimit"] == '"per-ip";r=1;t=12'
    assert limited.ask(theirs).header(b"a") == b"b"


def test_the_answer_of_an_inner_filter_too() -> None:
    around = Surroundings()
    outer, inner = (
        build_filter(rate_limit, {"rate": rate}, name=name, around=around)
        for name, rate in [("outer", "10/m"), ("inner", "1/m")]
    )
    harness = FilterHarness(outer, inner, clock=around.clock)
    assert harness.run().status == 200
    denied = harness.run()
    assert denied.status == 429
    assert [value for name, value in denied.headers if name == b"RateLimit"] == [
        b'"inner";r=0;t=60',
        b'"outer";r=8;t=12',
    ]
    assert told(denied)["X-RateLimit-Remaining"] == "0"


def test_without_headers_nothing_is_told_but_when_to_come_again() -> None:
    limited = Limited(burst="1", headers="no")
    assert told(limited.ask()) == {}
    assert told(limited.ask()) == {"Retry-After": "6"}


def test_in_shadow_mode_it_counts_and_the_client_sees_nothing() -> None:
    limited = Limited(burst="1", mode="shadow")
    played = [limited.ask() for _ in range(3)]
    assert [(each.status, told(each)) for each in played] == [(200, {})] * 3
    assert limited.around.decisions("per-ip") == {("allow", "shadow"): 1, ("deny", "shadow"): 2}
    assert [event["mode"] for event in limited.around.events] == ["shadow"] * 2


def test_each_key_has_its_own() -> None:
    limited = Limited(burst="1")
    assert limited.statuses(2, client_ip="192.0.2.1") == [200, 429]
    assert limited.statuses(2, client_ip="192.0.2.2") == [200, 429]
    assert limited.statuses(1, client_ip="::ffff:192.0.2.2") == [429]
    assert limited.statuses(1, client_ip="2001:db8::1") == [200]
    assert limited.statuses(1, client_ip="2001:db8::2") == [429]


def test_by_claim() -> None:
    limited = Limited(burst="1", key="claim:sub")
    alice, bob = (Principal(name, {"sub": name}) for name in ("alice", "bob"))
    assert limited.statuses(2, principal=alice, client_ip="192.0.2.1") == [200, 429]
    assert limited.statuses(1, principal=alice, client_ip="192.0.2.2") == [429]
    assert limited.statuses(2, principal=bob, client_ip="192.0.2.1") == [200, 429]
    assert limited.statuses(2, client_ip="192.0.2.1") == [200, 429]


def test_nothing_of_an_exchange_is_kept() -> None:
    limited = Limited()
    limited.statuses(20)
    assert len(limited.filter._telling) == 0


def test_buckets_outlive_a_reload_as_long_as_they_mean_the_same() -> None:
    limited = Limited(burst="1")
    limited.ask()

    def reloaded(**options: str) -> int | None:
        options = {"rate": "10/m", "burst": "1", **options}
        again = build_filter(rate_limit, options, name="per-ip", around=limited.around)
        return run_filter(again).status

    assert reloaded() == 429
    assert reloaded(mode="enforce", headers="no") == 429
    assert reloaded(burst="2") == 200
    assert reloaded(rate="11/m") == 200
    assert reloaded(key="ip+route") == 200
    assert reloaded(ipv6_prefix="56") == 200


def test_memory_is_bounded_and_seen() -> None:
    limited = Limited(max_keys="100", burst="1")
    for i in range(200):
        limited.ask(client_ip=f"192.0.2.{i}")
    assert limited.metric("rate_limit_buckets") == 100
    assert limited.metric("rate_limit_buckets_given_up") == 100


# With a store


def test_the_store_decides() -> None:
    store = FakeStore()
    limited = Limited(store, burst="5")
    allowed = limited.ask(client_ip="2001:db8::1")
    denied = limited.ask(client_ip="2001:db8::1")
    first, second = store.asked
    assert (first.script, first.keys, first.arguments) == (
        SCRIPT,
        ["rate_limit:per-ip:10/m:5:2001:db8::/64"],
        [60_000_000, 10, 5],
    )
    first.answer.callback([1, 4, 5_900_001, 0])
    assert allowed.status == 200
    assert told(allowed)["RateLimit"] == '"per-ip";r=4;t=6'
    assert told(allowed)["RateLimit-Policy"] == '"per-ip";q=5;w=30'
    second.answer.callback([0, 0, 30_000_000, 0])
    assert denied.status == 429
    assert told(denied) == {
        "Retry-After": "1",
        "RateLimit": '"per-ip";r=0;t=30',
        "RateLimit-Policy": '"per-ip";q=5;w=30',
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "30",
    }
    assert limited.around.decisions("per-ip") == {("allow", "enforce"): 1, ("deny", "enforce"): 1}
    assert len(limited.filter._telling) == 0


def test_a_client_that_goes_while_the_store_is_asked() -> None:
    store = FakeStore()
    limited = Limited(store)
    played = limited.ask()
    played.disconnect()
    assert played.failure is not None
    assert played.failure.check(CancelledError)
    assert len(limited.filter._telling) == 0
    assert limited.around.decisions("per-ip") == {}


@pytest.mark.parametrize("down", ["known", "found out"])
@pytest.mark.parametrize(
    ("on_store_error", "statuses", "decisions", "events"),
    [
        ("local", [200, 200, 429], {"allow": 2, "deny": 1}, ["rate_limited"]),
        ("allow", [200, 200, 200], {"error": 3}, ["check_failed"]),  # once a second
        ("deny", [503, 503, 503], {"deny": 3}, ["check_failed"] * 3),
    ],
)
def test_without_its_answer(
    on_store_error: str, statuses: list[int], decisions: dict[str, int], events: list[str], down: str
) -> None:
    store = FakeStore()
    limited = Limited(store, burst="2", on_store_error=on_store_error)
    store.available = down == "found out"
    found = []
    for _ in range(3):
        played = limited.ask()
        if down == "found out":
            assert played.waiting
            store.asked[-1].answer.errback(StoreFailed("timeout"))
        found.append(played.status)
        if played.status == 503:
            assert played.reply is not None
            assert played.reply.detail == "store_unavailable"
            assert told(played) == {"Retry-After": "1"}
    assert found == statuses
    assert limited.around.decisions("per-ip") == {(decision, "enforce"): n for decision, n in decisions.items()}
    assert [event["event"] for event in limited.around.events] == events
    if down == "known":
        assert store.asked == []


def test_deny_in_shadow_mode_denies_nobody() -> None:
    store = FakeStore()
    store.available = False
    limited = Limited(store, on_store_error="deny", mode="shadow")
    assert limited.statuses(1) == [200]
    assert limited.around.decisions("per-ip") == {("deny", "shadow"): 1}


def test_another_failure_is_ours_and_not_the_stores() -> None:
    store = FakeStore()
    limited = Limited(store, on_store_error="allow")
    played = limited.ask()
    store.asked[-1].answer.errback(ZeroDivisionError())
    assert played.status == 500


@pytest.mark.parametrize("answer", ["OK", None, 1, b"", [], [1, 2, 3], [1, 2, 3, b"4"], [1, 2, 3, [4]], [True] * 4])
def test_an_answer_that_is_none_of_the_script_is_none(answer: object) -> None:
    store = FakeStore()
    limited = Limited(store, on_store_error="deny")
    played = limited.ask()
    store.asked[-1].answer.callback(answer)
    assert played.status == 503


# What is refused at load


def test_a_store_that_there_is_not() -> None:
    with pytest.raises(ConfigMistake, match="did you mean 'shared'") as caught:
        Limited(FakeStore(), store="share")
    assert caught.value.key == "store"


@pytest.mark.parametrize("word", ["allow", "deny"])
def test_no_store_no_store_error(word: str) -> None:
    with pytest.raises(ConfigMistake, match="needs a store") as caught:
        Limited(on_store_error=word)
    assert caught.value.key == "on_store_error"


@pytest.mark.parametrize(
    "options",
    [
        *({"rate": "0/s"}, {"rate": "10"}, {"burst": "0"}, {"ipv6_prefix": "129"}, {"max_keys": "1"}),
        *({"key": "ipp"}, {"on_store_error": "ignore"}, {"store": "a b"}),
    ],
)
def test_values_that_are_none(options: dict[str, str]) -> None:
    with pytest.raises(BadValue):
        Limited(None, **options)


def test_traits() -> None:
    def needs(key: str) -> bool:
        options = parse_options(rate_limit.Options, {"rate": "1/s", "key": key})
        return rate_limit.traits(options).needs_principal

    assert needs("claim:sub+ip")
    assert needs("api_key")
    assert not needs("ip+header:X-A")
