"""A request body that filters look at before it goes on: all of it in memory, or a bound on how much may come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from gwproxy.errors import BodyTooLarge, ClientError, Reason
from gwproxy.filters.api import Reply, Verdict
from gwproxy.http.headers import Headers
from gwproxy.http.pieces import grown
from gwproxy.proxy.downstream import BodySink

if TYPE_CHECKING:
    from gwproxy.proxy.intake import Intake


@attrs.frozen
class BodyLimit:
    """Calls `exceeded` with the exchange when more than `limit` bytes have come."""

    limit: int
    exceeded: Callable[[Any], Verdict]


class BodyRefused(ClientError):
    """Who set a bound on the body answers, while another filter waits for the body: that one's wait fails with this."""

    status = 413
    reason = Reason.FILTER

    def __init__(self, reply: Reply, filter_name: str | None) -> None:
        super().__init__(reply.detail)
        self.reply = reply
        self.filter_name = filter_name


class HeldSink(BodySink, Protocol):
    """Where a body goes that was held."""

    def body_held(self, data: bytes) -> None:
        """What was held: a piece like any other, but counted and judged when it came."""


class BufferedBody:
    """Holds what has come of a body, for whoever asks for all of it; then it is the source of the server's.

    Nobody needs to get it whole: when it is too large for who asked, or they want it no more, the client is paused, and
    pass_on() gives what is held to the server and lets the rest follow.
    """

    __slots__ = ("_data", "_exchange", "_limit", "_paused", "_trailers", "_waiting", "complete")

    def __init__(self, exchange: Intake) -> None:
        self._exchange = exchange
        self._limit = 0
        self._paused = False
        self._data: bytes | bytearray = b""
        self._trailers: Headers = []
        self._waiting: Deferred[bytes] | None = None
        self.complete = False

    def read(self, limit: int) -> Deferred[bytes]:
        """The body once it is whole; fails with BodyTooLarge as soon as it has more than `limit` bytes."""
        if self._waiting is not None:
            raise RuntimeError("the body is being read already")
        if self._exchange.bytes_in > limit:
            return fail(BodyTooLarge())
        if self.complete:
            return succeed(self._joined())
        self._limit = limit
        waiting: Deferred[bytes] = Deferred(self._given_up)
        self._waiting = waiting
        self._resume()
        return waiting

    def pass_on(self, sink: HeldSink) -> None:
        """Gives `sink` what is held, and lets what is still to come follow. Once for each attempt, if it is complete;
        else once, for what was given away is not held any more."""
        self._resume()  # before the sink may want another pause
        data = self._joined()
        if data:
            sink.body_held(data)
        if self.complete:
            sink.body_end(self._trailers)
        else:
            self._data = b""
            self._exchange.downstream.start_body(sink)

    # From the client

    def body_data(self, data: bytes) -> None:
        """A piece."""
        exchange = self._exchange
        exchange.bytes_in += len(data)
        self._data = grown(self._data, data)
        if self._waiting is None:
            return  # given up: this was on its way
        try:
            reply = exchange.judge_body()
        except Exception:
            self._fail(Failure())
            return
        if reply is not None:
            self._fail(BodyRefused(reply, exchange.filter_name))
        elif exchange.bytes_in > self._limit:
            self._fail(BodyTooLarge())

    def body_end(self, trailers: Headers) -> None:
        """There is no more."""
        self.complete = True
        self._trailers = trailers
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(self._joined())

    def _joined(self) -> bytes:
        self._data = joined = bytes(self._data)
        return joined

    def _fail(self, why: Exception | Failure) -> None:
        waiting = self._waiting
        assert waiting is not None
        self._given_up(waiting)
        waiting.errback(why)

    def _given_up(self, _: Deferred[bytes]) -> None:
        self._waiting = None
        self._paused = True
        self._exchange.downstream.pause_body()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._exchange.downstream.resume_body()
