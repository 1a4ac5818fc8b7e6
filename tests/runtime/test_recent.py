"""What is used stays, the rest goes, and there is never too much of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.runtime.recent import Recent


def test_what_was_put_last_is_there() -> None:
    recent: Recent[str, int] = Recent(10)
    assert recent.get("a") is None
    recent.put("a", 1)
    recent.put("a", 2)
    assert (recent.get("a"), recent.get("b"), len(recent)) == (2, None, 1)
    assert repr(recent) == "<Recent 1 of up to 10>"
    recent.clear()
    assert (recent.get("a"), len(recent)) == (None, 0)


@pytest.mark.parametrize("size", [0, 1, 2, 7, 100])
def test_it_is_bounded_and_keeps_the_last_half_at_least(size: int) -> None:
    recent: Recent[int, str] = Recent(size)
    for number in range(1000):
        recent.put(number, "x")
        assert len(recent) <= size + size % 2
    assert all(recent.get(number) for number in range(1000 - (size + 1) // 2, 1000))


def test_what_is_used_outlives_a_flood() -> None:
    recent: Recent[object, str] = Recent(10)
    recent.put("used", "mine")
    for number in range(1000):
        recent.put(number, "x")
        assert recent.get("used") == "mine"


def test_what_is_put_again_is_there_once() -> None:
    recent: Recent[str, int] = Recent(4)
    for key in "abca":
        recent.put(key, 0)
    assert len(recent) == 3


def test_a_value_in_use_that_is_replaced_drops_no_other() -> None:
    recent: Recent[str, int] = Recent(4)
    for key in "abcd":
        recent.put(key, 0)
    for number in range(10):
        recent.put("d", number)
    assert [recent.get(key) for key in "dcb"] == [9, 0, 0]


@given(st.integers(0, 9), st.lists(st.tuples(st.booleans(), st.integers(0, 12))))
def test_it_never_says_what_was_not_put(size: int, steps: list[tuple[bool, int]]) -> None:
    recent: Recent[int, int] = Recent(size)
    last: dict[int, int] = {}
    for at, (puts, key) in enumerate(steps):
        if puts:
            recent.put(key, at)
            last[key] = at
        else:
            assert recent.get(key) in (None, last.get(key))
        assert len(recent) <= size + size % 2
