from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import provider

from gwproxy.observe.lag import LagProbe


@pytest.fixture
def warnings() -> Iterator[list[int]]:
    """The lags warned of, in milliseconds."""
    found: list[int] = []

    @provider(ILogObserver)
    def collect(event: LogEvent) -> None:
        if event["log_level"].name == "warn":
            found.append(event["milliseconds"])

    globalLogPublisher.addObserver(collect)
    yield found
    globalLogPublisher.removeObserver(collect)


def run(clock: Clock, seconds: float) -> None:
    """A loop that turns as it should."""
    clock.pump([0.05] * round(seconds / 0.05))


def test_a_loop_that_turns_has_no_lag(warnings: list[int]) -> None:
    clock = Clock()
    probe = LagProbe(clock)
    probe.start()
    run(clock, 60)
    assert probe.worst == pytest.approx(0, abs=1e-6)
    assert warnings == []


def test_a_loop_held_up_is_seen_and_warned_of(warnings: list[int]) -> None:
    clock = Clock()
    probe = LagProbe(clock)
    probe.start()
    clock.advance(0.25)
    assert probe.worst == pytest.approx(0.2)
    assert warnings == [200]


def test_less_than_the_threshold_is_only_measured(warnings: list[int]) -> None:
    clock = Clock()
    probe = LagProbe(clock)
    probe.start()
    clock.advance(0.1)
    assert probe.worst == pytest.approx(0.05)
    assert warnings == []


def test_the_worst_is_remembered_for_at_least_15_seconds(warnings: list[int]) -> None:
    clock = Clock()
    probe = LagProbe(clock)
    probe.start()
    run(clock, 14)
    clock.advance(0.35)
    run(clock, 15)
    assert probe.worst == pytest.approx(0.3)
    run(clock, 16)
    assert probe.worst == pytest.approx(0, abs=1e-6)


def test_warnings_are_few(warnings: list[int]) -> None:
    clock = Clock()
    probe = LagProbe(clock)
    probe.start()
    for seconds in (0.25, 0.25, 0.3, 0.5, 0.5):
        clock.advance(seconds)
    assert warnings == [200, 450]
    run(clock, 5)
    clock.advance(0.25)
    assert warnings == [200, 450, 200]


def test_stopping_leaves_nothing_in_the_reactor() -> None:
    clock = Clock()
    probe = LagProbe(clock)
    probe.stop()
    probe.start()
    probe.stop()
    probe.stop()
    assert clock.getDelayedCalls() == []
