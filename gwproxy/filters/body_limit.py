"""The filter type `body_limit`: a bound on the size of request bodies.

Rules:

* A length that the client declares is judged with the head: nothing is read, and there is no `100 Continue`.
* A body in chunks is counted as it comes; the request ends as soon as there is too much.
* Bodies count as they are sent, before any content coding is undone (RFC 9110 section 8.4).
"""

from __future__ import annotations

import attrs
from zope.interface import implementer

from gwproxy.config.options import option
from gwproxy.config.values import size
from gwproxy.filters.api import Exchange, FilterContext, IDoneFilter, IRequestFilter, Traits, Verdict
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, mode_option


@attrs.frozen
class Options:
    """`[filter:NAME] type = body_limit`."""

    max: int = option(size(0), doc="The largest request body that passes; 0 refuses every body.")
    mode: Mode = mode_option()


@implementer(IRequestFilter, IDoneFilter)
class BodyLimitFilter:
    """See the module."""

    __slots__ = ("_decisions", "_max", "_over")

    def __init__(self, options: Options, context: FilterContext) -> None:
        self._max = options.max
        self._decisions = Decisions(context, options.mode, Event.BODY_REFUSED)
        # Those whose body, in chunks, turned out too large; until they are over.
        self._over: set[Exchange] = set()

    def on_request(self, exchange: Exchange) -> Verdict:
        if not exchange.has_body:
            self._decisions.allowed.value += 1
            return None
        length = exchange.content_length
        if length is None:
            return exchange.limit_body(self._max, self._exceeded)
        if length > self._max:
            return self._decisions.deny(exchange, Denial.BODY_LIMIT, 413)
        self._decisions.allowed.value += 1
        return None

    def on_done(self, exchange: Exchange) -> None:
        # Of a body in chunks it is known only now that it was small enough.
        if exchange.has_body and exchange.content_length is None:
            if exchange in self._over:
                self._over.remove(exchange)
            else:
                self._decisions.allowed.value += 1

    def _exceeded(self, exchange: Exchange) -> Verdict:
        self._over.add(exchange)
        return self._decisions.deny(exchange, Denial.BODY_LIMIT, 413)


def factory(options: Options, context: FilterContext) -> BodyLimitFilter:
    """Nothing is left to refuse here."""
    return BodyLimitFilter(options, context)


def traits(options: Options) -> Traits:
    """Two numbers compared keep much out."""
    return Traits(cheap_guard=True)
