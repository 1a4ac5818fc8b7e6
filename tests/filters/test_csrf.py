"""The filter `csrf`: requests that change something and carry a cookie come from pages of ours, or are denied."""

from __future__ import annotations

import pytest

from gwproxy.config import parse, show
from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.filters import csrf
from gwproxy.filters.api import Header
from gwproxy.testing import FakeExchange, Surroundings, build_filter, run_filter
from tests.filters.test_origins import LOOK_ALIKES

COOKIE = (b"Cookie", b"session=abc")
EVIL = (b"Origin", b"https://evil.example")
LISTED = "https://app.example.org, https://*.apps.example"


def origin(value: bytes) -> Header:
    return (b"Origin", value)


def site(value: bytes) -> Header:
    return (b"Sec-Fetch-Site", value)


def referer(value: bytes) -> Header:
    return (b"Referer", value)


def status(*headers: Header, method: bytes = b"POST", has_cookie: bool = True, **options: str) -> int | None:
    """What a request to https://example.com gets."""
    exchange = FakeExchange(method, headers=[COOKIE, *headers] if has_cookie else headers, scheme=b"https")
    played = run_filter(build_filter(csrf, options), exchange)
    assert bool(played.sent) == (played.status == 200)
    return played.status


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"TRACE"])
def test_safe_methods_pass(method: bytes) -> None:
    assert status(EVIL, site(b"cross-site"), method=method) == 200


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"PURGE", b"get", b"Get"])
def test_all_others_are_checked(method: bytes) -> None:
    assert status(EVIL, method=method) == 403
    assert status(method=method) == 403
    assert status(origin(b"https://example.com"), method=method) == 200


def test_the_handshake_of_a_websocket_is_checked() -> None:
    """Cross-site WebSocket hijacking: the cookie goes with it, and no CORS keeps the page from reading."""
    key = (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==")
    assert status(EVIL, key, method=b"GET") == 403
    assert status(origin(b"https://example.com"), key, method=b"GET") == 200
    assert status(EVIL, key, method=b"GET", has_cookie=False) == 200


def test_a_request_without_a_cookie_passes() -> None:
    assert status(EVIL, site(b"cross-site"), has_cookie=False) == 200
    assert status((b"Authorization", b"Bearer abc"), has_cookie=False) == 200


def test_it_may_be_one_cookie_only() -> None:
    named = build_filter(csrf, {"cookie": "token"})
    other = FakeExchange(b"POST", headers=[COOKIE, (b"Cookie", b"xtoken=1; Token=2"), EVIL])
    assert run_filter(named, other).status == 200
    for text in (b"token=1", b"token=", b"a=1; token=1", b'a="; token=1'):
        assert run_filter(named, FakeExchange(b"POST", headers=[(b"cookie", text), EVIL])).status == 403


def test_always_is_without_a_cookie_too() -> None:
    assert status(EVIL, has_cookie=False, always="yes") == 403
    assert status(has_cookie=False, always="yes") == 403
    assert status(site(b"same-origin"), has_cookie=False, always="yes") == 200
    assert status(EVIL, method=b"GET", has_cookie=False, always="yes") == 200


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        # Sec-Fetch-Site, without an Origin that is listed
        ([site(b"same-origin")], True),
        ([site(b"none")], True),
        ([site(b"same-site")], False),
        ([site(b"cross-site")], False),
        ([site(b"")], False),
        ([site(b"Same-Origin")], False),
        ([site(b"same-origin, cross-site")], False),
        ([site(b"something-new")], False),
        ([site(b"same-origin"), origin(b"null")], True),  # Referrer-Policy: no-referrer
        ([site(b"cross-site"), origin(b"null")], False),
        ([site(b"cross-site"), origin(b"https://example.com")], False),  # what Host says, a proxy may have changed
        ([site(b"same-site"), origin(b"https://www.example.com")], False),
        # a listed Origin
        ([site(b"cross-site"), origin(b"https://app.example.org")], True),
        ([site(b"same-site"), origin(b"https://a.b.apps.example")], True),
        ([origin(b"https://app.example.org")], True),
        ([origin(b"https://a.apps.example")], True),
        ([origin(b"https://apps.example")], False),
        ([origin(b"https://app.example.org"), origin(b"https://app.example.org")], False),
        ([origin(b"https://app.example.org"), EVIL], False),
        # the request's own
        ([origin(b"https://example.com")], True),
        ([origin(b"http://example.com")], False),
        ([origin(b"https://example.com:8443")], False),
        ([origin(b"https://www.example.com")], False),
        ([origin(b"null")], False),
        ([origin(b"")], False),
        ([EVIL], False),
        # Referer, only without an Origin
        ([referer(b"https://example.com/page?x")], True),
        ([referer(b"https://app.example.org/")], True),
        ([referer(b"https://evil.example/https://example.com/")], False),
        ([referer(b"https://example.com@evil.example/")], False),
        ([referer(b"https://example.com.evil.example/")], False),
        ([referer(b"/page")], False),
        ([referer(b"about:blank")], False),
        ([referer(b"")], False),
        ([EVIL, referer(b"https://example.com/")], False),
        ([origin(b"null"), referer(b"https://example.com/")], False),
        ([origin(b""), referer(b"https://example.com/")], False),
        ([site(b"cross-site"), referer(b"https://app.example.org/")], True),
        ([site(b"cross-site"), referer(b"https://example.com/")], False),
        # nothing
        ([], False),
    ],
)
def test_where_it_comes_from(headers: list[Header], allowed: bool) -> None:
    assert status(*headers, origins=LISTED) == (200 if allowed else 403)
    # What is missing is something else than what is wrong.
    assert status(*headers, missing="allow", origins=LISTED) == (200 if allowed or not headers else 403)


@pytest.mark.parametrize("look_alike", LOOK_ALIKES)
def test_look_alikes_are_denied(look_alike: bytes) -> None:
    listed = "https://app.example.com, https://*.example.com"
    exchange = FakeExchange(b"POST", headers=[COOKIE, origin(look_alike)], scheme=b"https", host=b"api.example.org")
    assert run_filter(build_filter(csrf, {"origins": listed}), exchange).status == 403


def test_a_denial_is_answered_counted_and_logged() -> None:
    around = Surroundings()
    played = run_filter(build_filter(csrf, around=around), FakeExchange(b"POST", headers=[COOKIE, EVIL]))
    assert played.reply is not None
    assert (played.status, played.reply.detail) == (403, "origin_denied")
    assert [(each["event"], each["reason"], each["mode"]) for each in around.events] == [
        ("csrf_denied", "origin_denied", "enforce")
    ]
    run_filter(build_filter(csrf, around=around), FakeExchange(headers=[COOKIE]))
    assert around.decisions() == {("deny", "enforce"): 1, ("allow", "enforce"): 1}


def test_in_shadow_mode_it_passes() -> None:
    around = Surroundings()
    shadow = build_filter(csrf, {"mode": "shadow"}, around=around)
    assert run_filter(shadow, FakeExchange(b"POST", headers=[COOKIE, EVIL])).status == 200
    assert [(each["event"], each["mode"]) for each in around.events] == [("csrf_denied", "shadow")]
    assert around.decisions() == {("deny", "shadow"): 1}


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("origins", "null", "cannot be allowed"),
        ("origins", "https://app.example.com/", "without a slash"),
        ("cookie", "a b", "must be a token"),
        ("missing", "maybe", "must be deny or allow"),
        ("mode", "off", "must be enforce or shadow"),
    ],
)
def test_values_are_refused_at_load(option: str, text: str, message: str) -> None:
    with pytest.raises(BadValue) as caught:
        build_filter(csrf, {option: text})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "key"), [({"origins": "*"}, "origins"), ({"always": "yes", "cookie": "token"}, "cookie")]
)
def test_what_does_not_fit_together_is_refused_at_load(options: dict[str, str], key: str) -> None:
    with pytest.raises(ConfigMistake) as caught:
        build_filter(csrf, options)
    assert caught.value.key == key


def test_what_it_means_for_others() -> None:
    assert csrf.traits(csrf.Options()).checks_origin


def test_what_is_shown_loads_again() -> None:
    text = (
        b"[listen:http]\nendpoint = tcp:0\n[filter:c]\ntype = csrf\norigins = https://a.test:443, https://*.b.test\n"
        b"cookie =\nmissing = allow\nmode = shadow\n"
    )
    types = {"csrf": csrf.Options}
    config = parse(text, "gw.ini", environ={}, filter_types=types)
    assert parse(show(config).encode(), "gw.ini", environ={}, filter_types=types).filters == config.filters
