"""A deadline that moves all the time with few timers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from gwproxy.deadline import NEVER, Deadline


class Counting(Clock):
    """Counts the timers made."""

    made = 0

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> IDelayedCall:
        self.made += 1
        return super().callLater(delay, callable, *args, **kw)


class Watched:
    """A deadline, and when it passed."""

    def __init__(self) -> None:
        self.clock = Counting()
        self.passed: list[float] = []
        self.deadline = Deadline(self.clock, lambda: self.passed.append(self.clock.seconds()))


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_it_passes_once_at_its_time(watched: Watched) -> None:
    assert watched.deadline.at == NEVER
    watched.deadline.set(5.0)
    watched.clock.advance(4.9)
    assert watched.passed == []
    watched.clock.advance(0.1)
    watched.clock.advance(100)
    assert watched.passed == [5.0]
    assert watched.deadline.at == NEVER


def test_moving_it_later_makes_no_timer(watched: Watched) -> None:
    for second in range(1, 10):
        watched.deadline.set(second + 10.0)
        watched.clock.advance(1)
    assert watched.clock.made == 1
    watched.clock.pump([1] * 9)
    assert watched.passed == []
    watched.clock.advance(1)
    assert watched.passed == [19.0]
    assert watched.clock.made == 2


def test_moving_it_earlier_counts(watched: Watched) -> None:
    watched.deadline.set(10.0)
    watched.deadline.set(2.0)
    assert len(watched.clock.getDelayedCalls()) == 1
    watched.clock.advance(2)
    assert watched.passed == [2.0]
    watched.clock.advance(10)
    assert watched.passed == [2.0]
    assert not watched.clock.getDelayedCalls()


def test_it_can_be_set_again_when_it_passes(watched: Watched) -> None:
    def passed() -> None:
        times.append(clock.seconds())
        deadline.set(clock.seconds() + 2)

    times: list[float] = []
    clock = watched.clock
    deadline = Deadline(clock, passed)
    deadline.set(1.0)
    clock.pump([1] * 5)
    assert times == [1.0, 3.0, 5.0]


def test_one_that_is_cleared_does_not_pass_until_it_is_set(watched: Watched) -> None:
    watched.deadline.set(1.0)
    watched.deadline.clear()
    watched.clock.advance(2)
    assert watched.passed == []
    watched.deadline.set(3.0)
    watched.clock.advance(1)
    assert watched.passed == [3.0]


def test_one_that_is_cleared_and_set_within_its_timer(watched: Watched) -> None:
    watched.deadline.set(1.0)
    watched.deadline.clear()
    watched.deadline.set(1.5)
    watched.clock.pump([1.0, 0.5])
    assert watched.passed == [1.5]


def test_one_in_the_past_passes_in_the_next_turn(watched: Watched) -> None:
    watched.clock.advance(10)
    watched.deadline.set(1.0)
    assert watched.passed == []
    watched.clock.advance(0)
    assert watched.passed == [10.0]


def test_a_timer_that_comes_a_hair_early_is_no_reason_for_another(watched: Watched) -> None:
    watched.deadline.set(1.0)
    watched.deadline.set(1.0004)
    watched.clock.advance(1.0)
    assert watched.passed == [1.0]


def test_once_cancelled_nothing_stays_and_nothing_comes(watched: Watched) -> None:
    watched.deadline.set(1.0)
    watched.deadline.cancel()
    assert not watched.clock.getDelayedCalls()
    assert watched.deadline.at == NEVER
    watched.deadline.set(0.5)
    assert not watched.clock.getDelayedCalls()
    watched.deadline.cancel()
    watched.clock.advance(10)
    assert watched.passed == []


def test_it_can_be_cancelled_when_it_passes() -> None:
    clock = Clock()
    deadline = Deadline(clock, lambda: deadline.cancel())
    deadline.set(1.0)
    clock.advance(1)
    assert not clock.getDelayedCalls()
