"""The filter `security_headers`: what it sends when, and values that it refuses at load."""

from __future__ import annotations

import pytest

from gwproxy.config import parse, show
from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.filters import security_headers
from gwproxy.filters.api import Header, Reply
from gwproxy.testing import FakeExchange, FilterHarness, UpstreamResponse, build_filter, run_filter

NOSNIFF = (b"X-Content-Type-Options", b"nosniff")
DENY = (b"X-Frame-Options", b"DENY")
HSTS = (b"Strict-Transport-Security", b"max-age=31536000")


def answered(scheme: bytes, response: list[Header], **options: str) -> list[Header]:
    built = build_filter(security_headers, options)
    return run_filter(built, FakeExchange(scheme=scheme), UpstreamResponse(headers=response)).headers


def test_defaults_over_https() -> None:
    assert answered(b"https", []) == [NOSNIFF, DENY, HSTS]


def test_rfc6797_no_hsts_over_plain_http() -> None:
    assert answered(b"http", []) == [NOSNIFF, DENY]
    # The upstream's own neither.
    assert answered(b"http", [(b"strict-transport-security", b"max-age=1")]) == [NOSNIFF, DENY]


def test_all_of_them() -> None:
    assert answered(
        b"https",
        [],
        hsts="max-age=63072000; includeSubDomains; preload",
        csp="default-src 'self';\nimg-src *",
        frame_options="sameorigin",
        referrer_policy="no-referrer, strict-origin",
        permissions_policy='camera=(), fullscreen=(self "https://a.example")',
    ) == [
        NOSNIFF,
        (b"X-Frame-Options", b"SAMEORIGIN"),
        (b"Content-Security-Policy", b"default-src 'self'; img-src *"),
        (b"Referrer-Policy", b"no-referrer, strict-origin"),
        (b"Permissions-Policy", b'camera=(), fullscreen=(self "https://a.example")'),
        (b"Strict-Transport-Security", b"max-age=63072000; includeSubDomains; preload"),
    ]


def test_what_is_off_is_not_sent_and_leaves_the_upstreams() -> None:
    upstream = [(b"x-frame-options", b"SAMEORIGIN"), (b"Strict-Transport-Security", b"max-age=1")]
    assert answered(b"https", upstream, hsts="off", frame_options="off") == [*upstream, NOSNIFF]


def test_the_upstreams_are_replaced() -> None:
    upstream = [(b"x-frame-options", b"ALLOWALL"), (b"X-Frame-Options", b"DENY"), (b"ETag", b"1")]
    assert answered(b"http", upstream) == [(b"ETag", b"1"), NOSNIFF, DENY]


def test_without_replace_they_stay() -> None:
    upstream = [(b"x-frame-options", b"SAMEORIGIN"), (b"ETag", b"1")]
    assert answered(b"https", upstream, replace="no") == [*upstream, NOSNIFF, HSTS]


def test_without_replace_plain_http_keeps_what_came() -> None:
    upstream = [(b"Strict-Transport-Security", b"max-age=1")]
    assert answered(b"http", upstream, replace="no") == [*upstream, NOSNIFF, DENY]


def test_a_policy_that_only_reports() -> None:
    report = (b"Content-Security-Policy-Report-Only", b"default-src 'self'")
    options = {"csp": "default-src 'self'", "report_only": "yes"}
    assert answered(b"http", [], **options) == [NOSNIFF, DENY, report]
    # It is no ground to take away one that is enforced.
    enforced = (b"Content-Security-Policy", b"default-src *")
    reported = (b"content-security-policy-report-only", b"img-src *")
    assert answered(b"http", [enforced, reported], **options) == [enforced, NOSNIFF, DENY, report]
    assert answered(b"http", [reported], replace="no", **options) == [reported, NOSNIFF, DENY]


def test_a_policy_that_is_enforced_leaves_one_that_only_reports() -> None:
    reported = (b"Content-Security-Policy-Report-Only", b"img-src *")
    enforced = (b"Content-Security-Policy", b"default-src 'self'")
    both = [(b"content-security-policy", b"default-src *"), reported]
    assert answered(b"http", both, csp="default-src 'self'") == [reported, NOSNIFF, DENY, enforced]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"report_only": "yes"}, "report_only"),
        ({"report_only": "yes", "csp": "default-src *; Sandbox allow-scripts"}, "csp"),
        ({"report_only": "yes", "csp": "default-src *,sandbox"}, "csp"),
    ],
)
def test_what_does_not_fit_together_is_refused_at_load(options: dict[str, str], key: str) -> None:
    with pytest.raises(ConfigMistake) as caught:
        build_filter(security_headers, options)
    assert caught.value.key == key


def test_replies_of_other_filters_have_them() -> None:
    class Refuses:
        def on_request(self, exchange: object) -> Reply:
            return Reply(401)

    played = FilterHarness(build_filter(security_headers), Refuses()).run()
    assert (played.status, played.headers) == (401, [NOSNIFF, DENY])


def test_exchanges_do_not_share_a_list() -> None:
    built = build_filter(security_headers)
    run_filter(built).headers.append((b"X-A", b"1"))
    assert run_filter(built).headers == [NOSNIFF, DENY]


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("hsts", "31536000", "is no directive of Strict-Transport-Security that browsers know"),
        ("hsts", "includeSubDomains", "must have max-age=SECONDS"),
        ("hsts", "max-age=1y", "must have max-age=SECONDS"),
        ("hsts", "max-age=1; max-age=2", "stands twice"),
        ("hsts", "max-age=1; includeSubDomain", "did you mean 'includesubdomains'"),
        ("hsts", "max-age=31536000; preload", "preload needs includeSubDomains"),
        ("hsts", "max-age=60; includeSubDomains; preload", "max-age of at least 31536000"),
        ("frame_options", "ALLOW-FROM https://a.example", "must be DENY, SAMEORIGIN or off"),
        ("referrer_policy", "no-referer", "did you mean 'no-referrer'"),
        ("csp", "defualt-src 'self'", "did you mean 'default-src'"),
        ("csp", "img-src a; img-src b", "stands twice"),
        ("csp", "default-src 'self'\x1b", "must be printable ASCII"),
        ("csp", "default-src b\u00fccher.example", "must be printable ASCII"),
        ("permissions_policy", "camera 'none'", "must be like camera=()"),
        ("permissions_policy", "camera=(self https://a.example)", "must be like camera=()"),
        ("replace", "maybe", "must be yes or no"),
    ],
)
def test_values_are_refused_at_load(option: str, text: str, message: str) -> None:
    with pytest.raises(BadValue) as caught:
        build_filter(security_headers, {option: text})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["camera=()", "camera=*", "camera=self", "a=(self)", 'a=(self "https://a.example" "https://b.example")', "a=(*)"],
)
def test_permissions_policy_takes(text: str) -> None:
    assert (b"Permissions-Policy", text.encode()) in answered(b"http", [], permissions_policy=text)


def test_what_is_shown_loads_again() -> None:
    text = (
        "[listen:http]\nendpoint = tcp:0\n[filter:s]\ntype = security_headers\nhsts = off\nframe_options = off\n"
        "csp =\n    default-src 'self';\n    img-src *\nreplace = no\n"
    )
    types = {"security_headers": security_headers.Options}
    config = parse(text.encode(), "gw.ini", environ={}, filter_types=types)
    assert parse(show(config).encode(), "gw.ini", environ={}, filter_types=types).filters == config.filters
