"""The chain: order, depth, replies, waiting, cancelling, failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogEvent
from twisted.python.failure import Failure

from gwproxy.filters.api import Reply
from gwproxy.filters.chain import FilterChain
from gwproxy.testing import FakeExchange

STOP = Reply(403)


class Recorder:
    """A filter with all hooks; writes down when each is called."""

    def __init__(self, name: str, calls: list[str], verdict: Callable[[], Any] = lambda: None) -> None:
        self.name = name
        self.calls = calls
        self.verdict = verdict

    def on_request(self, exchange: object) -> Any:
        self.calls.append(f"request {self.name}")
        return self.verdict()

    def on_attempt(self, exchange: object) -> None:
        self.calls.append(f"attempt {self.name}")

    def on_response(self, exchange: object) -> None:
        self.calls.append(f"response {self.name}")

    def on_done(self, exchange: object) -> None:
        self.calls.append(f"done {self.name}")


def raising(error: Exception) -> Callable[[], Any]:
    def verdict() -> None:
        raise error

    return verdict


def chain_of(calls: list[str], **verdicts: Callable[[], Any] | None) -> FilterChain:
    """Recorders by name; None as a verdict lets pass."""
    return FilterChain([(name, Recorder(name, calls, verdict or (lambda: None))) for name, verdict in verdicts.items()])


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def exchange() -> FakeExchange:
    return FakeExchange()


def test_hooks_run_in_order_and_back(calls: list[str], exchange: FakeExchange) -> None:
    chain = chain_of(calls, a=None, b=None)
    assert chain.run_request(exchange) is None
    chain.run_attempt(exchange)
    chain.run_attempt(exchange)
    chain.run_response(exchange)
    chain.run_done(exchange)
    assert calls == [
        *("request a", "request b"),
        *("attempt a", "attempt b"),
        *("attempt a", "attempt b"),
        *("response b", "response a"),
        *("done b", "done a"),
    ]
    assert (exchange.filter_depth, exchange.filters_entered, exchange.filter_name) == (2, 2, None)


def test_reply_ends_the_request_and_only_filters_outside_see_the_response(
    calls: list[str], exchange: FakeExchange
) -> None:
    chain = chain_of(calls, a=None, b=lambda: STOP, c=None)
    assert chain.run_request(exchange) is STOP
    assert (exchange.filter_depth, exchange.filters_entered, exchange.filter_name) == (1, 2, "b")
    chain.run_response(exchange)
    chain.run_done(exchange)
    assert calls == ["request a", "request b", "response a", "done b", "done a"]


def test_filters_without_on_request_are_passed(calls: list[str], exchange: FakeExchange) -> None:
    class Silent:
        def on_response(self, exchange: object) -> None:
            calls.append("response silent")

        def on_done(self, exchange: object) -> None:
            calls.append("done silent")

    chain = FilterChain(
        [("outside", Silent()), ("stops", Recorder("stops", calls, lambda: STOP)), ("inside", Silent())]
    )
    assert chain.run_request(exchange) is STOP
    chain.run_response(exchange)
    chain.run_done(exchange)
    assert calls == ["request stops", "response silent", "done stops", "done silent"]


def test_nothing_runs_for_an_exchange_that_never_came_to_the_chain(calls: list[str], exchange: FakeExchange) -> None:
    chain = chain_of(calls, a=None)
    chain.run_response(exchange)
    chain.run_done(exchange)
    assert calls == []


def test_empty_chain(exchange: FakeExchange) -> None:
    chain = FilterChain([])
    assert chain.empty
    assert not (chain.has_attempt or chain.has_response or chain.has_done)
    assert chain.run_request(exchange) is None
    chain.run_attempt(exchange)
    chain.run_response(exchange)
    chain.run_done(exchange)


def test_flags_tell_which_hooks_there_are() -> None:
    class OnlyResponse:
        def on_response(self, exchange: object) -> None: ...

    chain = FilterChain([("r", OnlyResponse())])
    assert (chain.empty, chain.has_attempt, chain.has_response, chain.has_done) == (False, False, True, False)


def test_exception_in_on_request_is_raised_with_the_filters_name(calls: list[str], exchange: FakeExchange) -> None:
    chain = chain_of(calls, a=None, b=raising(ZeroDivisionError()), c=None)
    with pytest.raises(ZeroDivisionError):
        chain.run_request(exchange)
    assert exchange.filter_name == "b"
    chain.run_response(exchange)
    chain.run_done(exchange)
    assert calls == ["request a", "request b", "response a", "done b", "done a"]


def test_exception_in_on_attempt_is_raised_with_the_filters_name(exchange: FakeExchange) -> None:
    class Broken:
        def on_attempt(self, exchange: object) -> None:
            raise ZeroDivisionError

    chain = FilterChain([("first", Recorder("first", [])), ("broken", Broken()), ("last", Recorder("last", []))])
    assert chain.run_request(exchange) is None
    with pytest.raises(ZeroDivisionError):
        chain.run_attempt(exchange)
    assert exchange.filter_name == "broken"


def test_after_an_exception_in_on_response_the_error_page_goes_through_the_filters_outside(
    calls: list[str], exchange: FakeExchange
) -> None:
    class Broken:
        def on_response(self, exchange: object) -> None:
            calls.append("response broken")
            raise ZeroDivisionError

    chain = FilterChain([("a", Recorder("a", calls)), ("broken", Broken()), ("b", Recorder("b", calls))])
    assert chain.run_request(exchange) is None
    with pytest.raises(ZeroDivisionError):
        chain.run_response(exchange)
    assert exchange.filter_name == "broken"
    chain.run_response(exchange)
    chain.run_done(exchange)
    assert calls[2:] == ["response b", "response broken", "response a", "done b", "done a"]


def test_one_failing_on_done_does_not_stop_the_others(
    calls: list[str], exchange: FakeExchange, logged_errors: list[LogEvent]
) -> None:
    class Broken:
        def on_done(self, exchange: object) -> None:
            raise ZeroDivisionError

    chain = FilterChain([("a", Recorder("a", calls)), ("broken", Broken())])
    assert chain.run_request(exchange) is None
    chain.run_done(exchange)
    assert calls == ["request a", "done a"]
    [event] = logged_errors
    logged_errors.clear()
    assert event["filter"] == "broken"
    assert event["log_failure"].check(ZeroDivisionError)


# Waiting


def test_a_waiting_filter_resumes_the_rest(calls: list[str], exchange: FakeExchange) -> None:
    waits: Deferred[None] = Deferred()
    chain = chain_of(calls, a=None, b=lambda: waits, c=None)
    outcome = chain.run_request(exchange)
    assert isinstance(outcome, Deferred)
    assert (exchange.filter_depth, exchange.filters_entered, exchange.filter_name) == (1, 2, "b")
    assert calls == ["request a", "request b"]
    results: list[object] = []
    outcome.addCallback(results.append)
    assert results == []
    waits.callback(None)
    assert results == [None]
    assert calls == ["request a", "request b", "request c"]
    assert (exchange.filter_depth, exchange.filters_entered, exchange.filter_name) == (3, 3, None)


def test_a_waiting_filter_may_reply(calls: list[str], exchange: FakeExchange) -> None:
    waits: Deferred[Reply] = Deferred()
    chain = chain_of(calls, a=None, b=lambda: waits, c=None)
    outcome = chain.run_request(exchange)
    assert isinstance(outcome, Deferred)
    waits.callback(STOP)
    assert outcome.result is STOP
    assert exchange.filter_name == "b"
    chain.run_response(exchange)
    assert calls == ["request a", "request b", "response a"]


def test_a_filter_behind_one_that_waited_may_reply_at_once(calls: list[str], exchange: FakeExchange) -> None:
    waits: Deferred[None] = Deferred()
    chain = chain_of(calls, a=lambda: waits, b=lambda: STOP)
    outcome = chain.run_request(exchange)
    assert isinstance(outcome, Deferred)
    waits.callback(None)
    assert outcome.result is STOP
    assert (exchange.filter_depth, exchange.filters_entered, exchange.filter_name) == (1, 2, "b")


def test_several_may_wait_one_after_the_other(calls: list[str], exchange: FakeExchange) -> None:
    first: Deferred[None] = Deferred()
    second: Deferred[Reply] = Deferred()
    chain = chain_of(calls, a=lambda: first, b=lambda: second)
    outcome = chain.run_request(exchange)
    assert isinstance(outcome, Deferred)
    first.callback(None)
    assert not outcome.called
    assert exchange.filter_name == "b"
    second.callback(STOP)
    assert outcome.result is STOP


def test_a_coroutine_waits(exchange: FakeExchange) -> None:
    clock = Clock()

    class Async:
        async def on_request(self, exchange: object) -> Reply:
            await deferLater(clock, 1)
            return STOP

    outcome = FilterChain([("async", Async())]).run_request(exchange)
    assert isinstance(outcome, Deferred)
    clock.advance(1)
    assert outcome.result is STOP


@pytest.mark.parametrize("verdict", [None, STOP])
def test_what_has_fired_already_costs_the_caller_no_deferred(exchange: FakeExchange, verdict: Reply | None) -> None:
    class Async:
        async def on_request(self, exchange: object) -> Reply | None:
            return verdict

    assert FilterChain([("async", Async())]).run_request(exchange) is verdict
    assert chain_of([], a=lambda: succeed(verdict)).run_request(exchange) is verdict
    assert exchange.filter_name == (None if verdict is None else "a")


def test_a_deferred_that_fired_and_waits_for_another_is_waited_for(exchange: FakeExchange) -> None:
    inner: Deferred[Reply] = Deferred()
    outcome = chain_of([], a=lambda: succeed(None).addCallback(lambda _: inner)).run_request(exchange)
    assert isinstance(outcome, Deferred)
    inner.callback(STOP)
    assert outcome.result is STOP


def test_a_failure_that_is_there_already_is_raised(exchange: FakeExchange) -> None:
    with pytest.raises(ZeroDivisionError):
        chain_of([], a=lambda: fail(ZeroDivisionError())).run_request(exchange)
    assert exchange.filter_name == "a"


def test_a_failure_that_comes_later_fails_the_deferred(calls: list[str], exchange: FakeExchange) -> None:
    waits: Deferred[None] = Deferred()
    chain = chain_of(calls, a=lambda: waits, b=None)
    outcome = chain.run_request(exchange)
    assert isinstance(outcome, Deferred)
    failures: list[Failure] = []
    outcome.addErrback(failures.append)
    waits.errback(ZeroDivisionError())
    assert failures[0].check(ZeroDivisionError)
    assert (exchange.filters_entered, exchange.filter_name) == (1, "a")
    assert calls == ["request a"]


def test_an_exception_behind_one_that_waited_fails_the_deferred(calls: list[str], exchange: FakeExchange) -> None:
    waits: Deferred[None] = Deferred()
    outcome = chain_of(calls, a=lambda: waits, b=raising(ZeroDivisionError())).run_request(exchange)
    assert isinstance(outcome, Deferred)
    failures: list[Failure] = []
    outcome.addErrback(failures.append)
    waits.callback(None)
    assert failures[0].check(ZeroDivisionError)
    assert exchange.filter_name == "b"


@pytest.mark.parametrize("verdict", [True, "no", 403])
def test_a_verdict_of_another_kind_is_a_type_error(exchange: FakeExchange, verdict: object) -> None:
    with pytest.raises(TypeError, match="on_request gives None, a Reply or an awaitable"):
        chain_of([], a=lambda: verdict).run_request(exchange)
    with pytest.raises(TypeError):
        chain_of([], a=lambda: succeed(verdict)).run_request(exchange)
    waits: Deferred[object] = Deferred()
    outcome = chain_of([], a=lambda: waits).run_request(exchange)
    assert isinstance(outcome, Deferred)
    failures: list[Failure] = []
    outcome.addErrback(failures.append)
    waits.callback(verdict)
    assert failures[0].check(TypeError)
    assert exchange.filter_name == "a"


def test_cancelling_cancels_what_is_waited_for_and_asks_nobody_else(
    calls: list[str], exchange: FakeExchange, logged_errors: list[LogEvent]
) -> None:
    cancelled: list[object] = []
    waits: Deferred[None] = Deferred(cancelled.append)
    chain = chain_of(calls, a=None, b=lambda: waits, c=None)
    outcome = chain.run_request(exchange)
    assert isinstance(outcome, Deferred)
    failures: list[Failure] = []
    outcome.addErrback(failures.append)
    outcome.cancel()
    assert cancelled == [waits]
    assert failures[0].check(CancelledError)
    chain.run_done(exchange)
    assert calls == ["request a", "request b", "done b", "done a"]
    assert logged_errors == []


def test_cancelling_reaches_into_a_coroutine(exchange: FakeExchange) -> None:
    clock = Clock()
    ended: list[str] = []

    class Async:
        async def on_request(self, exchange: object) -> None:
            try:
                await deferLater(clock, 1)
            finally:
                ended.append("cleaned up")

    outcome = FilterChain([("async", Async())]).run_request(exchange)
    assert isinstance(outcome, Deferred)
    failures: list[Failure] = []
    outcome.addErrback(failures.append)
    outcome.cancel()
    assert ended == ["cleaned up"]
    assert failures[0].check(CancelledError)
    assert clock.getDelayedCalls() == []


def test_a_filter_that_swallows_the_cancelling_does_not_resume_the_chain(
    calls: list[str], exchange: FakeExchange
) -> None:
    waits: Deferred[None] = Deferred(lambda deferred: deferred.callback(None))
    outcome = chain_of(calls, a=lambda: waits, b=None).run_request(exchange)
    assert isinstance(outcome, Deferred)
    failures: list[Failure] = []
    outcome.addErrback(failures.append)
    outcome.cancel()
    assert failures[0].check(CancelledError)
    assert calls == ["request a"]


def test_a_filter_that_fails_when_cancelled_is_logged(exchange: FakeExchange, logged_errors: list[LogEvent]) -> None:
    waits: Deferred[None] = Deferred(lambda deferred: deferred.errback(ZeroDivisionError()))
    outcome = chain_of([], a=lambda: waits).run_request(exchange)
    assert isinstance(outcome, Deferred)
    outcome.addErrback(lambda failure: None)
    outcome.cancel()
    [event] = logged_errors
    logged_errors.clear()
    assert event["filter"] == "a"
    assert event["log_failure"].check(ZeroDivisionError)


def test_an_awaitable_of_another_kind_fails_the_request(exchange: FakeExchange) -> None:
    loop = asyncio.new_event_loop()
    try:
        future: asyncio.Future[None] = loop.create_future()
        # Nobody runs that loop here; to wait for it for ever would be worse than to fail.
        with pytest.raises(RuntimeError, match="await wasn't used with future"):
            chain_of([], a=lambda: future).run_request(exchange)
    finally:
        loop.close()
