"""What filters may want of an exchange's request body before it goes upstream: all of it, or a bound on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred

from gwproxy.errors import BodyTooLarge
from gwproxy.filters.api import Reply, Verdict
from gwproxy.http.writing import CONTINUE
from gwproxy.proxy.buffered import BodyLimit, BufferedBody
from gwproxy.proxy.facts import ExchangeFacts


class Intake(ExchangeFacts):
    """The part of an exchange that answers filters about its request body. How it ends is not decided here."""

    __slots__ = ()

    def read_body(self, limit: int) -> Deferred[bytes]:
        """In `on_request` only: the whole request body. Fails with BodyTooLarge beyond `limit` bytes, or max_body.

        The client that asked is told to go on (RFC 9110 section 10.1.1). What was read goes upstream all the same if
        the filter lets the request pass, also when the body was too large for it.
        """
        if not self.has_body:
            return defer.succeed(b"")
        route = self.route
        assert route is not None
        most = min(limit, route.options.max_body or limit)
        if self.content_length is not None and self.content_length > most:
            return defer.fail(BodyTooLarge())
        body = self.buffered
        if body is not None:
            return body.read(most)
        if self.head.expects_continue and not self.downstream.body_complete():
            self.head.expects_continue = False  # nobody else is to say it
            self.downstream.write(CONTINUE)
        body = self.buffered = BufferedBody(self)
        whole = body.read(most)
        self.downstream.start_body(body)
        return whole

    def limit_body(self, limit: int, exceeded: Callable[[Any], Verdict]) -> Verdict:
        """In `on_request` only: calls `exceeded` when more than `limit` bytes of the request body have come; at once,
        if a filter has read so much already. What to return from on_request."""
        if self.bytes_in > limit:
            return exceeded(self)
        limits = [*(self.body_limits or ()), BodyLimit(limit, exceeded)]
        self.body_limits = sorted(limits, key=lambda each: each.limit)
        return None

    def judge_body(self) -> Reply | None:
        """The body has grown: asks who set a bound that it now is over. What they answer; None: let it pass.

        Who let it pass is not asked again. Raises what they raise.
        """
        limits = self.body_limits
        while limits and self.bytes_in > limits[0].limit:
            reply = limits[0].exceeded(self)
            if reply is not None:
                return reply
            del limits[0]
        return None
