"""Origins: which texts name one, and which requests come from one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.config.mistakes import BadValue
from gwproxy.filters.origins import Origins, is_own_origin, origin_of_url, origins, parse_origin
from gwproxy.testing import FakeExchange


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("HTTPS://App.Example.COM", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("https://app.example.com:08443", "https://app.example.com:8443"),
        ("https://app.example.com.", "https://app.example.com."),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("https://[2001:DB8:0:0:1::]", "https://[2001:db8:0:0:1::]"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://*.example.com", "https://*.example.com"),
        ("https://*.example.com:443", "https://*.example.com"),
        ("https://*.example.com:8443", "https://*.example.com:8443"),
        ("http://*.localhost:3000", "http://*.localhost:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
    ],
)
def test_they_are_read_as_browsers_write_them(text: str, origin: str) -> None:
    assert parse_origin(text) == origin
    # What `check --show` prints loads again.
    assert parse_origin(origin) == origin


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("null", "cannot be allowed"),
        ("NULL", "cannot be allowed"),
        ("app.example.com", "must be scheme://host"),
        ("//app.example.com", "must be scheme://host"),
        ("https://", "must be scheme://host"),
        ("https://app.example.com/", "without a slash at the end"),
        ("https://app.example.com/app", "without a path"),
        ("https://app.example.com?x", "without a path"),
        ("https://app.example.com#x", "without a path"),
        ("https://user@app.example.com", "no user or password"),
        ("https://app.example.com:", "must be scheme://host"),
        ("https://app.example.com:0", "port that is none"),
        ("https://app.example.com:65536", "port that is none"),
        ("https://app.example.com:*", "must be scheme://host"),
        ("https://app example.com", "must be scheme://host"),
        ("https://app..example.com", "no name"),
        ("https://.example.com", "no name"),
        ("https://b\u00fccher.example", "begins with xn--"),
        ("https://\u212aelvin.example", "begins with xn--"),
        ("https://127.1", "no IPv4 address"),
        ("https://example.0x7f", "no IPv4 address"),
        ("https://[::1", "must be scheme://host"),
        ("https://[1::2::3]", "no IPv6 address"),
        ("https://[::ffff:1.2.3.4]", "IPv4 address written as"),
        ("https://*", "whole labels at the front"),
        ("https://*example.com", "whole labels at the front"),
        ("https://*.*.example.com", "whole labels at the front"),
        ("https://app.*.com", "whole labels at the front"),
        ("https://app.example.*", "whole labels at the front"),
        ("https://*.com", "whole top-level domain"),
        ("https://*.com.", "whole top-level domain"),
        ("https://*.0.0.1", "no IPv4 address"),
        ("https://*.10.0.0.1", "stands before names"),
        ("*://example.com", "list http:// and https:// apart"),
        ("chrome-extension://*.abc.def", "http and https only"),
        ("file:///x", "without a path"),
        ("file://x", "pages from files send null"),
        ("wss://app.example.com", "also for its WebSockets"),
    ],
)
def test_what_names_no_origin(text: str, message: str) -> None:
    with pytest.raises(BadValue) as caught:
        parse_origin(text)
    assert message in str(caught.value)


def test_a_list_of_them() -> None:
    assert origins("*") == ("*",)
    assert origins("https://a.test, https://b.test:8443") == ("https://a.test", "https://b.test:8443")
    with pytest.raises(BadValue, match="stands twice"):
        origins("https://a.test, https://A.test:443")


# SCORECARD E6: what looks like https://app.example.com or what is below example.com, and is neither.
LOOK_ALIKES = [
    b"",
    b"null",
    b"https://",
    b"https://.example.com",
    b"https://example.com",
    b"https://evilexample.com",
    b"https://example.com.evil",
    b"https://app.example.com.evil",
    b"https://app.example.comevil",
    b"https://evil/.example.com",
    b"https://evil#.example.com",
    b"https://evil?.example.com",
    b"https://evil\\.example.com",
    b"https://evil:80.example.com",
    b"https://evil%2f.example.com",
    b"https://evil..example.com",
    b"https://-..example.com",
    b"https://a@b.example.com",
    b"https://user:pw@app.example.com",
    b"https://evil.com,https://app.example.com",
    b"https://evil.com https://app.example.com",
    b"https://app.example.com https://evil.com",
    b"https://evil\n.example.com",
    b"https://app.example.com\n",
    b" https://app.example.com",
    b"https://appxexample.com",
    b"https://app.examplexcom",
    b"https://a.appxexample.com",
    b"https://a.example.com:8443",
    b"https://app.example.com:443",
    b"https://app.example.com:8443",
    b"https://app.example.com:",
    b"http://app.example.com",
    b"http://a.example.com",
    b"wss://app.example.com",
    b"https:app.example.com",
    b"https:/app.example.com",
    b"HTTPS://app.example.com",
    b"https://APP.example.com",
    b"https://a.Example.com",
    b"https://app.example.com.",
    b"https://a.example.com.",
    b"https://app.example.com/",
    b"https://a.example.com/",
    b"https://b\xc3\xbccher.example.com",
    b"https://[::1].example.com",
    b"https://*.example.com",
]
KNOWN = Origins(["https://app.example.com", "https://*.example.com", "https://example.org:8443"])


@pytest.mark.parametrize("origin", LOOK_ALIKES)
def test_look_alikes_are_not_in(origin: bytes) -> None:
    assert origin not in KNOWN


@pytest.mark.parametrize(
    "origin",
    [
        b"https://app.example.com",
        b"https://a.example.com",
        b"https://a.b-c.d_e.example.com",
        b"https://xn--bcher-kva.example.com",
        b"https://1.example.com",
        b"https://example.org:8443",
    ],
)
def test_what_is_in(origin: bytes) -> None:
    assert origin in KNOWN


def test_a_wildcard_has_the_port_that_is_written() -> None:
    only = Origins(["https://*.example.com:8443"])
    assert b"https://a.example.com:8443" in only
    assert b"https://a.example.com" not in only
    assert b"https://a.example.com:84430" not in only
    assert only.exact == frozenset()


def test_listed_exactly_the_unusual_is_in() -> None:
    assert b"https://app.example.com." in Origins(["https://app.example.com."])
    assert b"http://app.example.com" in Origins(["http://app.example.com"])


@given(st.text(alphabet="aZ0-_.:/@*\\%#? \n\u00fc", max_size=12), st.sampled_from(["", ".", "/", ":", "@"]))
def test_what_a_wildcard_takes_is_whole_labels(before: str, between: str) -> None:
    host = before + between + ".example.com"
    if f"https://{host}".encode() in Origins(["https://*.example.com"]):
        labels = host.split(".")
        assert len(labels) > 2
        assert all(label and all(sign in "a0-_" for sign in label) for label in labels[:-2])


def test_a_long_origin_is_judged_in_time_that_grows_with_its_length() -> None:
    """A pattern that tries again from every label would not return."""
    assert b"https://" + b"a." * 16_000 + b"b" not in KNOWN


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "own"),
    [
        (b"https", b"example.com", b"https://example.com", True),
        (b"https", b"Example.com:443", b"https://example.com", True),
        (b"https", b"example.com:8443", b"https://example.com:8443", True),
        (b"http", b"example.com:80", b"http://example.com", True),
        (b"http", b"[::1]:8080", b"http://[::1]:8080", True),
        (b"https", b"example.com", b"http://example.com", False),
        (b"http", b"example.com", b"https://example.com", False),
        (b"https", b"example.com:8443", b"https://example.com", False),
        (b"https", b"example.com", b"https://example.com:8443", False),
        (b"http", b"example.com:443", b"http://example.com", False),
        (b"https", b"example.com", b"https://www.example.com", False),
        (b"https", b"example.com", b"null", False),
    ],
)
def test_a_requests_own_origin(scheme: bytes, host: bytes, origin: bytes, own: bool) -> None:
    exchange = FakeExchange(headers=[(b"Host", host)], scheme=scheme)
    assert is_own_origin(exchange, origin) is own


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        (b"https://app.example.com/page?x", b"https://app.example.com"),
        (b"https://app.example.com:8443/", b"https://app.example.com:8443"),
        (b"https://app.example.com", b"https://app.example.com"),
        (b"https://app.example.com?x", b"https://app.example.com"),
        (b"https://app.example.com@evil/", b"https://app.example.com@evil"),
        (b"https://evil\\app.example.com/", b"https://evil\\app.example.com"),
        (b"about:blank", None),
        (b"https:///x", None),
        (b"/page", None),
        (b"", None),
    ],
)
def test_the_origin_of_a_referer(url: bytes, origin: bytes | None) -> None:
    assert origin_of_url(url) == origin
