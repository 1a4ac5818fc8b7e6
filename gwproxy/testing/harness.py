"""Plays exchanges through filters, in the gateway's own chain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from gwproxy.filters.api import BodyTransform, Header, Outgoing, Reply, Verdict
from gwproxy.filters.chain import FilterChain
from gwproxy.http import headers as fields
from gwproxy.testing.exchange import FakeExchange


@attrs.define
class UpstreamResponse:
    """What the upstream answers in a test. `body` is one piece, or the pieces in which it arrives."""

    status: int = 200
    headers: Sequence[Header] = ()
    body: bytes | Sequence[bytes] = b""


@attrs.define
class Played:
    """What became of an exchange. Nothing of the response is set while `waiting`, nor after a disconnect."""

    exchange: FakeExchange
    waiting: bool = False
    # The filter's own answer, if one answered.
    reply: Reply | None = None
    # What one raised, if one did: the client gets a 500 then.
    failure: Failure | None = None
    # The heads that went upstream, one an attempt.
    sent: list[Outgoing] = attrs.field(factory=list)
    # What the client gets.
    status: int | None = None
    headers: list[Header] = attrs.field(factory=list)
    body: bytes = b""
    disconnected: bool = False
    _pending: Deferred[Verdict] | None = attrs.field(default=None, repr=False, alias="pending")

    @property
    def filter_name(self) -> str | None:
        """The filter that replied, raised, or is waited for."""
        return self.exchange.filter_name

    def header(self, name: bytes) -> bytes | None:
        """The first response header of this name (given in lower case), or None."""
        return fields.get(self.headers, name)

    def disconnect(self) -> None:
        """The client goes away while a filter waits: what it waits for is cancelled, and only `on_done` follows."""
        if self._pending is None or not self.waiting:
            raise AssertionError("no filter is waiting")
        self.disconnected = True
        self._pending.cancel()


class FilterHarness:
    """Plays exchanges through filters, given in the order of a route. Filters that wait do so by `clock`."""

    def __init__(self, *filters: object, clock: Clock | None = None) -> None:
        """Each filter is an object, named by its position (`0`, `1`, ...), or a pair of name and object."""
        self.clock = Clock() if clock is None else clock
        self._chain = FilterChain(
            [each if isinstance(each, tuple) else (str(i), each) for i, each in enumerate(filters)]
        )

    def run(
        self, exchange: FakeExchange | None = None, response: UpstreamResponse | None = None, *, attempts: int = 1
    ) -> Played:
        """Plays one exchange: the request, `attempts` attempts of which the last is answered by `response`, the end.

        While a filter waits, the Played is `waiting`; it goes on when the test advances `clock` or fires what it gave.
        """
        played = Played(FakeExchange() if exchange is None else exchange)
        answer = UpstreamResponse() if response is None else response
        try:
            verdict = self._chain.run_request(played.exchange)
        except Exception:
            self._fail(played, Failure())
            return played
        if isinstance(verdict, Deferred):
            played.waiting = True
            played._pending = verdict
            verdict.addCallback(lambda given: self._go_on(played, given, answer, attempts))
            verdict.addErrback(lambda failure: self._fail(played, failure))
        else:
            self._go_on(played, verdict, answer, attempts)
        return played

    def _go_on(self, played: Played, verdict: Verdict, answer: UpstreamResponse, attempts: int) -> None:
        played.waiting = False
        try:
            if verdict is None:
                verdict = self._forward(played, attempts)
            if verdict is None:
                self._respond(played, answer.status, list(answer.headers), answer.body, from_upstream=True)
            else:
                played.reply = verdict
                self._respond(played, verdict.status, _head_of(verdict), verdict.body or b"", from_upstream=False)
        except Exception:
            self._fail(played, Failure())
            return
        self._chain.run_done(played.exchange)

    def _forward(self, played: Played, attempts: int) -> Verdict:
        """The attempts; then what those say who set a bound on the body."""
        exchange = played.exchange
        for _ in range(attempts):
            headers = [(b"Host", exchange.header(b"host") or b""), *exchange.headers]
            exchange.outgoing = Outgoing(exchange.method, exchange.target, headers)
            self._chain.run_attempt(exchange)
            played.sent.append(exchange.outgoing)
        for limit, exceeded in sorted(exchange.body_limits, key=lambda each: each[0]):
            verdict = exceeded(exchange) if len(exchange.body) > limit else None
            if verdict is not None:
                return verdict
        return None

    def _respond(
        self, played: Played, status: int, headers: list[Header], body: bytes | Sequence[bytes], *, from_upstream: bool
    ) -> None:
        exchange = played.exchange
        exchange.status, exchange.response_headers, exchange.from_upstream = status, headers, from_upstream
        exchange.body_transforms.clear()
        self._chain.run_response(exchange)
        if exchange.body_transforms:
            fields.remove(exchange.response_headers, b"content-length")
        played.status, played.headers = exchange.status, exchange.response_headers
        played.body = _transformed(exchange.body_transforms, [body] if isinstance(body, bytes) else body)

    def _fail(self, played: Played, failure: Failure) -> None:
        """The end after a disconnect, or after a filter raised: a 500 that the filters outside it still see."""
        played.waiting = False
        played.failure = failure
        if not played.disconnected:
            try:
                self._respond(played, 500, [], b"", from_upstream=False)
            except Exception:
                # One filter outside it raised as well; the first failure is the one to show.
                played.status, played.headers = 500, []
        self._chain.run_done(played.exchange)


def run_filter(
    filter_object: object,
    exchange: FakeExchange | None = None,
    response: UpstreamResponse | None = None,
    *,
    attempts: int = 1,
) -> Played:
    """Plays one exchange through one filter. Raises what the filter raised, and AssertionError if it waits."""
    played = FilterHarness(filter_object).run(exchange, response, attempts=attempts)
    if played.failure is not None:
        played.failure.raiseException()
    if played.waiting:
        raise AssertionError("the filter waits: use a FilterHarness, whose clock can be advanced")
    return played


def _head_of(reply: Reply) -> list[Header]:
    headers = list(reply.headers)
    if reply.body is not None and fields.get(headers, b"content-type") is None:
        headers.append((b"Content-Type", reply.content_type))
    return headers


def _transformed(transforms: list[BodyTransform], pieces: Iterable[bytes]) -> bytes:
    for transform in transforms:
        pieces = [*map(transform.data, pieces), transform.end()]
    return b"".join(pieces)
