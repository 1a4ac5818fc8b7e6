"""The filter `cookie_to_header`: the cookie becomes a header, and goes no further itself."""

from __future__ import annotations

import pytest

from gwproxy.config import parse, show
from gwproxy.config.mistakes import BadValue
from gwproxy.filters import cookie_to_header, csrf
from gwproxy.filters.api import Header
from gwproxy.testing import FakeExchange, FilterHarness, build_filter, run_filter

JWT = b"eyJhbGciOiJub25lIn0.e30.c2lnbmF0dXJl"
HOST = (b"Host", b"example.com")
ACCEPT = (b"Accept", b"*/*")
BEARER = (b"Authorization", b"Bearer " + JWT)


def sent(headers: list[Header], **options: str) -> list[Header]:
    """What goes upstream of a request with these headers, without its Host."""
    played = run_filter(build_filter(cookie_to_header, options), FakeExchange(headers=[ACCEPT, *headers]))
    assert played.status == 200
    assert played.sent[0].headers[:2] == [HOST, ACCEPT]
    return played.sent[0].headers[2:]


def test_the_cookie_becomes_a_header() -> None:
    assert sent([(b"Cookie", b"token=" + JWT)]) == [BEARER]
    assert sent([(b"cookie", b"a=1; token=" + JWT + b"; b=2")]) == [(b"cookie", b"a=1; b=2"), BEARER]
    assert sent([(b"Cookie", b'a=1; token="' + JWT + b'"')]) == [(b"Cookie", b"a=1"), BEARER]


def test_without_the_cookie_nothing_changes() -> None:
    assert sent([]) == []
    assert sent([(b"Cookie", b" a=1;;Token=x; tokens=y")]) == [(b"Cookie", b" a=1;;Token=x; tokens=y")]


@pytest.mark.parametrize("name", [b"Authorization", b"authorization", b"AUTHORIZATION"])
@pytest.mark.parametrize("value", [b"Bearer other", b"Basic dXNlcjpwdw==", b""])
def test_a_header_that_is_there_is_never_replaced(name: bytes, value: bytes) -> None:
    there = (name, value)
    # The cookie goes all the same.
    assert sent([there, (b"Cookie", b"token=" + JWT)]) == [there]
    assert sent([(b"Cookie", b"a=1; token=" + JWT), there]) == [(b"Cookie", b"a=1"), there]


def test_two_values_are_none() -> None:
    assert sent([(b"Cookie", b"token=one; token=two")]) == []
    assert sent([(b"Cookie", b"token=one"), (b"Cookie", b"a=1; token=two")]) == [(b"Cookie", b"a=1")]
    assert sent([(b"Cookie", b"token=one; token=")]) == []


def test_the_same_value_twice_is_one() -> None:
    assert sent([(b"Cookie", b"token=one; token=one")]) == [(b"Authorization", b"Bearer one")]


@pytest.mark.parametrize(
    "value",
    [b"", b'"', b"a b", b"a,b", b"a\tb", b'a"b', b"a%20b", b"a\xc3\xbc", b"=", b"=a", b"a=b", b"a\\b", b"a{b}", b"a:b"],
)
def test_rfc6750_what_is_no_token_is_not_set(value: bytes) -> None:
    assert sent([(b"Cookie", b"token=" + value)]) == []


@pytest.mark.parametrize("value", [b"a", b"-._~+/09AZ", b"YQ==", b"A" * 8000])
def test_rfc6750_what_is_a_token(value: bytes) -> None:
    assert sent([(b"Cookie", b"token=" + value)]) == [(b"Authorization", b"Bearer " + value)]


def test_the_cookie_may_stay() -> None:
    cookie = (b"Cookie", b"a=1; token=" + JWT)
    assert sent([cookie], strip="no") == [cookie, BEARER]
    assert sent([(b"Cookie", b"token=one; token=two")], strip="no") == [(b"Cookie", b"token=one; token=two")]


def test_names_of_ones_own() -> None:
    options = {"cookie": "__Host-sid", "header": "X-Session", "scheme": ""}
    assert sent([(b"Cookie", b"token=x; __Host-sid=abc")], **options) == [
        (b"Cookie", b"token=x"),
        (b"X-Session", b"abc"),
    ]
    there = (b"x-session", b"mine")
    assert sent([there, (b"Cookie", b"__Host-sid=abc")], **options) == [there]
    assert sent([(b"Cookie", b"token=abc")], scheme="JWT") == [(b"Authorization", b"JWT abc")]


def test_other_filters_see_the_header_and_not_the_cookie() -> None:
    seen: list[list[Header]] = []

    class Looks:
        def on_request(self, exchange: FakeExchange) -> None:
            seen.append(list(exchange.headers))

    FilterHarness(build_filter(cookie_to_header), Looks()).run(FakeExchange(headers=[(b"Cookie", b"token=" + JWT)]))
    assert seen == [[BEARER]]


def test_csrf_stands_before_it() -> None:
    """Behind it there is no cookie left to check for: what comes from another site gets in."""
    forged = [(b"Cookie", b"token=" + JWT), (b"Origin", b"https://evil.example")]
    cookie, guard = build_filter(cookie_to_header), build_filter(csrf)
    assert FilterHarness(guard, cookie).run(FakeExchange(b"POST", headers=forged)).status == 403
    assert FilterHarness(cookie, guard).run(FakeExchange(b"POST", headers=forged)).status == 200
    # With `always` it does not matter where it stands.
    everything = build_filter(csrf, {"always": "yes"})
    assert FilterHarness(cookie, everything).run(FakeExchange(b"POST", headers=forged)).status == 403


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("cookie", "", "must be a token"),
        ("cookie", "a b", "must be a token"),
        ("cookie", "a=b", "must be a token"),
        ("cookie", "a;b", "must be a token"),
        ("header", "", "must be a header name"),
        ("header", "X Y", "must be a header name"),
        ("header", "X_Token", "no _ in it"),
        ("header", "Cookie", "meaning of its own"),
        ("header", "host", "meaning of its own"),
        ("header", "Connection", "meaning of its own"),
        ("header", "Content-Length", "meaning of its own"),
        ("header", "Proxy-Authorization", "meaning of its own"),
        ("header", "X-Forwarded-For", "meaning of its own"),
        ("header", "X-Request-ID", "meaning of its own"),
        ("scheme", "Bearer ", "must be a token"),
        ("strip", "maybe", "must be yes or no"),
    ],
)
def test_values_are_refused_at_load(option: str, text: str, message: str) -> None:
    with pytest.raises(BadValue) as caught:
        build_filter(cookie_to_header, {option: text})
    assert message in str(caught.value)


def test_what_it_means_for_others() -> None:
    assert cookie_to_header.traits(cookie_to_header.Options()).credentials_from_cookie


def test_what_is_shown_loads_again() -> None:
    text = b"[listen:http]\nendpoint = tcp:0\n[filter:c]\ntype = cookie_to_header\nheader = X-T\nscheme =\nstrip = no\n"
    types = {"cookie_to_header": cookie_to_header.Options}
    config = parse(text, "gw.ini", environ={}, filter_types=types)
    assert parse(show(config).encode(), "gw.ini", environ={}, filter_types=types).filters == config.filters
