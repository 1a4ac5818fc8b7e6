"""The source of keys: what it keeps while the provider is down, and over a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, eventAsText

from gwproxy.calls import Answer
from gwproxy.testing import Surroundings
from gwproxy.tokens.saved import SavedKeys
from tests.tokens.kit.jwks import URL, World, kids, make_world, started_world


@pytest.fixture
def world() -> World:
    return started_world()


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


def test_who_waits_for_a_fetch_that_fails_hears_it(logged_errors: list[LogEvent]) -> None:
    world = make_world()
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


def test_keys_outlive_a_restart(tmp_path: Path, logged_errors: list[LogEvent]) -> None:
    first = make_world(Surroundings(state_dir=tmp_path))
    first.source.start()
    first.answer("a", "b")
    first.source.stop()

    second = make_world(Surroundings(state_dir=tmp_path, epoch=1_700_000_100.0))
    second.source.start()
    assert kids(second.source.current) == ["a", "b"]
    assert second.metric("jwks_age_seconds") == 100
    second.fail()
    assert kids(second.source.current) == ["a", "b"]
    logged_errors.clear()


def test_keys_that_were_saved_are_looked_at_like_any(tmp_path: Path) -> None:
    first = make_world(Surroundings(state_dir=tmp_path))
    first.source.start()
    first.answer("a")
    first.source.stop()
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text().replace('["a"]', '"a"'))

    second = make_world(Surroundings(state_dir=tmp_path))
    second.source.start()
    assert second.source.current is None
    second.answer("b")
    assert kids(second.source.current) == ["b"]


def test_a_date_in_the_future_makes_no_negative_age(tmp_path: Path) -> None:
    first = make_world(Surroundings(state_dir=tmp_path))
    first.source.start()
    first.answer("a")
    first.source.stop()
    second = make_world(Surroundings(state_dir=tmp_path, epoch=1_600_000_000.0))
    second.source.start()
    assert second.metric("jwks_age_seconds") == 0


def test_what_did_not_change_is_rarely_written(tmp_path: Path) -> None:
    writes: list[float] = []
    around = Surroundings(state_dir=tmp_path)
    world = make_world(around, refresh=20.0)

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
