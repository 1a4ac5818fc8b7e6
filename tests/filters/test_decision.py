"""A decision is counted, logged, and without effect in shadow mode."""

from __future__ import annotations

import pytest

from gwproxy.errors import Reason
from gwproxy.filters.api import Reply
from gwproxy.filters.decision import Decisions, Denial, Event, Mode
from gwproxy.testing import FakeExchange, Surroundings


def test_a_denial_is_counted_logged_and_answered() -> None:
    around = Surroundings()
    decisions = Decisions(around.context("guard"), Mode.ENFORCE, Event.FORBIDDEN)
    exchange = FakeExchange(client_ip="192.0.2.9")
    reply = decisions.deny(exchange, Denial.CLAIM_DENIED, 403, [(b"X-A", b"1")])
    assert reply is not None
    assert (reply.status, reply.headers, reply.reason, reply.detail) == (
        403,
        [(b"X-A", b"1")],
        Reason.FILTER,
        "claim_denied",
    )
    assert exchange.filter_name == "guard"
    assert around.decisions("guard") == {("deny", "enforce"): 1}
    assert around.events == [
        {
            "event": "forbidden",
            "filter": "guard",
            "reason": "claim_denied",
            "mode": "enforce",
            "client": "192.0.2.9",
        }
    ]


def test_in_shadow_mode_it_is_counted_and_logged_and_passes() -> None:
    around = Surroundings()
    decisions = Decisions(around.context("guard"), Mode.SHADOW, Event.IP_DENIED)
    exchange = FakeExchange()
    assert decisions.deny(exchange, Denial.IP_DENIED, 403) is None
    assert exchange.filter_name is None
    assert around.decisions("guard") == {("deny", "shadow"): 1}
    assert [(event["event"], event["mode"]) for event in around.events] == [("ip_denied", "shadow")]


def test_a_reply_of_the_filters_own_is_given_as_it_is() -> None:
    decisions = Decisions(Surroundings().context(), Mode.ENFORCE, Event.AUTH_FAILED)
    own = Reply(302, [(b"Location", b"/login")], b"")
    assert decisions.deny(FakeExchange(), Denial.AUTHORITY_DENIED, 403, reply=own) is own


def test_what_may_pass_is_counted() -> None:
    around = Surroundings()
    decisions = Decisions(around.context(), Mode.ENFORCE, Event.AUTH_FAILED)
    decisions.allowed.value += 1
    decisions.allowed.value += 1
    assert around.decisions() == {("allow", "enforce"): 2}
    assert around.events == []


def test_who_does_not_answer_is_counted_apart() -> None:
    around = Surroundings()
    decisions = Decisions(around.context(), Mode.ENFORCE, Event.RATE_LIMITED)
    decisions.could_not(FakeExchange(), Denial.STORE_UNAVAILABLE)
    assert around.decisions() == {("error", "enforce"): 1}
    assert [(event["event"], event["reason"]) for event in around.events] == [("check_failed", "store_unavailable")]


def test_it_is_logged_once_a_second() -> None:
    around = Surroundings()
    decisions = Decisions(around.context(), Mode.ENFORCE, Event.RATE_LIMITED)
    for seconds in (0.5, 0.4, 0.2):
        around.clock.advance(seconds)
        decisions.could_not(FakeExchange(), Denial.STORE_UNAVAILABLE)
    assert around.decisions() == {("error", "enforce"): 3}
    assert len(around.events) == 1
    around.clock.advance(0.5)
    decisions.could_not(FakeExchange(), Denial.STORE_UNAVAILABLE)
    assert len(around.events) == 2


def test_who_is_kept_out_since_nobody_could_tell_is_told_apart() -> None:
    around = Surroundings()
    decisions = Decisions(around.context(), Mode.ENFORCE, Event.AUTH_FAILED)
    reply = decisions.deny(FakeExchange(), Denial.KEYS_UNAVAILABLE, 503)
    assert reply is not None and reply.status == 503
    assert [(event["event"], event["reason"]) for event in around.events] == [("check_failed", "keys_unavailable")]


def test_counters_outlive_a_reload() -> None:
    around = Surroundings()
    for _ in range(2):
        Decisions(around.context(), Mode.ENFORCE, Event.FORBIDDEN).allowed.value += 1
    assert around.decisions() == {("allow", "enforce"): 2}


@pytest.mark.parametrize("word", [*Denial, *Event, *Mode])
def test_words_are_lower_case(word: str) -> None:
    assert str(word) == str(word).lower()
    assert str(word).replace("_", "").isalpha()
