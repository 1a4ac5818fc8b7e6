"""What filters have around them in tests: the same kinds of things as in the gateway, under the test's control."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError

from gwproxy.calls import Answer, CallFailed
from gwproxy.config.mistakes import ConfigMistake
from gwproxy.filters.api import Exchange, FilterContext, Reply
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, mode_option
from gwproxy.testing import FakeCalls, FakeExchange, FilterHarness, Surroundings, build_filter, run_filter

URL = "https://idp.test/keys"


@attrs.frozen
class Options:
    mode: Mode = mode_option()


class Denies:
    """Denies all that is not `GET`, and could not tell of `OPTIONS`."""

    def __init__(self, options: Options, context: FilterContext) -> None:
        self.decisions = Decisions(context, options.mode, Event.FORBIDDEN)

    def on_request(self, exchange: Exchange) -> Reply | None:
        if exchange.method == b"OPTIONS":
            self.decisions.could_not(exchange, Denial.STORE_UNAVAILABLE)
            return None
        if exchange.method != b"GET":
            return self.decisions.deny(exchange, Denial.IP_DENIED, 403)
        self.decisions.allowed.value += 1
        return None


DENIES = SimpleNamespace(Options=Options, factory=Denies)


def test_decisions_and_events() -> None:
    around = Surroundings()
    enforcing = build_filter(DENIES, name="a", around=around)
    shadow = build_filter(DENIES, {"mode": "shadow"}, name="b", around=around)
    for method in (b"GET", b"PUT", b"PUT", b"OPTIONS"):
        run_filter(enforcing, FakeExchange(method))
    assert run_filter(shadow, FakeExchange(b"PUT")).status == 200
    assert around.decisions("a") == {("allow", "enforce"): 1, ("deny", "enforce"): 2, ("error", "enforce"): 1}
    assert around.decisions("b") == {("deny", "shadow"): 1}
    assert around.decisions() == {}
    assert around.events[2:] == [
        {
            "event": "check_failed",
            "filter": "a",
            "reason": "store_unavailable",
            "mode": "enforce",
            "client": "192.0.2.1",
        },
        {"event": "forbidden", "filter": "b", "reason": "ip_denied", "mode": "shadow", "client": "192.0.2.1"},
    ]


def test_nothing_is_decided_where_nothing_counts() -> None:
    assert Surroundings().decisions() == {}


def test_the_date_goes_with_the_clock() -> None:
    around = Surroundings(epoch=1000.0)
    context = around.context()
    around.clock.advance(5)
    assert (context.reactor.seconds(), context.wall(), around.wall()) == (5.0, 1005.0, 1005.0)


class Work:
    def __init__(self) -> None:
        self.did: list[str] = []

    def start(self) -> None:
        self.did.append("start")

    def stop(self) -> None:
        self.did.append("stop")


def test_what_is_kept_outlives_a_reload_and_is_started_by_the_test() -> None:
    around = Surroundings()
    first = around.context("a").keep(("work",), Work)
    assert around.context("a").keep(("work",), Work) is first
    assert first.did == []
    around.keeper.start()
    around.keeper.stop()
    assert first.did == ["start", "stop"]


def test_stores_a_folder_and_threads(tmp_path: Path) -> None:
    store: Any = object()
    context = Surroundings(stores={"shared": store}, state_dir=tmp_path).context("mine")
    assert (context.name, context.store("shared"), context.state_dir) == ("mine", store, tmp_path)
    with pytest.raises(ConfigMistake, match="shared"):
        context.store("share")
    got: list[int] = []
    context.in_thread(max, 1, 2).addCallback(got.append)
    assert got == [2]


# Calls


def answer(body: bytes) -> Answer:
    return Answer(200, [], body)


def test_calls_are_taken_down_and_answered_by_the_test() -> None:
    calls = FakeCalls()
    got: list[Any] = []
    calls.request("POST", URL, headers=[(b"A", b"b")], body=b"x").addCallback(got.append)
    [asked] = calls.asked
    assert (asked.method, asked.url, asked.headers, asked.body) == ("POST", URL, [(b"A", b"b")], b"x")
    assert got == []
    asked.answered.callback(answer(b"1"))
    assert got == [answer(b"1")]


def test_or_at_once_in_turn() -> None:
    failed = CallFailed("down")
    calls = FakeCalls({URL: [answer(b"1"), failed]})
    got: list[Any] = []
    for _ in range(3):
        calls.request("GET", URL).addCallbacks(got.append, lambda failure: got.append(failure.value))
    assert got == [answer(b"1"), failed]  # the third waits
    assert len(calls.asked) == 3


def test_a_call_that_nobody_wants_any_more() -> None:
    calls = FakeCalls()
    waiting = calls.request("GET", URL)
    waiting.addErrback(lambda failure: failure.trap(CancelledError))
    waiting.cancel()
    assert calls.asked[0].cancelled


def test_a_filter_that_calls_in_a_harness() -> None:
    class Asks:
        def __init__(self, options: Options, context: FilterContext) -> None:
            self._calls = context.calls

        async def on_request(self, exchange: Exchange) -> Reply | None:
            reply = await self._calls.request("GET", URL)
            return None if reply.body == b"yes" else Reply(403)

    calls = FakeCalls()
    around = Surroundings(calls=calls)
    asks = build_filter(SimpleNamespace(Options=Options, factory=Asks), around=around)
    played = FilterHarness(asks, clock=around.clock).run()
    assert played.waiting
    calls.asked[0].answered.callback(answer(b"no"))
    assert played.status == 403
