"""The source of keys: when it fetches, what it keeps, who waits. Time is a Clock, the provider a script."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, eventAsText

from gwproxy.calls import Answer, CallFailed
from gwproxy.testing import FakeCalls, Surroundings
from gwproxy.tokens.jwks import JwksSource, jwks_source
from gwproxy.tokens.keys import KeySet, VerificationKey
from gwproxy.tokens.provider import Provider
from gwproxy.tokens.saved import SavedKeys

URL = "https://idp.example.com/keys"


PUBLIC = Ed25519PrivateKey.generate().public_key()


def read(document: Any) -> KeySet:
    """Keys of what stands for a JWKS here: a list of kids."""
    if not isinstance(document, list) or not document:
        raise ValueError("is no list of kids")
    return KeySet([VerificationKey(kid, frozenset(["EdDSA"]), PUBLIC) for kid in document])


def kids(keys: KeySet | None) -> list[str | None] | None:
    return None if keys is None else [key.kid for key in keys.keys]


def answer(*kids: str, cache: bytes = b"") -> Answer:
    return Answer(200, [(b"Cache-Control", cache)] if cache else [], json.dumps(kids).encode())


@attrs.define
class World:
    """A source, and the process and the provider around it."""

    around: Surroundings
    source: JwksSource

    @property
    def calls(self) -> FakeCalls:
        assert isinstance(self.around.calls, FakeCalls)
        return self.around.calls

    @property
    def fetches(self) -> int:
        return len(self.calls.asked)

    def advance(self, seconds: float) -> None:
        self.around.clock.advance(seconds)

    def answer(self, *kids: str, cache: bytes = b"") -> None:
        """The provider answers the fetch under way."""
        self.calls.asked[-1].answered.callback(answer(*kids, cache=cache))

    def fail(self, why: str = "connect") -> None:
        self.calls.asked[-1].answered.errback(CallFailed(why))

    def metric(self, name: str, **labels: str) -> float:
        family = next(family for family in self.around.meters.families() if family.name == name)
        wanted = tuple(str(labels.get(label, "test")) for label in family.label_names)
        return family.series[wanted]()

    def refetch(self) -> list[Any]:
        """What came of asking for newer keys; empty while it is waited for."""
        waiting = self.source.refetch()
        if waiting is None:
            return ["no"]
        told: list[Any] = []
        waiting.addCallback(lambda keys: told.append(kids(keys)))
        return told


Make = Callable[..., World]


@pytest.fixture
def make() -> Make:
    def make_world(around: Surroundings | None = None, **options: Any) -> World:
        around = around or Surroundings()
        context = around.context()
        provider = Provider(around.calls, around.clock.seconds, url=URL, timeout=5.0)
        saved = None if around.state_dir is None else SavedKeys(around.state_dir, URL, context.in_thread)
        options = {"jitter": lambda: 0.0, **options}
        return World(around, JwksSource(context, provider, read, saved, **options))

    return make_world


@pytest.fixture
def world(make: Make) -> World:
    """One that has its first keys."""
    made = make()
    made.source.start()
    made.answer("a")
    return made


def test_nothing_is_fetched_before_the_gateway_serves(make: Make) -> None:
    world = make()
    assert world.fetches == 0
    assert world.source.current is None
    assert world.source.refetch() is None
    assert world.metric("jwks_age_seconds") == math.inf
    assert world.metric("jwks_keys") == 0


def test_who_comes_before_the_first_keys_waits_for_them(make: Make) -> None:
    world = make()
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


def test_gateways_do_not_ask_together(make: Make) -> None:
    world = make(jitter=lambda: 1.0)
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
def test_the_provider_says_how_long_its_keys_are_good_within_bounds(make: Make, cache: bytes, seconds: float) -> None:
    world = make()
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


def test_the_interval_is_an_option(make: Make) -> None:
    world = make(min_interval=10)
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


# A provider that fails


def test_e3_the_last_good_keys_stay_however_long_it_takes(world: World, logged_errors: list[LogEvent]) -> None:
    for _ in range(100):
        world.advance(300)
        if not world.calls.asked[-1].answered.called:
            world.fail()
    assert kids(world.source.current) == ["a"]
    assert world.metric("jwks_age_seconds") == 100 * 300
    assert world.metric("jwks_fetches", outcome="connect") > 10
    assert len(logged_errors) == 1  # said once
    assert "[filter:test]" in eventAsText(logged_errors[0])
    logged_errors.clear()


def test_it_asks_ever_more_rarely_and_goes_on_as_before_afterwards(world: World, logged_errors: list[LogEvent]) -> None:
    world.advance(300)
    waits = []
    for _ in range(9):
        world.fail()
        began, count = world.around.clock.seconds(), world.fetches
        while world.fetches == count:
            world.advance(0.5)
        waits.append(world.around.clock.seconds() - began)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    world.answer("b")
    world.advance(299)
    assert world.fetches == 11
    world.advance(1)
    world.fail()
    assert len(logged_errors) == 2  # the second series is news
    logged_errors.clear()


def test_who_waits_for_a_fetch_that_fails_hears_it(make: Make, logged_errors: list[LogEvent]) -> None:
    world = make()
    world.source.start()
    told = world.refetch()
    world.fail("timeout")
    assert told == [None]
    assert world.refetch() == ["no"]
    assert world.metric("jwks_fetches", outcome="timeout") == 1
    logged_errors.clear()


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (500, b'["b"]', "status"),
        (302, b'["b"]', "status"),
        (204, b"", "status"),
        (200, b"", "document"),
        (200, b"<html>", "document"),
        (200, b"[" * 100_000, "document"),
        (200, b'{"no": "list"}', "document"),
        (200, b"[]", "document"),
    ],
)
def test_what_is_no_jwks_replaces_nothing(
    world: World, logged_errors: list[LogEvent], status: int, body: bytes, outcome: str
) -> None:
    world.advance(300)
    world.calls.asked[-1].answered.callback(Answer(status, [], body))
    assert kids(world.source.current) == ["a"]
    assert world.metric("jwks_fetches", outcome=outcome) == 1
    assert world.metric("jwks_keys") == 1
    logged_errors.clear()


def test_a_failure_of_our_own_is_not_the_end(world: World, logged_errors: list[LogEvent]) -> None:
    world.advance(300)
    told = world.refetch()
    world.calls.asked[-1].answered.errback(ZeroDivisionError())
    assert told == [None]
    world.advance(60)
    assert world.fetches == 3
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_keys_that_did_not_change_are_the_same_object(world: World) -> None:
    """Who keeps what was verified compares it."""
    before = world.source.current
    world.advance(300)
    world.answer("a")
    assert world.source.current is before
    world.advance(300)
    world.answer("b")
    assert world.source.current is not before


# The end


def test_stop_leaves_nothing_behind(world: World) -> None:
    world.advance(300)
    told = world.refetch()
    world.source.stop()
    assert world.calls.asked[-1].cancelled
    assert told == [None]
    assert not world.around.clock.getDelayedCalls()
    assert world.source.refetch() is None


def test_stop_while_it_rests(world: World) -> None:
    world.source.stop()
    assert not world.around.clock.getDelayedCalls()


# Over a restart


def test_keys_outlive_a_restart(make: Make, tmp_path: Path, logged_errors: list[LogEvent]) -> None:
    first = make(Surroundings(state_dir=tmp_path))
    first.source.start()
    first.answer("a", "b")
    first.source.stop()

    second = make(Surroundings(state_dir=tmp_path, epoch=1_700_000_100.0))
    second.source.start()
    assert kids(second.source.current) == ["a", "b"]
    assert second.metric("jwks_age_seconds") == 100
    second.fail()
    assert kids(second.source.current) == ["a", "b"]
    logged_errors.clear()


def test_keys_that_were_saved_are_looked_at_like_any(make: Make, tmp_path: Path) -> None:
    first = make(Surroundings(state_dir=tmp_path))
    first.source.start()
    first.answer("a")
    first.source.stop()
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text().replace('["a"]', '"a"'))

    second = make(Surroundings(state_dir=tmp_path))
    second.source.start()
    assert second.source.current is None
    second.answer("b")
    assert kids(second.source.current) == ["b"]


def test_a_date_in_the_future_makes_no_negative_age(make: Make, tmp_path: Path) -> None:
    first = make(Surroundings(state_dir=tmp_path))
    first.source.start()
    first.answer("a")
    first.source.stop()
    second = make(Surroundings(state_dir=tmp_path, epoch=1_600_000_000.0))
    second.source.start()
    assert second.metric("jwks_age_seconds") == 0


def test_what_did_not_change_is_rarely_written(make: Make, tmp_path: Path) -> None:
    writes: list[float] = []
    around = Surroundings(state_dir=tmp_path)
    world = make(around, refresh=20.0)

    class Counting(SavedKeys):
        def write(self, saved: Any) -> None:
            writes.append(around.clock.seconds())
            super().write(saved)

    world.source._saved = Counting(tmp_path, URL, around.context().in_thread)
    world.source.start()
    world.answer("a")
    for _ in range(6):
        world.advance(20)
        world.answer("a")
    assert writes == [0, 60, 120]
    world.advance(20)
    world.answer("b")
    assert writes == [0, 60, 120, 140]


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
