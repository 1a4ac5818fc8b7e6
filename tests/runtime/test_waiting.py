"""One answer for all who wait, whoever of them leaves, and when."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from gwproxy.runtime.waiting import Waiting


def noting(waiting: Waiting[str], heard: list[Any]) -> Deferred[Any]:
    return waiting.join().addCallbacks(heard.append, lambda failure: heard.append(failure.type))


@pytest.mark.parametrize(("answer", "heard"), [("yes", "yes"), (Failure(OSError("down")), OSError)])
def test_all_hear_it_once(answer: str | Failure, heard: object) -> None:
    waiting: Waiting[str] = Waiting()
    each: list[Any] = []
    for _ in range(3):
        noting(waiting, each)
    assert (len(waiting), each) == (3, [])
    waiting.tell(answer)
    assert (len(waiting), each) == (0, [heard] * 3)
    waiting.tell("again")
    assert each == [heard] * 3


def test_who_leaves_hears_no_more_and_the_others_do() -> None:
    left: list[None] = []
    waiting: Waiting[str] = Waiting(lambda: left.append(None))
    heard: list[Any] = []
    first = noting(waiting, heard)
    noting(waiting, heard)
    first.cancel()
    waiting.tell("yes")
    assert (heard, left) == ([CancelledError, "yes"], [])


def test_the_last_who_leaves_is_told_of_once() -> None:
    left: list[None] = []
    waiting: Waiting[str] = Waiting(lambda: left.append(None))
    both = [noting(waiting, []) for _ in range(2)]
    both[0].cancel()
    assert left == []
    both[1].cancel()
    both[1].cancel()
    assert left == [None]


def test_one_may_take_another_along_as_it_hears_it() -> None:
    left: list[None] = []
    waiting: Waiting[str] = Waiting(lambda: left.append(None))
    heard: list[Any] = []
    others: list[Deferred[Any]] = []
    waiting.join().addCallback(lambda _: others[0].cancel())
    others.append(noting(waiting, heard))
    noting(waiting, heard)
    waiting.tell("yes")
    assert (heard, left) == ([CancelledError, "yes"], [])


def test_who_joins_as_others_hear_it_waits_for_the_next() -> None:
    waiting: Waiting[str] = Waiting()
    heard: list[Any] = []
    waiting.join().addCallback(lambda _: noting(waiting, heard))
    waiting.tell("yes")
    assert (heard, len(waiting)) == ([], 1)
    waiting.tell("no")
    assert heard == ["no"]
