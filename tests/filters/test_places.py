"""Places and lines: first come, first served; nothing is lost and nothing is left."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from gwproxy.filters.places import Places


def is_clean(places: Places, clock: Clock) -> bool:
    return not places._lines and not places.taken and not places.waiting and not clock.getDelayedCalls()


def test_places_of_one_key_are_not_those_of_another() -> None:
    places = Places(2, 0, 1.0, Clock())
    assert [places.take("a", i) for i in range(3)] == [True, True, False]
    assert places.take("b", 7)
    assert places.taken == 3
    places.give_back(0)
    assert places.take("a", 8)
    assert not places.take("a", 9)


def test_a_place_is_given_back_once() -> None:
    places = Places(1, 0, 1.0, Clock())
    places.take("a", 1)
    places.give_back(1)
    assert places.take("a", 2)
    places.give_back(1)
    places.give_back(77)
    assert not places.take("a", 3)


def test_the_line_is_bounded_and_in_order() -> None:
    clock = Clock()
    places = Places(1, 3, 1.0, clock)
    places.take("a", 0)
    lines = [places.wait("a", i) for i in range(1, 5)]
    assert lines[3] is None
    assert places.waiting == 3
    served: list[int] = []
    for ticket, line in enumerate(lines[:3], 1):
        assert line is not None
        line.addCallback(lambda has, ticket: served.append(ticket if has else -ticket), ticket)
    for ticket in range(4):
        places.give_back(ticket)
    assert served == [1, 2, 3]
    assert is_clean(places, clock)


def test_patience_ends() -> None:
    clock = Clock()
    places = Places(1, 2, 1.0, clock)
    places.take("a", 0)
    first = places.wait("a", 1)
    clock.advance(0.5)
    second = places.wait("a", 2)
    assert first is not None and second is not None
    clock.advance(0.5)
    assert first.result is False
    assert not second.called
    places.give_back(0)
    assert second.result is True
    places.give_back(1)
    places.give_back(2)
    assert is_clean(places, clock)


def test_who_leaves_the_line_gets_no_place() -> None:
    clock = Clock()
    places = Places(1, 2, 1.0, clock)
    places.take("a", 0)
    gone, stays = places.wait("a", 1), places.wait("a", 2)
    assert gone is not None and stays is not None
    errors: list[Any] = []
    gone.addErrback(errors.append)
    gone.cancel()
    assert errors[0].check(CancelledError)
    places.give_back(0)
    assert stays.result is True
    places.give_back(2)
    assert is_clean(places, clock)


def test_nobody_comes_in_ahead_of_who_waits() -> None:
    places = Places(1, 2, 1.0, Clock())
    places.take("a", 0)
    taken: list[bool] = []
    first, second = places.wait("a", 1), places.wait("a", 2)
    assert first is not None and second is not None

    def leave(_: bool) -> None:
        places.give_back(1)
        taken.append(places.take("a", 3))

    first.addCallback(leave)
    places.give_back(0)
    assert taken == [False]
    assert second.result is True
    places.give_back(2)


def test_a_long_line_whose_members_leave_at_once_is_no_deep_recursion() -> None:
    clock = Clock()
    places = Places(1, 5000, 1.0, clock)
    places.take("a", 0)
    for ticket in range(1, 5001):
        waiting = places.wait("a", ticket)
        assert waiting is not None
        waiting.addCallback(lambda _, ticket: places.give_back(ticket), ticket)
    places.give_back(0)
    assert is_clean(places, clock)


STEPS = st.lists(st.tuples(st.sampled_from("tbgcw"), st.integers(0, 3), st.integers(0, 9)), max_size=80)


@given(STEPS)
def test_whatever_comes_no_more_than_the_limit_and_nothing_is_left(steps: list[tuple[str, int, int]]) -> None:
    clock = Clock()
    places = Places(2, 2, 1.0, clock)
    held: dict[int, str] = {}
    waiting: dict[int, Deferred[Any]] = {}
    ticket = 0

    def got(has_place: bool, ticket: int, key: str) -> None:
        del waiting[ticket]
        if has_place:
            held[ticket] = key

    for what, key_number, choice in steps:
        key = f"k{key_number}"
        ticket += 1
        if what in "tb":
            if places.take(key, ticket):
                held[ticket] = key
            else:
                assert list(held.values()).count(key) == 2
                line = places.wait(key, ticket)
                if line is not None:
                    waiting[ticket] = line
                    line.addCallback(got, ticket, key).addErrback(lambda failure: failure.trap(CancelledError))
        elif what == "g" and held:
            one = sorted(held)[choice % len(held)]
            del held[one]
            places.give_back(one)
        elif what == "c" and waiting:
            waiting.pop(sorted(waiting)[choice % len(waiting)]).cancel()
        else:
            clock.advance(choice / 10)
        assert max([0, *map(list(held.values()).count, held.values())]) <= 2
        assert (places.taken, places.waiting) == (len(held), len(waiting))
    while held:
        one = min(held)
        del held[one]
        places.give_back(one)
    assert not waiting
    assert is_clean(places, clock)
