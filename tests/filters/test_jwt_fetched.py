"""The filter `jwt` with keys that an identity provider publishes: who waits for them, and who does not."""

from __future__ import annotations

import json
from typing import Any

from twisted.logger import LogEvent

from gwproxy.calls import Answer, CallFailed
from gwproxy.testing import FakeCalls, Surroundings
from gwproxy.tokens.jwks import JwksSource
from tests.tokens.kit.forge import CLAIMS, jwk, key, token
from tests.tokens.kit.login import ask, build, verdict

URL = "https://idp.example/keys"


def answer(*keys: dict[str, Any]) -> Answer:
    return Answer(200, [(b"Content-Type", b"application/json")], json.dumps({"keys": keys}).encode())


ONE = jwk(key("RS256"), kid="one", use="sig")
TWO = jwk(key("RS256", "two"), kid="two", use="sig")
BY_ONE = token("RS256", kid="one")
BY_TWO = token("RS256", kid="two", signing_key=key("RS256", "two"))


def fetching(*answers: Answer | CallFailed, **options: str) -> tuple[Any, Surroundings, FakeCalls]:
    calls = FakeCalls({URL: list(answers)})
    around = Surroundings(calls=calls)
    filter_object = build(around, algorithms="RS256", jwks_url=URL, **options)
    assert calls.asked == []  # a configuration that is only checked sends nothing
    around.keeper.start()
    return filter_object, around, calls


def test_keys_of_a_url() -> None:
    filter_object, around, calls = fetching(answer(ONE))
    assert verdict(ask(filter_object, BY_ONE)) == "allowed"
    assert [asked.url for asked in calls.asked] == [URL]
    around.keeper.stop()


def test_keys_that_discovery_finds() -> None:
    issuer = "https://idp.example"
    found = Answer(200, [], json.dumps({"issuer": issuer, "jwks_uri": URL}).encode())
    calls = FakeCalls({f"{issuer}/.well-known/openid-configuration": [found], URL: [answer(ONE)]})
    around = Surroundings(calls=calls)
    filter_object = build(around, algorithms="RS256", discover="yes", issuer=issuer)
    around.keeper.start()
    assert verdict(ask(filter_object, BY_ONE)) == "allowed"
    other = token("RS256", {**CLAIMS, "iss": "https://other.example"}, kid="one")
    assert verdict(ask(filter_object, other)) == "token_issuer"
    around.keeper.stop()


def test_a_new_kid_waits_for_one_fetch_however_many_ask() -> None:
    filter_object, around, calls = fetching(answer(ONE))
    around.clock.advance(2)
    waiting = [ask(filter_object, BY_TWO) for _ in range(20)]
    assert all(played.waiting for played in waiting)
    assert verdict(ask(filter_object, BY_ONE)) == "allowed"  # nobody else waits
    assert len(calls.asked) == 2
    calls.asked[1].answered.callback(answer(ONE, TWO))
    assert [verdict(played) for played in waiting] == ["allowed"] * 20
    assert waiting[0].exchange.principal is not None
    assert waiting[0].exchange.principal.subject == "user-1"
    assert around.decisions() == {("allow", "enforce"): 21}
    around.keeper.stop()


def test_a_kid_that_nobody_has_is_refused_after_the_fetch_and_then_at_once() -> None:
    filter_object, around, calls = fetching(answer(ONE))
    around.clock.advance(2)
    played = ask(filter_object, BY_TWO, (b"X-User-Id", b"admin"))
    assert played.waiting
    calls.asked[1].answered.callback(answer(ONE))
    assert (verdict(played), played.status) == ("token_key", 401)
    assert [verdict(ask(filter_object, BY_TWO)) for _ in range(50)] == ["token_key"] * 50
    assert len(calls.asked) == 2
    around.keeper.stop()


def test_only_a_kid_that_there_may_be_makes_anybody_wait() -> None:
    filter_object, around, calls = fetching(answer(ONE))
    around.clock.advance(2)
    for given, reason in (
        (token("RS256", kid="one", signing_key=key("RS256", "two")), "token_signature"),
        (token("HS256", kid="two"), "token_algorithm"),
        (token("RS256", kid="k" * 300), "token_key"),
        (token("RS256", kid="two", crit=["x"]), "token_critical"),
        (b"two", "token_malformed"),
    ):
        assert verdict(ask(filter_object, given)) == reason
    assert len(calls.asked) == 1
    around.keeper.stop()


def test_a_client_that_goes_away_while_it_waits() -> None:
    filter_object, around, calls = fetching(answer(ONE))
    around.clock.advance(2)
    leaving, staying = ask(filter_object, BY_TWO), ask(filter_object, BY_TWO)
    leaving.disconnect()
    calls.asked[1].answered.callback(answer(TWO))
    assert verdict(staying) == "allowed"
    assert leaving.sent == []
    around.keeper.stop()


def test_without_any_keys_there_is_no_answer_yet(logged_errors: list[LogEvent]) -> None:
    filter_object, around, calls = fetching(CallFailed("connect"), claims_to_headers="sub: X-User-Id")
    played = ask(filter_object, BY_ONE, (b"X-User-Id", b"admin"))
    assert (played.status, verdict(played)) == (503, "keys_unavailable")
    assert played.header(b"retry-after") == b"5"
    assert (verdict(ask(filter_object, None)), around.events[0]["reason"]) == ("no_credentials", "keys_unavailable")
    # a fetch that is under way is waited for
    around.clock.advance(1)
    assert len(calls.asked) == 2
    waiting = [ask(filter_object, BY_ONE) for _ in range(3)]
    calls.asked[1].answered.callback(answer(ONE))
    assert [verdict(played) for played in waiting] == ["allowed"] * 3
    around.keeper.stop()
    logged_errors.clear()


def test_a_fetch_that_fails_leaves_who_waits_with_503(logged_errors: list[LogEvent]) -> None:
    filter_object, around, calls = fetching()
    waiting = ask(filter_object, BY_ONE)
    assert waiting.waiting
    calls.asked[0].answered.errback(CallFailed("timeout"))
    assert (waiting.status, verdict(waiting)) == (503, "keys_unavailable")
    around.keeper.stop()
    logged_errors.clear()


def test_a_key_that_the_provider_takes_back_is_gone_with_its_tokens() -> None:
    filter_object, around, calls = fetching(answer(ONE, TWO), answer(TWO), jwks_refresh="60s")
    assert [verdict(ask(filter_object, given)) for given in (BY_ONE, BY_TWO)] == ["allowed"] * 2
    around.clock.advance(60)
    assert len(calls.asked) == 2
    assert isinstance(filter_object._source, JwksSource)
    assert verdict(ask(filter_object, BY_TWO)) == "allowed"
    around.clock.advance(0.5)  # too soon to ask again
    assert verdict(ask(filter_object, BY_ONE)) == "token_key"
    around.keeper.stop()
