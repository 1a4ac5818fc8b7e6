"""The filters of one route, compiled at load into one tuple of bound methods per hook.

Rules:

* A hook is a plain call. No Deferred exists on this path until a filter returns one that has not fired.
* `on_request` and `on_attempt` run in the order written, `on_response` and `on_done` in reverse.
* The exchange remembers how far its chain came, so that one chain object serves all exchanges of a route:
  `filters_entered` counts the filters whose `on_request` was called (or that have none, and were passed over): theirs
  is `on_done`. `filter_depth` counts those that let the request pass: theirs is `on_response`. When filter k replies,
  raises or waits, it is entered but not passed, and `filter_name` says which it is.
* What filters vouch for (`vouched`) is taken out of the request before the first of them is asked.
* What a hook raises goes to the caller as it is; only `on_done` is guarded, since every one of them must run.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from difflib import get_close_matches
from typing import Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface.interface import InterfaceClass

from gwproxy.config.mistakes import ConfigMistake
from gwproxy.filters.api import (
    Exchange,
    IAttemptFilter,
    IDoneFilter,
    IRequestFilter,
    IResponseFilter,
    Reply,
    Verdict,
    Waiting,
)
from gwproxy.filters.vouched import VouchedFields

_log = Logger(namespace="gwproxy.filters")


class ChainedExchange(Exchange, Protocol):
    """What a chain needs of an exchange besides what filters see. Both begin as 0, and `filter_name` as None."""

    filter_depth: int
    filters_entered: int


RequestHook = Callable[[ChainedExchange], Verdict | Waiting]
Hook = Callable[[ChainedExchange], None]

_HOOKS: Final[dict[str, InterfaceClass]] = {
    "on_request": IRequestFilter,
    "on_attempt": IAttemptFilter,
    "on_response": IResponseFilter,
    "on_done": IDoneFilter,
}


class FilterChain:
    """Runs the hooks of a route's filters. Immutable; holds nothing of any exchange.

    `filters` are pairs of the filter's own name and what its factory made, in the order of the route.
    Raises ConfigMistake when one of them is no filter.
    """

    __slots__ = (
        "_attempt",
        "_count",
        "_done",
        "_request",
        "_response",
        "answers_preflight",
        "empty",
        "has_attempt",
        "has_done",
        "has_response",
        "strip_vouched",
    )

    def __init__(self, filters: Sequence[tuple[str, object]], strips: bool = True) -> None:
        """`strips`: whether it takes out what filters vouch for; no, where it is one part of a chain that has."""
        request: list[tuple[int, str, RequestHook]] = []
        attempt: list[tuple[str, Hook]] = []
        response: list[tuple[int, str, Hook]] = []
        done: list[tuple[int, str, Hook]] = []
        for index, (name, filter_object) in enumerate(filters):
            hooks = _hooks_of(filter_object)
            if "on_request" in hooks:
                request.append((index, name, hooks["on_request"]))
            if "on_attempt" in hooks:
                attempt.append((name, hooks["on_attempt"]))
            if "on_response" in hooks:
                response.insert(0, (index, name, hooks["on_response"]))
            if "on_done" in hooks:
                done.insert(0, (index, name, hooks["on_done"]))
        self._count = len(filters)
        self._request = tuple(request)
        self._attempt = tuple(attempt)
        self._response = tuple(response)
        self._done = tuple(done)
        self.empty = not filters
        vouched = [name for _, each in filters for name in getattr(each, "vouched", None) or ()]
        self.strip_vouched = VouchedFields(vouched).strip if vouched and strips else None
        self.answers_preflight = any(getattr(each, "answers_preflight", False) for _, each in filters)
        self.has_attempt = bool(attempt)
        self.has_response = bool(response)
        self.has_done = bool(done)

    def run_request(self, exchange: ChainedExchange) -> Verdict | Deferred[Verdict]:
        """Asks the filters in order. None: all let it pass. Reply: the answer. A Deferred of either: a filter waits.

        Cancelling the Deferred cancels what the filter waits for, and no further filter is asked.
        Raises, or fails with, what a filter raised.
        """
        if self.strip_vouched is not None:
            self.strip_vouched(exchange.headers)
        outcome = self._ask(exchange, self._request)
        if outcome is None or isinstance(outcome, Reply):
            return outcome
        return _Suspended(self, exchange, outcome).answer

    def run_attempt(self, exchange: ChainedExchange) -> None:
        """Lets the filters edit `exchange.outgoing`. Raises what a filter raised."""
        name = None
        try:
            for name, hook in self._attempt:  # noqa: B007  # read below
                hook(exchange)
        except Exception:
            exchange.filter_name = name
            raise

    def run_response(self, exchange: ChainedExchange) -> None:
        """Lets the filters that the request passed edit the response, the last of them first.

        When one raises, so does this; a second call, for the error page that takes the response's place, then goes on
        with the filters outside that one.
        """
        depth = exchange.filter_depth
        index, name = 0, None
        try:
            for index, name, hook in self._response:  # noqa: B007  # read below
                if index < depth:
                    hook(exchange)
        except Exception:
            exchange.filter_depth = index
            exchange.filter_name = name
            raise

    def run_done(self, exchange: ChainedExchange) -> None:
        """Tells the filters that were entered that the exchange is over. What a filter raises is logged, not raised."""
        entered = exchange.filters_entered
        for index, name, hook in self._done:
            if index < entered:
                try:
                    hook(exchange)
                except Exception:
                    _log.failure("on_done of filter {filter} failed", filter=name)

    def _ask(
        self, exchange: ChainedExchange, steps: tuple[tuple[int, str, RequestHook], ...]
    ) -> Verdict | Deferred[Verdict]:
        """As run_request, from some step on; the Deferred is the filter's own."""
        index, name = 0, None
        try:
            for index, name, hook in steps:
                verdict = hook(exchange)
                if verdict is None:
                    continue
                outcome = verdict if isinstance(verdict, Reply) else _settle(verdict)
                if outcome is not None:
                    _stop_at(exchange, index, name)
                    return outcome
        except Exception:
            _stop_at(exchange, index, name)
            raise
        exchange.filter_depth = exchange.filters_entered = self._count
        return None

    def _resume(self, exchange: ChainedExchange, verdict: Verdict) -> Verdict | Deferred[Verdict]:
        """Goes on behind the filter that waited, now that it has said `verdict`."""
        if _checked(verdict) is not None:
            return verdict
        waited = exchange.filter_depth
        exchange.filter_name = None
        return self._ask(exchange, tuple(step for step in self._request if step[0] > waited))


class _Suspended:
    """A chain that waits for one of its filters: resumes the rest of it, or ends with the client."""

    __slots__ = ("_cancelled", "_chain", "_exchange", "_waiting", "answer")

    def __init__(self, chain: FilterChain, exchange: ChainedExchange, waiting: Deferred[Verdict]) -> None:
        self._chain = chain
        self._exchange = exchange
        self._cancelled = False
        self.answer: Deferred[Verdict] = Deferred(self._cancel)
        self._wait(waiting)

    def _wait(self, waiting: Deferred[Verdict]) -> None:
        self._waiting = waiting
        waiting.addCallbacks(self._resume, self._fail)

    def _resume(self, verdict: Verdict) -> None:
        if self._cancelled:
            return
        try:
            outcome = self._chain._resume(self._exchange, verdict)
        except Exception:
            self.answer.errback()
            return
        if isinstance(outcome, Deferred):
            self._wait(outcome)
        else:
            self.answer.callback(outcome)

    def _fail(self, failure: Failure) -> None:
        if not self._cancelled:
            self.answer.errback(failure)
        elif not failure.check(CancelledError):
            # Nobody waits for it any more, and yet it is a defect that somebody should see.
            _log.failure("filter {filter} failed when cancelled", failure, filter=self._exchange.filter_name)

    def _cancel(self, _answer: Deferred[Verdict]) -> None:
        self._cancelled = True
        self._waiting.cancel()


def _stop_at(exchange: ChainedExchange, index: int, name: str | None) -> None:
    exchange.filter_depth = index
    exchange.filters_entered = index + 1
    exchange.filter_name = name


def _settle(waiting: Waiting) -> Verdict | Deferred[Verdict]:
    """What an awaitable says, if it says it at once (an `async def` with a cache hit), else a Deferred that waits."""
    if isinstance(waiting, Deferred):
        deferred: Deferred[Verdict] = waiting
    elif inspect.isawaitable(waiting):
        deferred = Deferred.fromCoroutine(_awaited(waiting))
    else:
        return _checked(waiting)
    if not deferred.called or deferred.paused:
        return deferred
    settled: list[Verdict | Failure] = []
    # Both callbacks run now: this takes the result over, and a failure with it.
    deferred.addCallbacks(settled.append, settled.append)
    outcome = settled[0]
    if isinstance(outcome, Failure):
        outcome.raiseException()
    return _checked(outcome)


async def _awaited(waiting: Awaitable[Verdict]) -> Verdict:
    return await waiting


def _checked(verdict: object) -> Verdict:
    if verdict is None or isinstance(verdict, Reply):
        return verdict
    raise TypeError(f"on_request gives None, a Reply or an awaitable of them, not {type(verdict).__name__}")


def _hooks_of(filter_object: object) -> dict[str, Callable[[ChainedExchange], None]]:
    """The hooks that an object provides; ConfigMistake when they cannot work as hooks."""
    hooks: dict[str, Callable[[ChainedExchange], None]] = {}
    for hook_name, interface in _HOOKS.items():
        hook = getattr(filter_object, hook_name, None)
        if hook is not None:
            hooks[hook_name] = _fit(hook_name, hook)
        elif interface.providedBy(filter_object):
            raise ConfigMistake(f"declares {interface.__name__} and has no {hook_name}")
    for attribute in dir(type(filter_object)):
        near = get_close_matches(attribute, _HOOKS, 1, 0.8)
        # It would never be called, and nobody would know.
        if near and attribute.startswith("on_") and attribute not in _HOOKS:
            raise ConfigMistake(f"{attribute} is no hook; did you mean {near[0]!r}?")
    if not hooks:
        kind = type(filter_object).__name__
        raise ConfigMistake(f"{kind} provides none of the hooks {', '.join(_HOOKS)}")
    return hooks


def _fit(hook_name: str, hook: object) -> Callable[[ChainedExchange], None]:
    if not callable(hook):
        raise ConfigMistake(f"{hook_name} cannot be called")
    if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
        raise ConfigMistake(f"{hook_name} is a generator, calling it would do nothing")
    if hook_name != "on_request" and inspect.iscoroutinefunction(hook):
        raise ConfigMistake(f"{hook_name} must not wait, and it is an async function")
    try:
        inspect.signature(hook).bind(None)
    except TypeError:
        raise ConfigMistake(f"{hook_name} must take one argument, the exchange") from None
    except ValueError:
        pass  # written in C and without a signature: its first call will tell
    return hook
