"""A request that is played, and of which nothing leaves."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from gwproxy.commands.rehearsal import Rehearsal, Sent, UnansweredCalls, Verdict
from gwproxy.config import parse
from gwproxy.errors import BadHost, BodyTooLarge, GatewayError
from gwproxy.filters.registry import filter_types
from gwproxy.http.request import HeadLimits
from gwproxy.store.redis import Store

TEXT = """\
[listen:a]
endpoint = tcp:0
[upstream:users]
servers = http://192.0.2.1:80
[route:r]
upstream = users
host_header = upstream
max_body = 10
filters = {filters}
[filter:who]
type = require
scopes = x
[filter:shadow]
type = require
scopes = x
mode = shadow
[filter:tidy]
type = headers
request_set = X-A: $client_ip
[filter:tokens]
type = introspection
url = https://idp.example.com/introspect?secret=x
client_id = gateway
client_secret = sesame
"""
HEAD = b"GET /x?y=1 HTTP/1.1\r\nHost: a\r\n%b\r\n"


def receive(text: str, fields: bytes) -> tuple[Rehearsal, Any, Any]:
    types = {name: each.options_class for name, each in filter_types().items()}
    rehearsal = Rehearsal(parse(text.encode(), "gw.ini", environ={}, filter_types=types))
    _, client, received = rehearsal.receive(HEAD % fields, HeadLimits(), "192.0.2.9", 80)
    return rehearsal, client, received


def play(filters: str, fields: bytes = b"") -> tuple[list[Verdict], Any, Any, Rehearsal]:
    rehearsal, client, received = receive(TEXT.format(filters=filters), fields)
    [route] = rehearsal.gateway.routes
    exchange = rehearsal.exchange(received, client, route)
    return list(rehearsal.ask_filters(exchange, client)), exchange, route, rehearsal


def test_verdicts_in_order() -> None:
    verdicts, _, _, _ = play("shadow, tidy, who, tokens")
    assert verdicts == [
        Verdict("shadow", "require", "shadow: would have answered 401 not_logged_in", True),
        Verdict("tidy", "headers", "passes", True),
        Verdict("who", "require", "would answer 401 not_logged_in", False),
        Verdict("tokens", "introspection", "is not asked", False),
    ]


def test_what_would_be_sent() -> None:
    verdicts, exchange, route, rehearsal = play("tidy", b"Accept: */*\r\nX-A: mine\r\nContent-Length: 3\r\n")
    assert all(each.passed for each in verdicts)
    sent = rehearsal.forward(exchange, route)
    assert isinstance(sent, Sent)
    assert (sent.server.label, sent.method, sent.target) == ("192.0.2.1:80", b"GET", b"/x?y=1")
    assert sent.headers == [(b"Host", b"192.0.2.1"), (b"Accept", b"*/*"), (b"X-A", b"192.0.2.9")]
    assert b"X-Forwarded-For: 192.0.2.9\r\n" in sent.hop
    assert sent.hop.endswith(b"Content-Length: 3\r\n")


def test_what_would_be_refused() -> None:
    with pytest.raises(BodyTooLarge):
        _, exchange, route, rehearsal = play("tidy", b"Content-Length: 11\r\n")
        rehearsal.forward(exchange, route)
    with pytest.raises(BadHost):
        play("tidy", b"Host: b\r\n")
    with pytest.raises(GatewayError):
        play("tidy", b"Content-Length: 1\r\nContent-Length: 2\r\n")


def test_whom_a_filter_would_ask() -> None:
    verdicts, _, _, _ = play("tokens, who", b"Authorization: Bearer abc\r\n")
    assert [each.words for each in verdicts] == [
        "would wait, because it asks POST https://idp.example.com/introspect?secret=x",
        "is not asked",
    ]


def test_calls_are_taken_down_and_never_answered() -> None:
    calls = UnansweredCalls()
    answer = calls.request("GET", "https://example.com/", timeout=1.0)
    assert not answer.called
    assert calls.asked == [("GET", "https://example.com/")]


SECRET = "0123456789abcdef" * 2
TWO_LOGINS = f"""
[filter:first]
type = jwt
algorithms = HS256
secret = {SECRET}
claims_to_headers = sub: X-User-Id
[filter:second]
type = jwt
algorithms = HS256
secret = {SECRET}
header = X-Other-Token
optional = yes
claims_to_headers = sub: X-User-Id
"""


def test_what_one_filter_says_of_the_client_another_leaves() -> None:
    token = jwt.encode({"sub": "ann", "exp": 4_102_444_800}, SECRET, "HS256").encode()
    fields = b"Authorization: Bearer %b\r\nX-User-Id: root\r\n" % token
    rehearsal, client, received = receive(TEXT.format(filters="first, second") + TWO_LOGINS, fields)
    [route] = rehearsal.gateway.routes
    exchange = rehearsal.exchange(received, client, route)
    assert [each.words for each in rehearsal.ask_filters(exchange, client)] == ["passes", "passes"]
    assert [value for name, value in exchange.headers if name == b"X-User-Id"] == [b"ann"]


def test_a_filter_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from gwproxy.filters.require import RequireFilter

    def fail(*arguments: Any) -> None:
        raise KeyError("secret")

    monkeypatch.setattr(RequireFilter, "on_request", fail)
    verdicts, _, _, _ = play("who")
    assert [(each.words, each.passed) for each in verdicts] == [("fails, which is a 500: KeyError", False)]


def test_the_twin_of_a_filter_in_shadow_mode_leaves_no_trace() -> None:
    """The twin sets a bound on the body, and the filter itself does."""
    text = TEXT.format(filters="size") + "[filter:size]\ntype = body_limit\nmax = 5\nmode = shadow\n"
    rehearsal, client, received = receive(text, b"Transfer-Encoding: chunked\r\n")
    [route] = rehearsal.gateway.routes
    exchange = rehearsal.exchange(received, client, route)
    assert [each.words for each in rehearsal.ask_filters(exchange, client)] == ["passes"]
    assert exchange.body_limits is not None
    assert len(exchange.body_limits) == 1


def test_stores_are_not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(Store, "start", started.append)
    limit = "[filter:rate]\ntype = rate_limit\nrate = 1/s\nstore = shared\n"
    receive(TEXT.format(filters="rate") + limit + "[store:shared]\nurl = redis://127.0.0.1:1/0\n", b"")
    assert started == []
