"""The filter `cors`: what pages of other origins may do with a route, and what every answer says of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gwproxy.config import parse, show
from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.filters import cors
from gwproxy.filters.api import Header, Reply
from gwproxy.http.headers import get_all
from gwproxy.testing import (
    FakeExchange,
    FilterHarness,
    Played,
    Surroundings,
    UpstreamResponse,
    build_filter,
    run_filter,
)
from tests.filters.test_origins import LOOK_ALIKES

APP = b"https://app.example.com"
EVIL = b"https://evil.example"
LISTED = {"origins": "https://app.example.com, https://*.apps.example"}
VARY = (b"Vary", b"Origin")
PREFLIGHT_VARY = (b"Vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")


def allows(origin: bytes) -> Header:
    return (b"Access-Control-Allow-Origin", origin)


def calls(
    origin: bytes | None, method: bytes = b"GET", *more: Header, host: bytes = b"api.example.com"
) -> FakeExchange:
    fields = [(b"Host", host), *more] if origin is None else [(b"Host", host), (b"Origin", origin), *more]
    return FakeExchange(method, headers=fields, scheme=b"https")


def preflights(origin: bytes = APP, method: bytes = b"POST", headers: bytes | None = None) -> FakeExchange:
    fields = [(b"Access-Control-Request-Method", method)]
    if headers is not None:
        fields.append((b"Access-Control-Request-Headers", headers))
    return calls(origin, b"OPTIONS", *fields)


def answered(exchange: FakeExchange, response: Sequence[Header] = (), /, **options: str) -> list[Header]:
    built = build_filter(cors, {**LISTED, **options})
    return fields_of(run_filter(built, exchange, UpstreamResponse(headers=response)))


def fields_of(played: Played) -> list[Header]:
    """The harness gives an empty body a type, the gateway does not (tests/flow)."""
    return [pair for pair in played.headers if pair[0] != b"Content-Type"]


# Answers


def test_an_allowed_origin_is_named() -> None:
    assert answered(calls(APP)) == [VARY, allows(APP)]
    assert answered(calls(b"https://a.b.apps.example")) == [VARY, allows(b"https://a.b.apps.example")]


@pytest.mark.parametrize("origin", [EVIL, b"null", b"", b"https://apps.example", b"http://app.example.com"])
def test_another_origin_gets_no_word_and_is_served(origin: bytes) -> None:
    played = run_filter(build_filter(cors, LISTED), calls(origin))
    assert (played.status, played.headers, len(played.sent)) == (200, [VARY], 1)


@pytest.mark.parametrize("origin", LOOK_ALIKES)
def test_look_alikes_get_no_word(origin: bytes) -> None:
    listed = "https://app.example.com, https://*.example.com"
    assert answered(calls(origin), origins=listed, credentials="yes") == [VARY]
    assert answered(preflights(origin), origins=listed, credentials="yes") == [PREFLIGHT_VARY]


def test_every_answer_varies_by_origin() -> None:
    assert answered(calls(None)) == [VARY]
    assert answered(calls(None, b"OPTIONS")) == [VARY]


@pytest.mark.parametrize(
    ("response", "vary"),
    [
        ([(b"Vary", b"Accept-Encoding")], [b"Accept-Encoding, Origin"]),
        ([(b"vary", b"Accept"), (b"Vary", b"Cookie")], [b"Accept", b"Cookie, Origin"]),
        ([(b"Vary", b"Origin")], [b"Origin"]),
        ([(b"Vary", b"accept, ORIGIN")], [b"accept, ORIGIN"]),
        ([(b"Vary", b"Origin"), (b"Vary", b"Accept")], [b"Origin", b"Accept"]),
        ([(b"Vary", b"X-Origin")], [b"X-Origin, Origin"]),
        ([(b"Vary", b"*")], [b"*"]),
        ([(b"Vary", b"")], [b"Origin"]),
    ],
)
def test_origin_is_merged_into_vary(response: list[Header], vary: list[bytes]) -> None:
    assert get_all(answered(calls(APP), response), b"vary") == vary


def test_credentials_and_exposed_headers() -> None:
    assert answered(calls(APP), credentials="yes", expose="X-Total, ETag") == [
        VARY,
        allows(APP),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Access-Control-Expose-Headers", b"X-Total, ETag"),
    ]
    assert answered(calls(EVIL), credentials="yes", expose="X-Total") == [VARY]


def test_what_the_upstream_says_of_cors_is_replaced() -> None:
    upstream = [
        allows(b"*"),
        (b"access-control-allow-origin", b"https://evil.example"),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Access-Control-Allow-Methods", b"DELETE"),
        (b"ACCESS-CONTROL-EXPOSE-HEADERS", b"Set-Cookie"),
        (b"Access-Control-Max-Age", b"86400"),
        (b"Access-Control-Allow-Private-Network", b"true"),
        (b"Vary", b"Origin"),
        (b"ETag", b"1"),
    ]
    assert answered(calls(APP), upstream) == [VARY, (b"ETag", b"1"), allows(APP)]
    assert answered(calls(EVIL), upstream) == [VARY, (b"ETag", b"1")]
    assert answered(calls(None), upstream) == [VARY, (b"ETag", b"1")]
    assert answered(calls(APP), upstream, origins="*") == [VARY, (b"ETag", b"1"), allows(b"*")]


def test_replies_of_other_filters_carry_it() -> None:
    class Refuses:
        def on_request(self, exchange: object) -> Reply:
            return Reply(401)

    played = FilterHarness(build_filter(cors, LISTED), Refuses()).run(calls(APP))
    assert (played.status, played.headers) == (401, [VARY, allows(APP)])


def test_errors_of_other_filters_carry_it() -> None:
    class Breaks:
        def on_request(self, exchange: object) -> None:
            raise RuntimeError

    played = FilterHarness(build_filter(cors, LISTED), Breaks()).run(calls(APP))
    assert (played.status, played.headers) == (500, [VARY, allows(APP)])


def test_all_origins_get_the_same_answer() -> None:
    assert answered(calls(APP), origins="*", expose="*") == [allows(b"*"), (b"Access-Control-Expose-Headers", b"*")]
    assert answered(calls(None), origins="*") == [allows(b"*")]
    assert answered(calls(None), [(b"Vary", b"Accept")], origins="*") == [(b"Vary", b"Accept"), allows(b"*")]


def test_strangers_cannot_fill_the_memory() -> None:
    built = build_filter(cors, LISTED)
    for number in range(1100):
        origin = b"https://%d.apps.example" % number
        assert run_filter(built, calls(origin)).headers == [VARY, allows(origin)]
    assert len(built._granted) == 1024


def test_answers_do_not_share_a_list() -> None:
    built = build_filter(cors, LISTED)
    run_filter(built, calls(APP)).headers.append((b"X-A", b"1"))
    assert run_filter(built, calls(APP)).headers == [VARY, allows(APP)]


# Preflights


def test_a_preflight_is_answered_before_anything_behind_it() -> None:
    asked: list[object] = []

    class Behind:
        def on_request(self, exchange: object) -> None:
            asked.append(exchange)

    played = FilterHarness(build_filter(cors, LISTED), Behind()).run(preflights(headers=b"content-type"))
    assert (played.status, played.body, played.sent, asked) == (204, b"", [], [])
    assert fields_of(played) == [
        allows(APP),
        (b"Access-Control-Allow-Methods", b"GET, HEAD, POST"),
        (b"Access-Control-Allow-Headers", b"Content-Type"),
        (b"Access-Control-Max-Age", b"600"),
        PREFLIGHT_VARY,
    ]


def test_the_options_of_a_preflight() -> None:
    asked = preflights(b"https://a.apps.example", b"PUT", b"authorization,x-one")
    asked.headers.append((b"Access-Control-Request-Private-Network", b"true"))
    assert answered(
        asked,
        methods="PUT",
        headers="Authorization, X-One",
        credentials="yes",
        max_age="2h",
        private_network="yes",
    ) == [
        allows(b"https://a.apps.example"),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Access-Control-Allow-Methods", b"PUT"),
        (b"Access-Control-Allow-Headers", b"Authorization, X-One"),
        (b"Access-Control-Allow-Private-Network", b"true"),
        (b"Access-Control-Max-Age", b"7200"),
        (PREFLIGHT_VARY[0], PREFLIGHT_VARY[1] + b", Access-Control-Request-Private-Network"),
    ]


@pytest.mark.parametrize(
    "asked", [preflights(EVIL), preflights(b"null"), preflights(method=b"PUT"), preflights(headers=b"x-one")]
)
def test_a_preflight_that_is_refused_is_answered_without_the_allow(asked: FakeExchange) -> None:
    played = run_filter(build_filter(cors, LISTED), asked)
    assert (played.status, fields_of(played), played.sent) == (204, [PREFLIGHT_VARY], [])


def test_a_preflight_where_all_may() -> None:
    assert answered(preflights(EVIL, headers=b"authorization"), origins="*", headers="*", max_age="0") == [
        allows(b"*"),
        (b"Access-Control-Allow-Methods", b"GET, HEAD, POST"),
        (b"Access-Control-Allow-Headers", b"authorization"),
        (b"Access-Control-Max-Age", b"0"),
        (b"Vary", b"Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]


def test_another_options_goes_on() -> None:
    for exchange in (calls(APP, b"OPTIONS"), calls(None, b"OPTIONS", (b"Access-Control-Request-Method", b"PUT"))):
        assert len(run_filter(build_filter(cors, LISTED), exchange).sent) == 1
    # What only looks like one.
    asked = calls(APP, b"POST", (b"Access-Control-Request-Method", b"PUT"))
    assert len(run_filter(build_filter(cors, LISTED), asked).sent) == 1


# Blocking


def blocked(exchange: FakeExchange, around: Surroundings | None = None, **options: str) -> Played:
    return run_filter(build_filter(cors, {**LISTED, "block": "yes", **options}, around=around), exchange)


@pytest.mark.parametrize("origin", [EVIL, b"null", b"", b"https://apps.example", b"http://api.example.com"])
@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS"])
def test_other_origins_are_blocked(origin: bytes, method: bytes) -> None:
    around = Surroundings()
    played = blocked(calls(origin, method), around)
    assert played.reply is not None
    assert (played.status, played.reply.detail, fields_of(played)) == (403, "origin_denied", [VARY])
    assert played.sent == []
    assert [(each["event"], each["reason"], each["mode"]) for each in around.events] == [
        ("cors_denied", "origin_denied", "enforce")
    ]
    assert around.decisions() == {("deny", "enforce"): 1}


def test_a_preflight_of_another_origin_is_blocked() -> None:
    played = blocked(preflights(EVIL))
    assert (played.status, fields_of(played)) == (403, [PREFLIGHT_VARY])


@pytest.mark.parametrize(
    "exchange",
    [
        calls(None),
        calls(APP),
        calls(b"https://a.apps.example", b"POST"),
        calls(b"https://api.example.com", b"POST"),
        calls(b"https://api.example.com", b"POST", host=b"API.example.com:443"),
        calls(b"https://api.example.com:8443", b"POST", host=b"api.example.com:8443"),
        calls(b"null", b"POST", (b"Sec-Fetch-Site", b"same-origin")),
    ],
)
def test_what_is_not_blocked(exchange: FakeExchange) -> None:
    around = Surroundings()
    assert blocked(exchange, around).status == 200
    assert around.decisions() == {("allow", "enforce"): 1}


def test_a_page_of_ones_own_needs_no_word() -> None:
    assert blocked(calls(b"https://api.example.com", b"POST")).headers == [VARY]


@pytest.mark.parametrize("site", [b"same-site", b"cross-site", b"none", b""])
def test_what_else_the_browser_says_does_not_help(site: bytes) -> None:
    assert blocked(calls(EVIL, b"POST", (b"Sec-Fetch-Site", site))).status == 403


def test_in_shadow_mode_it_passes() -> None:
    around = Surroundings()
    played = blocked(calls(EVIL), around, mode="shadow")
    assert (played.status, fields_of(played)) == (200, [VARY])
    assert [(each["event"], each["mode"]) for each in around.events] == [("cors_denied", "shadow")]
    assert around.decisions() == {("deny", "shadow"): 1}
    # As without `block`.
    asked = blocked(preflights(EVIL), mode="shadow")
    assert (asked.status, fields_of(asked), asked.sent) == (204, [PREFLIGHT_VARY], [])


def test_without_block_nothing_is_denied() -> None:
    around = Surroundings()
    run_filter(build_filter(cors, LISTED, around=around), calls(EVIL))
    assert (around.decisions(), around.events) == ({("allow", "enforce"): 1}, [])


# Loading


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("origins", "null", "cannot be allowed"),
        ("origins", "https://app.example.com/", "without a slash"),
        ("methods", "get", "write it in capitals"),
        ("methods", "TRACE", "is refused on every route"),
        ("methods", "GET PUT", "must be a token"),
        ("headers", "X One", "must be a token"),
        ("expose", "X: 1", "must be a token"),
        ("max_age", "600", "must be a duration"),
        ("block", "maybe", "must be yes or no"),
        ("mode", "off", "must be enforce or shadow"),
    ],
)
def test_values_are_refused_at_load(option: str, text: str, message: str) -> None:
    with pytest.raises(BadValue) as caught:
        build_filter(cors, {**LISTED, option: text})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "key", "message"),
    [
        ({"origins": ""}, "origins", "at least one"),
        ({"origins": "*", "credentials": "yes"}, "origins", "every site act as its visitors"),
        ({"origins": "*", "block": "yes"}, "block", "blocks nobody"),
        ({"origins": "*, https://app.example.com"}, "origins", "stands alone"),
        ({"methods": "*, GET"}, "methods", "stands alone"),
        ({"headers": "X-One, *"}, "headers", "stands alone"),
        ({"expose": "X-One, *"}, "expose", "stands alone"),
        ({"expose": "*", "credentials": "yes"}, "expose", "no wildcard with credentials"),
        ({"max_age": "1500ms"}, "max_age", "whole seconds"),
    ],
)
def test_what_does_not_fit_together_is_refused_at_load(options: dict[str, str], key: str, message: str) -> None:
    with pytest.raises(ConfigMistake) as caught:
        build_filter(cors, {**LISTED, **options})
    assert caught.value.key == key
    assert message in caught.value.message


def test_what_it_means_for_others() -> None:
    traits = cors.traits(cors.Options(origins=("*",)))
    assert traits.cors
    assert traits.cheap_guard
    assert build_filter(cors, LISTED).answers_preflight


def test_what_is_shown_loads_again() -> None:
    text = (
        b"[listen:http]\nendpoint = tcp:0\n[filter:c]\ntype = cors\norigins = https://a.test:443, https://*.b.test\n"
        b"methods = *\nheaders =\nexpose = X-One\ncredentials = yes\nmax_age = 1h\nprivate_network = yes\nblock = yes\n"
    )
    types = {"cors": cors.Options}
    config = parse(text, "gw.ini", environ={}, filter_types=types)
    assert parse(show(config).encode(), "gw.ini", environ={}, filter_types=types).filters == config.filters
