"""Filters that do what a test says, and count what is done to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from gwproxy.errors import BodyTooLarge
from gwproxy.filters.api import Exchange, IAttemptFilter, IDoneFilter, IRequestFilter, IResponseFilter, Reply

Hook = Callable[[Exchange], Any]


def _nothing(exchange: Exchange) -> None: ...


@implementer(IRequestFilter, IAttemptFilter, IResponseFilter, IDoneFilter)
class Scripted:
    """One filter with all four hooks, each a function of the exchange."""

    def __init__(
        self,
        *,
        request: Hook = _nothing,
        attempt: Hook = _nothing,
        response: Hook = _nothing,
        done: Hook = _nothing,
    ) -> None:
        self._request = request
        self._attempt = attempt
        self._response = response
        self._done = done
        self.asked: list[Exchange] = []
        self.told: list[Exchange] = []
        self.statuses: list[int] = []  # that its on_response saw

    def on_request(self, exchange: Exchange) -> Any:
        self.asked.append(exchange)
        return self._request(exchange)

    def on_attempt(self, exchange: Exchange) -> None:
        self._attempt(exchange)

    def on_response(self, exchange: Exchange) -> None:
        self.statuses.append(exchange.status)
        self._response(exchange)

    def on_done(self, exchange: Exchange) -> None:
        self.told.append(exchange)
        self._done(exchange)


class Waiting(Scripted):
    """A filter whose verdict the test gives when it likes."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.verdicts: list[Deferred[Reply | None]] = []
        super().__init__(request=self._wait)

    def _wait(self, exchange: Exchange) -> Deferred[Reply | None]:
        verdict: Deferred[Reply | None] = Deferred(self._cancel)
        self.verdicts.append(verdict)
        return verdict

    def _cancel(self, verdict: Deferred[Reply | None]) -> None:
        self.cancelled += 1

    def decides(self, verdict: Reply | None = None) -> None:
        """About the exchange that has waited longest."""
        self.verdicts.pop(0).callback(verdict)


class Reads(Scripted):
    """A filter that reads the body, keeps it, and lets pass: also what is too large, in shadow mode or by `lenient`."""

    def __init__(self, limit: int = 100, verdict: Reply | None = None, lenient: bool = False) -> None:
        super().__init__(request=self._read)
        self.bodies: list[bytes | type[BaseException]] = []
        self._limit = limit
        self._verdict = verdict
        self._lenient = lenient

    def _read(self, exchange: Exchange) -> Deferred[Reply | None]:
        return exchange.read_body(self._limit).addCallbacks(self._take, self._fail)

    def _take(self, body: bytes) -> Reply | None:
        self.bodies.append(body)
        return self._verdict

    def _fail(self, failure: Any) -> Any:
        self.bodies.append(failure.type)
        return None if self._lenient and failure.check(BodyTooLarge) else failure


def replies(status: int = 401) -> Scripted:
    return Scripted(request=lambda exchange: Reply(status, [(b"X-Why", b"no")], detail="no_token"))


def marks(name: bytes) -> Scripted:
    """A filter that writes its name wherever it can."""

    def in_request(exchange: Exchange) -> None:
        exchange.headers.append((b"X-Request", name))

    def in_attempt(exchange: Exchange) -> None:
        exchange.outgoing.headers.append((b"X-Attempt", name))

    def in_response(exchange: Exchange) -> None:
        exchange.response_headers.append((b"X-Response", name))

    return Scripted(request=in_request, attempt=in_attempt, response=in_response)


class Breaks(Exception):
    """What a broken hook raises."""


def breaks(exchange: Exchange) -> None:
    """A hook with a defect."""
    raise Breaks("on purpose")


class Upper:
    """A body transform that changes every byte and the length."""

    def data(self, data: bytes) -> bytes:
        return data.upper()

    def end(self) -> bytes:
        return b"!"
