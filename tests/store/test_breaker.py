"""A circuit breaker opens after failures in a row, and lets one question through to find out."""

from __future__ import annotations

from twisted.internet.task import Clock

from gwproxy.store.breaker import Breaker


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(2, 1.0, clock.seconds)
    breaker.failed()
    assert breaker.may_ask() and breaker.closed
    breaker.failed()
    assert not breaker.may_ask() and not breaker.closed
    return breaker


def test_only_failures_in_a_row_open_it() -> None:
    breaker = Breaker(2, 1.0, Clock().seconds)
    for _ in range(5):
        breaker.failed()
        breaker.succeeded()
    assert breaker.closed


def test_after_the_pause_one_question_finds_out() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.advance(0.9)
    assert not breaker.may_ask()
    clock.advance(0.1)
    assert breaker.may_ask()
    breaker.asked()
    assert not breaker.may_ask()
    clock.advance(60)
    assert not breaker.may_ask()
    breaker.succeeded()
    assert breaker.closed and breaker.may_ask()


def test_it_opens_again_for_as_long_if_that_one_fails() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.advance(1)
    breaker.asked()
    breaker.failed()
    assert not breaker.may_ask()
    clock.advance(0.9)
    assert not breaker.may_ask()
    clock.advance(0.1)
    assert breaker.may_ask()


def test_after_it_closed_failures_are_counted_anew() -> None:
    clock = Clock()
    breaker = opened(clock)
    breaker.succeeded()
    breaker.failed()
    assert breaker.closed


def test_as_long_as_it_is_closed_no_clock_is_read() -> None:
    def seconds() -> float:
        raise AssertionError

    breaker = Breaker(2, 1.0, seconds)
    breaker.failed()
    assert breaker.may_ask()
    breaker.asked()
    breaker.succeeded()
