"""A pull producer, asked once a turn."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from gwproxy.edge.pull import PullToPush


class Source:
    """Produces `pieces` pieces, and then says that it has nothing more."""

    def __init__(self, pieces: int) -> None:
        self.left = pieces
        self.asked = 0
        self.stopped = 0
        self.push: PullToPush

    def resumeProducing(self) -> None:
        self.asked += 1
        self.left -= 1
        if not self.left:
            self.push.stop()

    def stopProducing(self) -> None:
        self.stopped += 1


def started(pieces: int) -> tuple[Clock, Source]:
    clock, source = Clock(), Source(pieces)
    source.push = PullToPush(source, clock)
    source.push.start()
    assert source.asked == 0, "not before the next turn"
    return clock, source


def turn(clock: Any) -> int:
    """One turn of the reactor: what is due now, and not what that asks for. How many calls it ran."""
    due = [call for call in clock.getDelayedCalls() if call.getTime() <= clock.seconds()]
    for call in due:
        clock.calls.remove(call)
        call.called = 1
        call.func(*call.args, **call.kw)
    return len(due)


def test_it_is_asked_once_a_turn_until_it_ends() -> None:
    clock, source = started(3)
    for asked in (1, 2, 3, 3):
        turn(clock)
        assert source.asked == asked
    assert not clock.getDelayedCalls()


def test_a_pause_asks_no_more_and_a_resume_goes_on() -> None:
    clock, source = started(9)
    turn(clock)
    source.push.pauseProducing()
    source.push.pauseProducing()
    assert not clock.getDelayedCalls()
    source.push.resumeProducing()
    source.push.resumeProducing()
    assert turn(clock) == 1
    assert source.asked == 2
    source.push.stop()


def test_a_pause_while_it_is_asked() -> None:
    clock, source = started(9)
    source.resumeProducing = lambda: source.push.pauseProducing()  # type: ignore[method-assign]
    turn(clock)
    assert not clock.getDelayedCalls()


def test_nobody_wants_it_any_more() -> None:
    clock, source = started(9)
    turn(clock)
    source.push.stopProducing()
    assert (source.stopped, clock.getDelayedCalls()) == (1, [])
