"""The filter `introspection`: whom it lets in, and how often it asks."""

from __future__ import annotations

from hashlib import sha256

import pytest
from twisted.logger import LogEvent

from gwproxy.calls import Answer
from gwproxy.filters import introspection
from gwproxy.filters.api import Principal
from gwproxy.testing import FakeExchange, FilterHarness, build_filter
from tests.filters.introspecting import INACTIVE, answer, world

CHALLENGE = b'Bearer realm="api", error="invalid_token"'


def test_an_active_token_passes_and_says_who_it_is() -> None:
    here = world()
    played = here.known(answer(scope="read write", iss="https://idp.example.com"))
    assert played.status == 200
    claims = {"active": True, "sub": "alice", "scope": "read write", "iss": "https://idp.example.com"}
    assert played.exchange.principal == Principal("alice", claims, "https://idp.example.com", "introspection")
    assert here.around.decisions() == {("allow", "enforce"): 1}


def test_a_token_of_no_user_is_for_nobody_in_particular() -> None:
    played = world().known(Answer(200, [], b'{"active": true, "client_id": "reports"}'))
    assert played.exchange.principal is not None
    assert (played.status, played.exchange.principal.subject) == (200, "")


def test_a_token_that_is_not_active_does_not() -> None:
    here = world()
    played = here.known(INACTIVE)
    assert (played.status, played.reply and played.reply.detail) == (401, "token_inactive")
    wanted = CHALLENGE + b', error_description="the token is not active"'
    assert played.header(b"www-authenticate") == wanted
    assert played.exchange.principal is None
    assert [event["reason"] for event in here.around.events] == ["token_inactive"]
    assert here.around.events[0]["event"] == "auth_failed"


# Requests without a usable token


def test_without_a_token() -> None:
    here = world()
    played = here.ask(None)
    assert (played.status, played.header(b"www-authenticate")) == (401, b'Bearer realm="api"')
    assert played.reply and played.reply.detail == "no_credentials"
    assert here.questions == 0


def test_without_a_token_where_it_is_optional() -> None:
    here = world(optional="yes")
    played = here.ask(None)
    assert (played.status, played.exchange.principal) == (200, None)
    assert here.known(INACTIVE).status == 401


def test_two_tokens_are_none() -> None:
    here = world(optional="yes")
    played = here.ask(b"abc", (b"authorization", b"Bearer abc"))
    assert (played.status, played.reply and played.reply.detail) == (401, "several_credentials")
    assert here.questions == 0


@pytest.mark.parametrize("token", [b"", b"a b", b"a,b", b'a"', "ä".encode(), b"a=b", b"=", b"a" * ((16 << 10) + 1)])
def test_what_cannot_be_a_token_is_not_asked_about(token: bytes) -> None:
    here = world()
    played = here.ask(token)
    assert (played.status, played.reply and played.reply.detail) == (401, "token_malformed")
    assert here.questions == 0


def test_no_large_token_makes_it_one_that_nobody_can_tell_of() -> None:
    """A server that takes no more than so much answers 413."""
    here = world(on_error="allow", max_token_size="1k")
    assert here.ask(b"a" * 1025).status == 401
    assert here.ask(b"a" * 1024).waiting
    assert here.questions == 1


# How often it asks


def test_one_question_for_a_token_however_many_bring_it() -> None:
    here = world()
    waiting = [here.ask() for _ in range(50)]
    other = here.ask(b"def")
    assert here.questions == 2
    here.calls.asked[0].answered.callback(answer())
    assert [played.status for played in waiting] == [200] * 50
    assert other.waiting


def test_an_answer_is_good_for_a_while() -> None:
    here = world()
    here.known(answer())
    here.around.clock.advance(29)
    played = here.ask()
    assert (played.status, here.questions) == (200, 1)
    assert played.exchange.principal is not None
    here.around.clock.advance(1)
    assert here.ask().waiting
    assert here.questions == 2


def test_an_answer_is_not_good_beyond_the_tokens_end() -> None:
    here = world(cache_ttl="10m")
    here.known(answer(exp=here.around.wall() + 60))
    here.around.clock.advance(59)
    assert here.ask().status == 200
    here.around.clock.advance(1)
    assert here.ask().waiting


def test_a_clock_that_steps_back_keeps_no_answer_longer() -> None:
    here = world()
    here.known(answer(exp=here.around.wall() + 60))
    here.around.epoch -= 600
    here.around.clock.advance(30)
    assert here.ask().waiting


def test_that_a_token_is_not_active_is_remembered_for_less() -> None:
    here = world()
    here.known(INACTIVE)
    here.around.clock.advance(4.9)
    assert (here.ask().status, here.questions) == (401, 1)
    here.around.clock.advance(0.2)
    assert here.ask().waiting


def test_nothing_need_be_remembered() -> None:
    here = world(cache_ttl="0", negative_ttl="0")
    here.known(answer())
    assert here.ask().waiting
    here.reply(INACTIVE)
    assert here.ask().waiting


def test_bad_tokens_do_not_push_out_good_ones() -> None:
    here = world(cache_size="10", negative_ttl="1h")
    here.known(answer())
    for number in range(100):
        here.known(INACTIVE, b"bad%d" % number)
    count = here.questions
    assert here.ask().status == 200
    assert here.questions == count


def test_no_token_is_kept() -> None:
    here = world()
    here.known(answer(), b"secret-token")
    kept = build_filter(introspection, here.options, around=here.around)._introspections
    assert kept._asking == {}
    assert list(kept.active._new) == [sha256(b"secret-token").digest()]


def test_what_was_found_out_outlives_a_reload() -> None:
    here = world()
    here.known(answer())
    after = FilterHarness(build_filter(introspection, here.options, around=here.around), clock=here.around.clock)
    request = FakeExchange(headers=[(b"Authorization", b"Bearer abc")])
    assert after.run(request).status == 200
    other = {**here.options, "audience": "users"}
    after = FilterHarness(build_filter(introspection, other, around=here.around), clock=here.around.clock)
    assert after.run(FakeExchange(headers=[(b"Authorization", b"Bearer abc")])).waiting


def test_a_client_that_goes_away_takes_nothing_along() -> None:
    here = world()
    first, second = here.ask(), here.ask()
    first.disconnect()
    assert not here.calls.asked[0].cancelled
    here.reply(answer())
    assert second.status == 200
    alone = here.ask(b"def")
    alone.disconnect()
    here.reply(answer())
    assert here.ask(b"def").status == 200


def test_so_many_questions_at_once(logged_errors: list[LogEvent]) -> None:
    here = world(max_calls="3")
    for number in range(3):
        assert here.ask(b"token%d" % number).waiting
    played = here.ask(b"one-more")
    assert (played.status, played.reply and played.reply.detail) == (503, "authority_unavailable")
    here.reply(answer())
    assert here.ask(b"one-more").waiting
    logged_errors.clear()
