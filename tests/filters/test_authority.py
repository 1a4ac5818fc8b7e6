"""What another service says: shared by who asks the same, remembered, bounded."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogEvent

from gwproxy.calls import Answer, CallFailed
from gwproxy.filters.api import Header
from gwproxy.filters.authority import Authority, Passed, Question, Refused, Silence
from gwproxy.filters.decision import Denial
from gwproxy.testing import FakeCalls, Surroundings

QUESTION = Question(
    url="http://auth.test/check",
    method="GET",
    take=frozenset({b"x-user"}),
    show=frozenset({b"location", b"set-cookie"}),
    subject=b"x-user",
    timeout=2.0,
    max_answer=100,
    max_calls=3,
    cache_ttl=60.0,
    cache_size=10,
    ca_file=None,
)
OK = Answer(200, [(b"X-User", b"ann"), (b"X-Other", b"1"), (b"Set-Cookie", b"a=b")], b"")
NO = Answer(401, [(b"Location", b"/login"), (b"X-User", b"x"), (b"X-Other", b"1")], b"who are you?")
LOGIN = Answer(302, [(b"Location", b"/login"), (b"Set-Cookie", b"state=1")], b"")


class Played:
    def __init__(self, **options: Any) -> None:
        self.calls = FakeCalls()
        self.around = Surroundings(calls=self.calls)
        self.authority = Authority(attrs.evolve(QUESTION, **options), self.around.context("auth"))

    def ask(self, *sent: Header) -> list[Any]:
        """What is found, once it is: a finding or an exception."""
        found: list[Any] = []
        answer = self.authority.ask(list(sent))
        if isinstance(answer, Deferred):
            answer.addCallbacks(found.append, lambda failure: found.append(failure.value))
        else:
            found.append(answer)
        return found

    def answer(self, *answers: Answer | CallFailed) -> None:
        for answer in answers:
            pending = next(each for each in self.calls.asked if not each.answered.called)
            if isinstance(answer, CallFailed):
                pending.answered.errback(answer)
            else:
                pending.answered.callback(answer)

    def counted(self) -> dict[str, int]:
        [family] = [each for each in self.around.meters.families() if each.name == "forward_auth_calls"]
        return {labels[1]: int(read()) for labels, read in family.series.items() if read()}


A, B = (b"Cookie", b"a"), (b"Cookie", b"b")


def test_what_is_asked() -> None:
    played = Played()
    played.ask(A, B)
    [asked] = played.calls.asked
    assert (asked.method, asked.url, asked.headers, asked.body) == ("GET", QUESTION.url, [A, B], None)


@pytest.mark.parametrize("status", [200, 204, 299])
def test_2xx_lets_pass_with_the_fields_named(status: int) -> None:
    played = Played()
    found = played.ask(A)
    played.answer(attrs.evolve(OK, status=status))
    assert found == [Passed([(b"X-User", b"ann")], "ann")]
    assert played.counted() == {"pass": 1}


@pytest.mark.parametrize("status", [300, 302, 400, 401, 403, 404, 429, 499])
def test_up_to_499_is_the_answer(status: int) -> None:
    played = Played()
    found = played.ask(A)
    played.answer(attrs.evolve(NO, status=status))
    [refused] = found
    assert isinstance(refused, Refused)
    assert (refused.reply.status, refused.reply.body) == (status, b"who are you?")
    assert refused.reply.headers == [(b"Location", b"/login")]
    assert played.counted() == {"refuse": 1}


@pytest.mark.parametrize(
    "answer",
    [Answer(500, [], b""), Answer(503, [], b""), Answer(101, [], b""), CallFailed("timeout"), CallFailed("connect")],
)
def test_anything_else_is_silence(answer: Answer | CallFailed, logged_errors: list[LogEvent]) -> None:
    played = Played()
    found = played.ask(A)
    played.answer(answer)
    assert found == [Silence.UNAVAILABLE]
    assert played.counted() == {"error": 1}
    again = played.ask(A)
    played.answer(answer)
    assert again == [Silence.UNAVAILABLE], "and is not remembered"
    assert len(logged_errors) == 1, "said once"
    played.ask(A)
    played.answer(NO)
    played.ask(A)
    played.answer(answer)
    assert len(logged_errors) == 2, "and again after an answer"
    logged_errors.clear()


def test_an_answer_too_large_never_lets_pass(logged_errors: list[LogEvent]) -> None:
    played = Played()
    found = played.ask(A)
    played.answer(CallFailed("too_large"))
    assert isinstance(found[0], Refused)
    assert found[0].reply.status == 503
    logged_errors.clear()


# Remembered


@pytest.mark.parametrize("value", [b"ann\0", b"ann\rX-Admin: 1", b"\x1bann", b"ann\x7f"])
@pytest.mark.parametrize(("status", "name"), [(200, b"X-User"), (401, b"Location")])
def test_what_is_no_field_goes_to_nobody(status: int, name: bytes, value: bytes, logged_errors: list[LogEvent]) -> None:
    """Who asks may have a hand in it: it never lets pass."""
    played = Played()
    found = played.ask(A)
    played.answer(Answer(status, [(name, value)], b""))
    assert [(each.denial, each.reply.status, each.reply.headers) for each in found] == [
        (Denial.AUTHORITY_UNAVAILABLE, 503, [(b"Retry-After", b"5")])
    ]
    assert played.counted() == {"error": 1}
    assert len(logged_errors) == 1
    logged_errors.clear()
    found = played.ask(A)
    played.answer(Answer(status, [(name, b"a\tb \xc3\xa4"), (b"X-Other", value)], b""))
    assert isinstance(found[0], Passed if status == 200 else Refused)
    assert played.counted() == {"error": 1, "pass" if status == 200 else "refuse": 1}


def test_only_that_it_may_pass_is_remembered_and_for_the_same_question_only() -> None:
    played = Played()
    played.ask(A)
    played.answer(OK)
    assert played.ask(A) == [Passed([(b"X-User", b"ann")], "ann")]
    assert len(played.calls.asked) == 1
    for other in ([B], [A, A], [(b"Cookie", b"a"), (b"X", b"")], [(b"cookie", b"a")], []):
        assert played.ask(*other) == []
        played.answer(NO)
        assert played.ask(*other) == []
        played.answer(NO)


def test_parts_of_a_question_do_not_run_together() -> None:
    played = Played()
    played.ask((b"A", b"bc"), (b"D", b"e"))
    played.answer(OK)
    assert played.ask((b"A", b"b"), (b"cD", b"e")) == []
    assert played.ask((b"A", b"bc\0D"), (b"e", b"")) == []


def test_for_a_while() -> None:
    played = Played()
    played.ask(A)
    played.answer(OK)
    played.around.clock.advance(59.9)
    assert len(played.ask(A)) == 1
    played.around.clock.advance(0.1)
    assert played.ask(A) == []


def test_so_many_are_remembered() -> None:
    played = Played(cache_size=10)
    for number in range(1000):
        played.ask((b"Cookie", b"%d" % number))
        played.answer(OK)
    assert len(played.authority._passed) <= 10


def test_no_secret_is_kept_of_what_was_sent() -> None:
    played = Played()
    played.ask((b"Cookie", b"hunter2"))
    played.answer(OK)
    remembered = played.authority._passed
    assert len(remembered) == 1
    assert "hunter2" not in repr([remembered._new, remembered._old])
    assert "hunter2" not in repr(played.authority)


# Shared


def test_who_asks_the_same_shares_the_call() -> None:
    played = Played()
    found = [played.ask(A) for _ in range(5)]
    other = played.ask(B)
    assert len(played.calls.asked) == 2
    played.answer(OK)
    assert [len(each) for each in found] == [1] * 5
    assert other == []


def test_a_refusal_is_shared_too() -> None:
    played = Played()
    found = [played.ask(A) for _ in range(3)]
    played.answer(NO)
    assert [each[0].reply.status for each in found] == [401] * 3
    assert len(played.calls.asked) == 1


def test_an_answer_with_a_cookie_is_for_one_and_the_others_ask_for_themselves() -> None:
    played = Played()
    found = [played.ask(A) for _ in range(3)]
    played.answer(LOGIN)
    assert [len(each) for each in found] == [1, 0, 0]
    assert len(played.calls.asked) == 3
    played.answer(attrs.evolve(LOGIN, headers=[(b"Set-Cookie", b"state=2")]), OK)
    assert found[1][0].reply.headers == [(b"Set-Cookie", b"state=2")]
    assert isinstance(found[2][0], Passed)


def test_a_failure_is_shared(logged_errors: list[LogEvent]) -> None:
    played = Played()
    found = [played.ask(A) for _ in range(3)]
    played.answer(CallFailed("timeout"))
    assert found == [[Silence.UNAVAILABLE]] * 3
    assert played.counted() == {"error": 1}
    logged_errors.clear()


def test_what_is_not_expected_fails_all() -> None:
    played = Played()
    found = [played.ask(A) for _ in range(2)]
    played.calls.asked[0].answered.errback(ZeroDivisionError())
    assert [type(each[0]) for each in found] == [ZeroDivisionError] * 2
    played.ask(A)
    assert len(played.calls.asked) == 2


def test_without_a_cache_each_asks() -> None:
    played = Played(cache_ttl=0.0)
    found = [played.ask(A) for _ in range(2)]
    assert len(played.calls.asked) == 2
    played.answer(OK, NO)
    assert isinstance(found[0][0], Passed)
    assert isinstance(found[1][0], Refused)
    played.ask(A)
    assert len(played.calls.asked) == 3


# Bounded, and ended


@pytest.mark.parametrize("ttl", [0.0, 60.0])
def test_so_many_calls_at_once(ttl: float, logged_errors: list[LogEvent]) -> None:
    played = Played(cache_ttl=ttl, max_calls=2)
    first, second, third = (played.ask((b"Cookie", b"%d" % number)) for number in range(3))
    assert (first, second, third) == ([], [], [Silence.UNAVAILABLE])
    played.answer(OK)
    assert played.ask(A) == []
    assert len(played.calls.asked) == 3
    assert "max_calls" in logged_errors.pop()["why"]


def test_a_call_ends_when_nobody_waits_any_more() -> None:
    played = Played()
    first, second = played.authority.ask([A]), played.authority.ask([A])
    ended: list[Any] = []
    for each in (first, second):
        assert isinstance(each, Deferred)
        each.addErrback(lambda failure: ended.append(failure.value))
        assert not played.calls.asked[0].cancelled
        each.cancel()
    assert played.calls.asked[0].cancelled
    assert [type(each) for each in ended] == [CancelledError] * 2
    assert repr(played.authority) == "<Authority http://auth.test/check 0 under way>"
    assert played.ask(A) == []
    played.answer(OK)
    assert len(played.calls.asked) == 2


@pytest.mark.parametrize("again", [False, True])
def test_a_call_of_ones_own_ends_with_the_client(again: bool) -> None:
    played = Played(cache_ttl=60.0 if again else 0.0)
    first, second = played.authority.ask([A]), played.authority.ask([A])
    assert isinstance(first, Deferred)
    assert isinstance(second, Deferred)
    if again:
        played.answer(LOGIN)
    second.addErrback(lambda failure: failure.trap(CancelledError))
    second.cancel()
    assert played.calls.asked[1].cancelled
    assert not played.calls.asked[0].cancelled


def test_one_that_waits_may_be_cancelled_by_anothers_answer() -> None:
    played = Played()
    first, second = played.authority.ask([A]), played.authority.ask([A])
    assert isinstance(first, Deferred)
    assert isinstance(second, Deferred)
    second.addErrback(lambda failure: failure.trap(CancelledError))
    first.addCallback(lambda _: second.cancel())
    third = played.ask(A)
    played.answer(OK)
    assert isinstance(third[0], Passed)
