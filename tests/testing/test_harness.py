"""The kit for authors of filters: what it plays is what the gateway does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater

from gwproxy.config import ConfigMistake
from gwproxy.config.mistakes import BadValue
from gwproxy.config.options import option
from gwproxy.config.values import duration, integer
from gwproxy.errors import BadTarget
from gwproxy.filters.api import Exchange, FilterContext, Outgoing, Principal, Reply
from gwproxy.filters.registry import FilterType
from gwproxy.testing import (
    FakeExchange,
    FilterHarness,
    Played,
    UpstreamResponse,
    build_filter,
    parse_options,
    run_filter,
)


class Watcher:
    """Passes everything and remembers which hooks were called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_request(self, exchange: Exchange) -> None:
        self.calls.append("request")

    def on_attempt(self, exchange: Exchange) -> None:
        self.calls.append("attempt")

    def on_response(self, exchange: Exchange) -> None:
        self.calls.append(f"response {exchange.status}")

    def on_done(self, exchange: Exchange) -> None:
        self.calls.append("done")


class Refuses:
    def on_request(self, exchange: Exchange) -> Reply:
        return Reply(403, [(b"X-Why", b"because")], body=b"no", content_type=b"text/plain")


class Sleeps:
    """Waits a second and passes."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.cancelled = False

    async def on_request(self, exchange: Exchange) -> None:
        try:
            await deferLater(self.clock, 1)
        except CancelledError:
            self.cancelled = True
            raise


# The exchange


def test_an_exchange_has_ordinary_values() -> None:
    exchange: Exchange = FakeExchange()
    assert (exchange.method, exchange.target, exchange.path, exchange.query) == (b"GET", b"/", b"/", b"")
    assert (exchange.scheme, exchange.host, exchange.route_name) == (b"http", b"example.com", "test")
    assert exchange.client_ip == exchange.peer_ip
    assert exchange.principal is None


def test_an_exchange_is_what_a_test_says() -> None:
    alice = Principal("alice")
    exchange = FakeExchange(
        b"PUT",
        b"/a/../%62?c=%64",
        [(b"X-A", b"1"), (b"x-a", b"2")],
        scheme=b"https",
        host=b"api.example.com",
        peer_ip="10.0.0.1",
        client_ip="192.0.2.9",
        principal=alice,
    )
    assert (exchange.method, exchange.path, exchange.query) == (b"PUT", b"/b", b"c=%64")
    assert exchange.header(b"x-a") == b"1"
    assert exchange.header(b"x-b") is None
    assert (exchange.scheme, exchange.host) == (b"https", b"api.example.com")
    assert (exchange.peer_ip, exchange.client_ip, exchange.principal) == ("10.0.0.1", "192.0.2.9", alice)


def test_a_target_that_the_edge_refuses_is_refused() -> None:
    with pytest.raises(BadTarget):
        FakeExchange(target=b"/../etc/passwd")


@pytest.mark.parametrize("early", ["outgoing", "status", "response_headers", "from_upstream"])
def test_what_comes_later_is_not_there_yet(early: str) -> None:
    with pytest.raises(AttributeError):
        getattr(FakeExchange(), early)


def test_a_misspelt_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError):
        FakeExchange().princpal = Principal("x")  # type: ignore[attr-defined]  # what the test is about


# One filter


def test_run_filter_plays_all_hooks() -> None:
    watcher = Watcher()
    played = run_filter(watcher, response=UpstreamResponse(404, [(b"ETag", b"x")], b"body"), attempts=2)
    assert watcher.calls == ["request", "attempt", "attempt", "response 404", "done"]
    assert (played.status, played.headers, played.body) == (404, [(b"ETag", b"x")], b"body")
    assert played.header(b"etag") == b"x"
    assert (len(played.sent), played.waiting, played.reply, played.failure) == (2, False, None, None)
    assert played.exchange.from_upstream


def test_edits_of_the_request_reach_every_attempt_and_edits_of_an_attempt_only_that_one() -> None:
    class Edits:
        def on_request(self, exchange: Exchange) -> None:
            exchange.headers.append((b"X-Request", b"1"))

        def on_attempt(self, exchange: Exchange) -> None:
            exchange.outgoing.headers.append((b"X-Attempt", b"1"))
            exchange.outgoing.target = b"/other"

    played = run_filter(Edits(), FakeExchange(b"POST"), attempts=2)
    fields = [(b"Host", b"example.com"), (b"X-Request", b"1"), (b"X-Attempt", b"1")]
    wanted = (b"POST", b"/other", fields)
    assert [(head.method, head.target, head.headers) for head in played.sent] == [wanted] * 2
    assert isinstance(played.sent[0], Outgoing)


def test_filters_see_the_fields_that_travel_end_to_end() -> None:
    exchange = FakeExchange(
        headers=[
            (b"HOST", b"Example.com:8080"),
            (b"Connection", b"X-A, close"),
            (b"X-A", b"1"),
            (b"TE", b"trailers"),
            (b"Content-Length", b"5"),
            (b"X-Forwarded-For", b"192.0.2.66"),
            (b"X_Kept", b"1"),
            (b"X-B", b"2"),
        ]
    )
    assert exchange.headers == [(b"X_Kept", b"1"), (b"X-B", b"2")]
    assert exchange.header(b"host") == b"Example.com:8080"
    played = run_filter(Watcher(), exchange)
    assert played.sent[0].headers == [(b"Host", b"Example.com:8080"), (b"X_Kept", b"1"), (b"X-B", b"2")]
    assert FakeExchange(host=b"a.example").header(b"host") == b"a.example"


def test_the_response_can_be_edited() -> None:
    class Edits:
        def on_response(self, exchange: Exchange) -> None:
            exchange.status = 299
            exchange.response_headers.append((b"X-A", b"1"))

    headers = [(b"ETag", b"x")]
    played = run_filter(Edits(), response=UpstreamResponse(headers=headers))
    assert (played.status, played.headers) == (299, [(b"ETag", b"x"), (b"X-A", b"1")])
    # What the test gave is its own.
    assert headers == [(b"ETag", b"x")]


def test_the_body_goes_through_transforms_piece_by_piece() -> None:
    class Numbers:
        def __init__(self) -> None:
            self.count = 0

        def data(self, data: bytes) -> bytes:
            self.count += 1
            return b"%d:%b " % (self.count, data)

        def end(self) -> bytes:
            return b"end"

    class Transforms:
        def on_response(self, exchange: Exchange) -> None:
            exchange.add_body_transform(Numbers())

    response = UpstreamResponse(headers=[(b"Content-Length", b"4")], body=[b"ab", b"cd"])
    played = run_filter(Transforms(), response=response)
    assert played.body == b"1:ab 2:cd end"
    # The length becomes unknown.
    assert played.headers == []


def test_a_reply_is_what_the_client_gets() -> None:
    played = run_filter(Refuses())
    assert (played.status, played.body) == (403, b"no")
    assert played.headers == [(b"X-Why", b"because"), (b"Content-Type", b"text/plain")]
    assert played.reply is not None
    assert (played.sent, played.filter_name, played.exchange.from_upstream) == ([], "0", False)


def test_run_filter_raises_what_the_filter_raised() -> None:
    class Broken:
        def on_attempt(self, exchange: Exchange) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_filter(Broken())


def test_run_filter_is_not_for_filters_that_wait() -> None:
    with pytest.raises(AssertionError, match="the filter waits"):
        run_filter(Sleeps(Clock()))


# Several


def test_filters_outside_see_a_reply_and_those_inside_see_nothing() -> None:
    outside, inside = Watcher(), Watcher()
    played = FilterHarness(("outside", outside), ("refuses", Refuses()), ("inside", inside)).run()
    assert outside.calls == ["request", "response 403", "done"]
    assert inside.calls == []
    assert played.filter_name == "refuses"


@pytest.mark.parametrize("hook", ["on_request", "on_attempt", "on_response"])
def test_an_exception_is_a_500_that_the_filters_outside_see(hook: str) -> None:
    def broken(self: object, exchange: Exchange) -> None:
        raise ZeroDivisionError

    outside = Watcher()
    played = FilterHarness(outside, type("Broken", (), {hook: broken})()).run()
    assert played.failure is not None
    assert played.failure.check(ZeroDivisionError)
    assert (played.status, played.filter_name) == (500, "1")
    assert outside.calls[-2:] == ["response 500", "done"]


def test_an_exception_while_the_500_is_made_ends_it() -> None:
    class BrokenTwice(Watcher):
        def on_response(self, exchange: Exchange) -> None:
            raise KeyError

    class Broken:
        def on_request(self, exchange: Exchange) -> None:
            raise ZeroDivisionError

    outside = BrokenTwice()
    played = FilterHarness(outside, Broken()).run()
    assert played.failure is not None
    assert played.failure.check(ZeroDivisionError)
    assert (played.status, outside.calls) == (500, ["request", "done"])


def waiting(watcher: Watcher) -> tuple[FilterHarness, Sleeps, Played]:
    clock = Clock()
    sleeps = Sleeps(clock)
    harness = FilterHarness(watcher, sleeps, clock=clock)
    return harness, sleeps, harness.run(response=UpstreamResponse(204))


def test_a_filter_waits_until_the_clock_advances() -> None:
    watcher = Watcher()
    harness, _, played = waiting(watcher)
    assert (played.waiting, played.status, played.filter_name) == (True, None, "1")
    harness.clock.advance(1)
    assert (played.waiting, played.status, played.filter_name) == (False, 204, None)
    assert watcher.calls == ["request", "attempt", "response 204", "done"]


def test_a_client_that_goes_away_cancels_what_is_waited_for() -> None:
    watcher = Watcher()
    _, sleeps, played = waiting(watcher)
    played.disconnect()
    assert sleeps.cancelled
    assert (played.waiting, played.disconnected, played.status) == (False, True, None)
    assert watcher.calls == ["request", "done"]
    with pytest.raises(AssertionError, match="no filter is waiting"):
        played.disconnect()


def test_a_failure_that_comes_late_is_a_500() -> None:
    answer: Deferred[None] = Deferred()

    class Waits:
        def on_request(self, exchange: Exchange) -> Deferred[None]:
            return answer

    played = FilterHarness(Waits()).run()
    answer.errback(ZeroDivisionError())
    assert (played.waiting, played.status) == (False, 500)
    assert played.failure is not None


# Options


@attrs.frozen
class Options:
    limit: int = option(integer(1), doc="A number.")
    class_: float = option(duration, default=1.0, doc="A duration.")

    def check_options(self) -> None:
        if self.limit == 13:
            raise ConfigMistake("unlucky", "limit")


def factory(options: Options, context: FilterContext) -> Watcher:
    watcher = Watcher()
    watcher.calls = context.keep(("calls", context.name), list)
    watcher.calls.append(f"{context.name} {options.limit} {context.reactor.seconds()}")
    return watcher


MODULE = SimpleNamespace(Options=Options, factory=factory)


def test_options_are_texts_as_in_a_file() -> None:
    assert parse_options(Options, {"limit": "5", "class": "250ms"}) == Options(limit=5, class_=0.25)
    with pytest.raises(BadValue):
        parse_options(Options, {"limit": "0"})
    with pytest.raises(KeyError):
        parse_options(Options, {"limit": "1", "limmit": "1"})
    with pytest.raises(ConfigMistake):
        parse_options(Options, {"limit": "13"})


def test_a_filter_is_built_as_from_a_section() -> None:
    clock = Clock()
    clock.advance(3)
    kept: dict[tuple[object, ...], Any] = {}
    first = build_filter(MODULE, {"limit": "5"}, name="mine", clock=clock, kept=kept)
    second = build_filter(MODULE, {"limit": "6"}, name="mine", clock=clock, kept=kept)
    assert first.calls is second.calls
    assert first.calls == ["mine 5 3.0", "mine 6 3.0"]
    assert build_filter(MODULE, {"limit": "7"}).calls == ["test 7 0.0"]


def test_an_installed_type_is_built_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gwproxy.testing.surroundings.filter_types", lambda: {"kind": FilterType("kind", "d 1", Options, factory)}
    )
    assert build_filter("kind", {"limit": "5"}).calls == ["test 5 0.0"]
    with pytest.raises(KeyError):
        build_filter("other")
