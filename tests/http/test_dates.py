"""The Date field, made once a second."""

from __future__ import annotations

import time

import pytest

from gwproxy.http import dates


class Wall:
    """A clock on the wall."""

    def __init__(self) -> None:
        self.now = 784111777.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    clock = Wall()
    monkeypatch.setattr(time, "time", clock)
    return clock


def test_it_is_the_preferred_format(wall: Wall) -> None:
    assert dates.http_date() == b"Sun, 06 Nov 1994 08:49:37 GMT"  # the example of RFC 9110 section 5.6.7


def test_it_is_made_once_a_second_and_follows_the_clock_both_ways(wall: Wall) -> None:
    first = dates.http_date()
    wall.now += 0.999
    assert dates.http_date() is first
    wall.now += 0.001
    assert dates.http_date() == b"Sun, 06 Nov 1994 08:49:38 GMT"
    wall.now -= 1  # somebody sets the clock back
    assert dates.http_date() == first
