"""The source of keys: when it fetches, who waits, what filters call."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from gwproxy.calls import Answer
from gwproxy.testing import FakeCalls, Surroundings
from gwproxy.tokens.jwks import JwksSource, jwks_source
from gwproxy.tokens.provider import Provider
from tests.tokens.kit.jwks import URL, World, answer, kids, make_world, read, started_world


@pytest.fixture
def world() -> World:
    return started_world()


def test_nothing_is_fetched_before_the_gateway_serves() -> None:
    world = make_world()
    assert world.fetches == 0
    assert world.source.current is None
    assert world.source.refetch() is None
    assert world.metric("jwks_age_seconds") == math.inf
    assert world.metric("jwks_keys") == 0


def test_who_comes_before_the_first_keys_waits_for_them() -> None:
    world = make_world()
    world.source.start()
    told = [world.refetch(), world.refetch()]
    assert world.fetches == 1
    world.answer("a", "b")
    assert told == [[["a", "b"]], [["a", "b"]]]
    assert kids(world.source.current) == ["a", "b"]


def test_keys_are_fetched_again_before_they_are_old(world: World) -> None:
    world.advance(299)
    assert world.fetches == 1
    assert world.metric("jwks_age_seconds") == 299
    world.advance(1)
    assert world.fetches == 2
    world.answer("b")
    assert kids(world.source.current) == ["b"]
    assert world.metric("jwks_age_seconds") == 0
    world.advance(300)
    assert world.fetches == 3


def test_gateways_do_not_ask_together() -> None:
    world = make_world(jitter=lambda: 1.0)
    world.source.start()
    world.answer("a")
    world.advance(239)
    assert world.fetches == 1
    world.advance(1.01)
    assert world.fetches == 2


@pytest.mark.parametrize(
    ("cache", "seconds"),
    [
        (b"max-age=60", 60),
        (b"public, MAX-AGE=60", 60),
        (b'max-age="60"', 60),
        (b"max-age=1", 30),
        (b"max-age=86400", 300),
        (b"max-age=0", 300),
        (b"no-store, max-age=60", 300),
        (b"no-cache", 300),
        (b"max-age=x", 300),
        (b"s-maxage=60", 300),
    ],
)
def test_the_provider_says_how_long_its_keys_are_good_within_bounds(cache: bytes, seconds: float) -> None:
    world = make_world()
    world.source.start()
    world.answer("a", cache=cache)
    world.advance(seconds - 0.5)
    assert world.fetches == 1
    world.advance(1)
    assert world.fetches == 2


# A kid that is not known


def test_an_unknown_kid_asks_once_however_many_come(world: World) -> None:
    world.advance(10)
    told = [world.refetch() for _ in range(1000)]
    assert world.fetches == 2
    world.answer("a", "b")
    assert told == [[["a", "b"]]] * 1000


def test_e3_at_most_one_fetch_a_second_in_a_flood(world: World) -> None:
    for _ in range(1000):  # ten seconds of it
        world.advance(0.01)
        world.refetch()
        if not world.calls.asked[-1].answered.called:
            world.answer("a")
    assert 9 <= world.fetches - 1 <= 10


def test_who_asks_just_after_a_fetch_hears_no_at_once(world: World) -> None:
    assert world.refetch() == ["no"]
    world.advance(0.99)
    assert world.refetch() == ["no"]
    world.advance(0.02)
    assert world.refetch() == []
    assert world.fetches == 2


def test_the_interval_is_an_option() -> None:
    world = make_world(min_interval=10)
    world.source.start()
    world.answer("a")
    world.advance(9.9)
    assert world.refetch() == ["no"]
    world.advance(0.2)
    assert world.refetch() == []


def test_e3_known_keys_are_there_while_a_fetch_takes_its_time(world: World) -> None:
    world.advance(10)
    told = world.refetch()
    world.advance(4.9)
    assert kids(world.source.current) == ["a"]
    assert told == []
    world.answer("b")
    assert told == [["b"]]


def test_who_waits_may_go(world: World) -> None:
    """The others, and the fetch, do not notice."""
    world.advance(10)
    gone = world.source.refetch()
    told = world.refetch()
    assert gone is not None
    gone.addErrback(lambda _: None)
    gone.cancel()
    assert not world.calls.asked[-1].cancelled
    world.answer("b")
    assert told == [["b"]]


def test_a_fetch_that_was_asked_for_counts_as_a_refresh(world: World) -> None:
    world.advance(200)
    world.refetch()
    world.answer("a")
    world.advance(299)
    assert world.fetches == 2
    world.advance(1)
    assert world.fetches == 3


# What filters call


def test_a_source_is_kept_for_all_that_its_meaning_depends_on() -> None:
    around = Surroundings()
    make = partial(jwks_source, algorithms=["RS256"], url=URL)
    first = make(around.context("a"))
    assert make(around.context("a")) is first
    assert make(around.context("b")) is not first
    assert make(around.context("a"), refresh=60.0) is not first
    assert jwks_source(around.context("a"), algorithms=["ES256"], url=URL) is not first
    assert jwks_source(around.context("a"), algorithms=["RS256"], issuer=URL) is not first


def test_where_the_keys_are_is_said_once() -> None:
    for url, issuer in (("", ""), (URL, URL)):
        with pytest.raises(ValueError, match="either"):
            jwks_source(Surroundings().context(), algorithms=["RS256"], url=url, issuer=issuer)


def test_a_source_of_real_keys() -> None:
    """The bounds are those of keys_from_jwks."""
    key = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "a"}
    around = Surroundings(calls=FakeCalls({URL: [Answer(200, [], json.dumps({"keys": [key]}).encode())]}))
    source = jwks_source(around.context(), algorithms=["EdDSA"], url=URL)
    around.keeper.start()
    assert kids(source.current) == ["a"]
    around.keeper.stop()
    assert not around.clock.getDelayedCalls()


@pytest.mark.parametrize("count", [101, 1_000])
def test_too_many_keys_are_refused_whole(count: int, logged_errors: list[LogEvent]) -> None:
    key = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    many = json.dumps({"keys": [{**key, "kid": str(number)} for number in range(count)]}).encode()
    few = json.dumps({"keys": [{**key, "kid": "a"}]}).encode()
    calls = FakeCalls({URL: [Answer(200, [], few), Answer(200, [], many)]})
    around = Surroundings(calls=calls)
    source = jwks_source(around.context(), algorithms=["EdDSA"], url=URL)
    source.start()
    around.clock.advance(300)
    assert len(calls.asked) == 2
    assert kids(source.current) == ["a"]
    source.stop()
    logged_errors.clear()


def test_waiting_is_the_callers_own() -> None:
    """What one does with its Deferred is not what another gets."""
    around = Surroundings()
    source = JwksSource(around.context(), Provider(around.calls, around.clock.seconds, url=URL, timeout=5.0), read)
    source.start()
    first, second = source.refetch(), source.refetch()
    assert isinstance(first, Deferred) and isinstance(second, Deferred)
    first.addCallback(lambda _: "mine")
    told: list[Any] = []
    second.addCallback(told.append)
    assert isinstance(around.calls, FakeCalls)
    around.calls.asked[0].answered.callback(answer("a"))
    assert told == [source.current]
    source.stop()
