"""What is remembered of tokens: for a while, and so many."""

from __future__ import annotations

import math

from gwproxy.tokens.remembered import Remembered


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_what_was_added_is_found_until_it_ends_by_either_clock() -> None:
    remembered: Remembered[str] = Remembered(10)
    remembered.add(digest(1), 30.0, 1_000.0, "alice")
    assert remembered.find(digest(1), 29.9, 999.9) == "alice"
    assert remembered.find(digest(1), 30.0, 999.9) is None
    assert remembered.find(digest(1), 29.9, 1_000.0) is None
    assert remembered.find(digest(2), 0.0, 0.0) is None


def test_the_last_finding_counts() -> None:
    remembered: Remembered[str] = Remembered(10)
    for found in ("alice", "bob"):
        remembered.add(digest(1), 30.0, math.inf, found)
    assert remembered.find(digest(1), 0.0, 0.0) == "bob"
    assert len(remembered) == 1


def test_memory_is_bounded_and_what_is_used_stays() -> None:
    remembered: Remembered[str] = Remembered(100)
    remembered.add(digest(0), 30.0, math.inf, "alice")
    for number in range(1, 1000):
        remembered.add(digest(number), 30.0, math.inf, "another")
        assert len(remembered) <= 100
        assert remembered.find(digest(0), 0.0, 0.0) == "alice"
    assert remembered.find(digest(1), 0.0, 0.0) is None


def test_what_is_in_the_older_half_may_be_added_again() -> None:
    remembered: Remembered[str] = Remembered(4)
    for number in range(3):
        remembered.add(digest(number), 30.0, math.inf, "old")
    remembered.add(digest(0), 60.0, math.inf, "new")
    assert remembered.find(digest(0), 50.0, 0.0) == "new"
    assert len(remembered) <= 4


def test_none_may_be_remembered() -> None:
    remembered: Remembered[str] = Remembered(0)
    remembered.add(digest(1), 30.0, math.inf, "alice")
    assert remembered.find(digest(1), 0.0, 0.0) is None
    assert len(remembered) == 0
