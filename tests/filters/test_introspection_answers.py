"""The filter `introspection`: what answers mean, what becomes of those about whom nobody can tell; its options."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import LogEvent, eventAsText

from gwproxy.calls import Answer, CallFailed
from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.filters import introspection
from gwproxy.testing import parse_options
from tests.filters.introspecting import INACTIVE, OPTIONS, answer, world

# What the answer says


@pytest.mark.parametrize(
    ("members", "options", "reason"),
    [
        ({"iss": "https://idp.example.org"}, {"issuer": "https://idp.example.com"}, "token_issuer"),
        ({}, {"issuer": "https://idp.example.com"}, "token_issuer"),
        ({"aud": "orders"}, {"audience": "users"}, "token_audience"),
        ({"aud": ["orders", "usersx"]}, {"audience": "users"}, "token_audience"),
        ({}, {"audience": "users"}, "token_audience"),
        ({"aud": [["users"]]}, {"audience": "users"}, "token_claim"),
        ({"aud": {"users": 1}}, {}, "token_claim"),
        ({"exp": 1_699_999_970}, {}, "token_expired"),
        ({"exp": 1_700_000_000}, {"leeway": "0"}, "token_expired"),
        ({"nbf": 1_700_000_031}, {}, "token_not_yet"),
        ({"nbf": 1_700_000_001}, {"leeway": "0"}, "token_not_yet"),
        ({"exp": "1800000000"}, {}, "token_claim"),
        ({"exp": True}, {}, "token_claim"),
        ({"exp": None}, {}, "token_claim"),
        ({"exp": 1e300}, {}, "token_claim"),
        ({"nbf": -1}, {}, "token_claim"),
        ({"sub": 7}, {}, "token_claim"),
        ({"sub": None}, {}, "token_claim"),
        ({"jti": 7}, {}, "token_claim"),
        ({"iss": ["https://idp.example.com"]}, {"issuer": "https://idp.example.com"}, "token_claim"),
    ],
)
def test_what_is_active_and_not_for_here(members: dict[str, Any], options: dict[str, str], reason: str) -> None:
    here = world(**options)
    played = here.known(answer(**members))
    assert (played.status, played.reply and played.reply.detail) == (401, reason)
    assert here.ask().status == 401
    assert here.questions == 1


@pytest.mark.parametrize(
    ("members", "options"),
    [
        ({"iss": "https://b"}, {"issuer": "https://a, https://b"}),
        ({"aud": "users"}, {"audience": "orders, users"}),
        ({"aud": ["x", "users"]}, {"audience": "users"}),
        ({"exp": 1_699_999_971}, {}),
        ({"nbf": 1_700_000_030}, {}),
        ({"exp": 1_700_000_000.5}, {"leeway": "0"}),
    ],
)
def test_what_is_active_and_for_here(members: dict[str, Any], options: dict[str, str]) -> None:
    assert world(**options).known(answer(**members)).status == 200


# Nobody can tell


BROKEN = [
    CallFailed("timeout"),
    CallFailed("connect"),
    CallFailed("too_large"),
    Answer(500, [], b'{"active": true}'),
    Answer(302, [(b"Location", b"https://elsewhere.example.com/")], b""),
    Answer(200, [], b"<html>"),
    Answer(200, [], b'{"active": "true"}'),
]


@pytest.mark.parametrize("broken", BROKEN, ids=repr)
def test_e4_who_cannot_be_asked_about_is_denied(broken: Any, logged_errors: list[LogEvent]) -> None:
    here = world()
    played = here.known(broken)
    assert (played.status, played.reply and played.reply.detail) == (503, "authority_unavailable")
    assert played.header(b"retry-after") == b"5"
    assert here.around.decisions() == {("deny", "enforce"): 1}
    # not remembered: the next one asks
    assert here.ask().waiting
    assert "hunter2" not in eventAsText(logged_errors[0]) and "abc" not in eventAsText(logged_errors[0])
    logged_errors.clear()


@pytest.mark.parametrize("broken", BROKEN, ids=repr)
def test_e4_or_passes_as_nobody_where_that_is_wanted(broken: Any, logged_errors: list[LogEvent]) -> None:
    here = world(on_error="allow", claims_to_headers="sub: X-User")
    played = here.ask(b"abc", (b"X-User", b"mallory"))
    here.reply(broken)
    assert (played.status, played.exchange.principal) == (200, None)
    assert [name for name, _ in played.sent[0].headers] == [b"Host", b"Authorization"]
    assert here.around.decisions() == {("error", "enforce"): 1}
    assert [event["event"] for event in here.around.events] == ["check_failed"]
    logged_errors.clear()


def test_e4_what_is_known_goes_on_while_it_is_down(logged_errors: list[LogEvent]) -> None:
    here = world()
    here.known(answer())
    here.known(CallFailed("connect"), b"def")
    assert here.ask().status == 200
    logged_errors.clear()


def test_that_it_is_down_is_told_once(logged_errors: list[LogEvent]) -> None:
    here = world()
    for _ in range(3):
        here.known(CallFailed("connect"))
    assert len(logged_errors) == 1
    here.known(answer())
    here.known(CallFailed("connect"), b"def")
    assert len(logged_errors) == 2
    logged_errors.clear()


def test_an_error_of_our_own_lets_nobody_in(logged_errors: list[LogEvent]) -> None:
    here = world()
    played = here.ask()
    here.calls.asked[-1].answered.errback(ZeroDivisionError())
    assert played.status == 503
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_its_questions_are_counted(logged_errors: list[LogEvent]) -> None:
    here = world()
    here.known(answer())
    here.known(INACTIVE, b"b")
    here.known(CallFailed("connect"), b"c")
    here.ask()
    (family,) = [each for each in here.around.meters.families() if each.name == "introspection_calls"]
    counts = {labels: read() for labels, read in family.series.items()}
    assert counts == {("test", "active"): 1, ("test", "inactive"): 1, ("test", "error"): 1}
    logged_errors.clear()


# What goes upstream


def test_claims_go_upstream_in_place_of_what_a_client_sent() -> None:
    here = world(claims_to_headers="sub: X-User, client_id: X-Client, groups: X-Groups")
    played = here.ask(b"abc", (b"x-user", b"mallory"), (b"X_Client", b"mallory"), (b"X-Other", b"1"))
    here.reply(answer(groups=["a", "b"]))
    headers = played.sent[0].headers[1:]
    assert headers == [
        (b"Authorization", b"Bearer abc"),
        (b"X-Other", b"1"),
        (b"X-User", b"alice"),
        (b"X-Groups", b"a,b"),
    ]
    again = here.ask(b"abc", (b"X-USER", b"mallory"))
    assert [pair for pair in again.sent[0].headers if pair[0].lower() == b"x-user"] == [(b"X-User", b"alice")]


@pytest.mark.parametrize("token", [None, b"abc", b"bad token"])
def test_in_shadow_mode_all_is_decided_and_nobody_is_denied(token: bytes | None) -> None:
    here = world(mode="shadow", claims_to_headers="sub: X-User")
    played = here.ask(token, (b"X-User", b"mallory"))
    if played.waiting:
        here.reply(INACTIVE)
    assert (played.status, played.exchange.principal) == (200, None)
    assert [pair for pair in played.sent[0].headers if pair[0].lower() == b"x-user"] == []
    assert here.around.decisions() == {("deny", "shadow"): 1}
    assert len(here.around.events) == 1


# Options


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("url", "http://idp.example.com/introspect"),
        ("url", "https://user:password@idp.example.com/"),
        ("client_id", ""),
        ("client_secret", ""),
        ("client_auth", "bearer"),
        ("timeout", "0"),
        ("on_error", "pass"),
        ("max_calls", "0"),
        ("claims_to_headers", "sub: Host"),
        ("claims_to_headers", "sub"),
    ],
)
def test_options_that_are_wrong(key: str, value: str) -> None:
    with pytest.raises(BadValue):
        parse_options(introspection.Options, {**OPTIONS, key: value})


@pytest.mark.parametrize(("key", "value"), [("claims_to_headers", "sub: Authorization"), ("leeway", "2h")])
def test_options_that_do_not_fit(key: str, value: str) -> None:
    with pytest.raises(ConfigMistake) as caught:
        parse_options(introspection.Options, {**OPTIONS, key: value})
    assert caught.value.key == key


def test_the_secret_is_not_shown() -> None:
    assert "hunter2" not in repr(parse_options(introspection.Options, OPTIONS))


def test_what_it_means_for_a_chain() -> None:
    options = parse_options(introspection.Options, {**OPTIONS, "claims_to_headers": "sub: X-User"})
    found = introspection.traits(options)
    assert (found.identifies, found.costly, found.vouches_for) == (True, True, (b"X-User",))
