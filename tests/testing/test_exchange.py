"""The played exchange: what filters see of a request is what they see in the gateway."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from gwproxy.errors import BadTarget, BodyTooLarge
from gwproxy.filters.api import Exchange, Principal, Reply
from gwproxy.proxy.facts import ExchangeFacts
from gwproxy.testing import FakeExchange, FilterHarness


def outcome(deferred: Deferred[Any]) -> Any:
    found: list[Any] = []
    deferred.addCallbacks(found.append, lambda failure: found.append(failure.value))
    return found[0] if found else None


def test_it_is_an_exchange() -> None:
    exchange: Exchange = FakeExchange()  # the type checker's judgement
    seen = {name for name in dir(Exchange) if not name.startswith("_")} | set(Exchange.__annotations__)
    later = {"outgoing", "status", "response_headers", "from_upstream"}
    assert {name for name in seen if not hasattr(exchange, name)} == later
    assert {name for name in seen - later if not hasattr(ExchangeFacts, name)} <= {
        "add_body_transform",
        "limit_body",
        "read_body",
    }


def test_what_it_is_without_anything_said() -> None:
    exchange = FakeExchange()
    assert (exchange.method, exchange.target, exchange.path, exchange.query) == (b"GET", b"/", b"/", b"")
    assert (exchange.scheme, exchange.host, exchange.header(b"host")) == (b"http", b"example.com", b"example.com")
    assert (exchange.peer_ip, exchange.client_ip) == ("192.0.2.1", "192.0.2.1")
    assert (exchange.headers, exchange.principal, exchange.route_name) == ([], None, "test")
    assert (exchange.has_body, exchange.content_length) == (False, None)


def test_the_target_is_judged_as_at_the_edge() -> None:
    exchange = FakeExchange(target=b"/a/../b%41?q=%41")
    assert (exchange.path, exchange.query, exchange.target) == (b"/bA", b"q=%41", b"/a/../b%41?q=%41")
    with pytest.raises(BadTarget):
        FakeExchange(target=b"/../a")


def test_headers_are_those_that_travel_end_to_end() -> None:
    received = [
        (b"Host", b"A.test:8080"),
        (b"Connection", b"close, X-Hop"),
        (b"X-Hop", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Length", b"3"),
        (b"X-Forwarded-For", b"192.0.2.66"),
        (b"Cookie", b"a=b"),
        (b"x_user", b"me"),
    ]
    exchange = FakeExchange(headers=received)
    assert exchange.headers == [(b"Cookie", b"a=b"), (b"x_user", b"me")]
    assert exchange.header(b"host") == b"A.test:8080"
    assert exchange.header(b"cookie") == b"a=b"
    assert exchange.header(b"x-hop") is None
    exchange.headers.append((b"Cookie", b"c=d"))
    assert len(received) == 8


def test_who_it_is_from() -> None:
    exchange = FakeExchange(client_ip="", principal=Principal("me"))
    assert (exchange.peer_ip, exchange.client_ip) == ("192.0.2.1", "")
    assert exchange.principal == Principal("me")


def test_the_response_is_not_there_before_its_time() -> None:
    exchange = FakeExchange()
    for name in ("outgoing", "status", "response_headers", "from_upstream"):
        with pytest.raises(AttributeError):
            getattr(exchange, name)


@pytest.mark.parametrize(("chunked", "length"), [(False, 4), (True, None)], ids=["counted", "chunked"])
def test_a_body_is_read_at_once(chunked: bool, length: int | None) -> None:
    exchange = FakeExchange(b"POST", body=b"body", chunked=chunked)
    assert (exchange.has_body, exchange.content_length) == (True, length)
    assert outcome(exchange.read_body(4)) == b"body"
    assert isinstance(outcome(exchange.read_body(3)), BodyTooLarge)
    assert outcome(FakeExchange().read_body(0)) == b""


def test_or_when_the_test_likes() -> None:
    exchange = FakeExchange(b"POST", body=b"body")
    exchange.reading = Deferred()
    assert outcome(exchange.read_body(1)) is None
    exchange.reading.callback(b"x")


class Bounds:
    def __init__(self, answer: Reply | None) -> None:
        self.asked: list[Any] = []
        self._answer = answer

    def on_request(self, exchange: Exchange) -> Reply | None:
        return exchange.limit_body(3, self._exceeded)

    def _exceeded(self, exchange: Exchange) -> Reply | None:
        self.asked.append(exchange)
        return self._answer


def test_a_bound_is_judged_on_the_way_upstream() -> None:
    bounds = Bounds(Reply(413))
    assert FilterHarness(bounds).run(FakeExchange(b"POST", body=b"abc")).status == 200
    exchange = FakeExchange(b"POST", body=b"abcd")
    played = FilterHarness(bounds).run(exchange)
    assert (played.status, len(played.sent), bounds.asked) == (413, 1, [exchange])


def test_a_bound_that_lets_pass() -> None:
    assert FilterHarness(Bounds(None), Bounds(None)).run(FakeExchange(b"POST", body=b"abcd")).status == 200


def test_a_bound_on_what_was_read_is_judged_at_once() -> None:
    class Reads:
        def on_request(self, exchange: Exchange) -> Any:
            return exchange.read_body(100).addCallback(lambda body: None)

    played = FilterHarness(Reads(), Bounds(Reply(413))).run(FakeExchange(b"POST", body=b"abcd"))
    assert (played.status, played.sent) == (413, [])
