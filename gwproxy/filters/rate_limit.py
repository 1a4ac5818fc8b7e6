"""The filter type `rate_limit`: so many requests in so much time, for each client or whatever else they are counted by.

Rules:

* GCRA (`gcra.py`): `burst` requests at once, `rate` in the long run; the next one is a 429 with Retry-After.
* Local buckets cost a request no wait. Those in a store are shared by all gateways: one round trip, the store's clock.
* A store that fails costs a request at most its timeout, and nothing while it is known to fail: `on_store_error`.
* Answers tell what is left (`quota_fields.py`), those of the upstream and our own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from gwproxy.config.mistakes import ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.values import Rate, boolean, choice, integer, rate, token
from gwproxy.filters.api import (
    Exchange,
    FilterContext,
    Header,
    IRequestFilter,
    Reply,
    Traits,
    Verdict,
)
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, mode_option
from gwproxy.filters.gcra import SCRIPT, Limit, LocalBuckets
from gwproxy.filters.keys import BY_ADDRESS, KEY_DOC, KEY_METAVAR, KeySpec, ipv6_prefix_option, key_spec
from gwproxy.filters.quota_fields import QuotaFields, Telling
from gwproxy.store.redis import Store, StoreFailed

LOCAL: Final = "local"

_MICROSECONDS: Final = 1_000_000

# What the script gives.
_ANSWER: Final = [int] * 4


@attrs.frozen
class Options:
    """`[filter:NAME] type = rate_limit`."""

    rate: Rate = option(rate, doc="How many requests in the long run: 50/s, 600/m, 10000/d.")
    burst: int | None = option(
        integer(1, 1_000_000_000), default=None, doc="How many at once. Without it: the number in rate."
    )
    key: KeySpec = option(key_spec, default=BY_ADDRESS, metavar=KEY_METAVAR, doc=KEY_DOC)
    ipv6_prefix: int = ipv6_prefix_option()
    store: str = option(
        token, default=LOCAL, metavar="local | NAME", doc="local, or a [store:NAME] that gateways share."
    )
    on_store_error: str = option(
        choice([LOCAL, "allow", "deny"]),
        default=LOCAL,
        doc="Without an answer of the store: local counts in this process, allow lets pass, deny answers 503.",
    )
    headers: bool = option(
        boolean, default=True, doc="Whether answers say what is left: RateLimit, RateLimit-Policy, X-RateLimit-*."
    )
    max_keys: int = option(
        integer(100),
        default=100_000,
        doc="Local buckets kept, some 200 bytes each; beyond that those unused for longest are given up.",
    )
    mode: Mode = mode_option()

    def check_options(self) -> None:
        """No store, no store's errors."""
        if self.store == LOCAL and self.on_store_error != LOCAL:
            raise ConfigMistake("on_store_error needs a store; this limit is local", "on_store_error")


def traits(options: Options) -> Traits:
    """A limit by claim has to stand behind the filter that sets it."""
    return Traits(needs_principal=options.key.needs_principal)


@implementer(IRequestFilter)
class RateLimitFilter:
    """With local buckets. Where answers tell what is left, `on_response` and `on_done` are those of a Telling."""

    on_response: Callable[[Exchange], None]
    on_done: Callable[[Exchange], None]

    def __init__(self, options: Options, context: FilterContext, limit: Limit, buckets: LocalBuckets) -> None:
        self._limit = limit
        self._key = options.key.compile(options.ipv6_prefix)
        self._take = buckets.take
        self._decisions = Decisions(context, options.mode, Event.RATE_LIMITED)
        self._allowed = self._decisions.allowed
        self._capacity = limit.capacity
        self._interval = limit.interval
        self._almost = limit.capacity - limit.interval  # what a bucket lacks that has one request in it
        self._second = limit.second
        self._tell: Callable[[Exchange, int, int], None] | None = None
        self._telling: Telling | None = None
        self._fields_of = QuotaFields(context.name, limit.burst, limit.window).of
        # In shadow mode clients see nothing of it.
        if options.headers and options.mode is Mode.ENFORCE:
            telling = self._telling = Telling(self._fields_of)
            self._tell, self.on_response, self.on_done = telling.tell, telling.on_response, telling.on_done

    def on_request(self, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        lacking = self._take(self._key(exchange))
        if lacking < 0:
            limit = self._limit
            return self._deny(exchange, limit.seconds(self._almost - lacking), limit.seconds(-lacking))
        self._allowed.value += 1
        if self._tell is not None:
            # limit.left() and limit.seconds(), without the calls
            self._tell(exchange, (self._capacity - lacking) // self._interval, -(-lacking // self._second))
        return None

    def _deny(self, exchange: Exchange, reset: int, wait: int) -> Reply | None:
        """`reset` and `wait`: seconds until the bucket is full, and until there is one again."""
        headers: list[Header] = [(b"Retry-After", b"%d" % max(1, wait))]
        if self._tell is not None:
            headers += self._fields_of(0, reset)
        return self._decisions.deny(exchange, Denial.RATE_LIMIT, 429, headers)


class SharedRateLimitFilter(RateLimitFilter):
    """With buckets in a store. The local ones stand in for it."""

    def __init__(
        self, options: Options, context: FilterContext, limit: Limit, buckets: LocalBuckets, store: Store
    ) -> None:
        super().__init__(options, context, limit, buckets)
        self._store = store
        self._on_store_error = options.on_store_error
        # Gateways share a bucket if they mean the same by it.
        self._prefix = f"rate_limit:{context.name}:{rate.write(limit.rate)}:{limit.burst}:"
        self._arguments = (round(limit.rate.seconds * _MICROSECONDS), limit.rate.count, limit.burst)

    def on_request(self, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        if not self._store.available:
            return self._without_store(exchange)
        answer = self._store.run(SCRIPT, (self._prefix + self._key(exchange),), self._arguments)
        return answer.addCallbacks(self._answered, self._failed, callbackArgs=(exchange,), errbackArgs=(exchange,))

    def _answered(self, answer: Any, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        if not isinstance(answer, list) or [*map(type, answer)] != _ANSWER:
            return self._without_store(exchange)  # whoever says that has not run the script
        taken, left, full, wait = answer
        reset = -(-full // _MICROSECONDS)
        if not taken:
            return self._deny(exchange, reset, -(-wait // _MICROSECONDS))
        self._allowed.value += 1
        if self._tell is not None:
            self._tell(exchange, left, reset)
        return None

    def _failed(self, failure: Failure, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        failure.trap(StoreFailed)
        return self._without_store(exchange)

    def _without_store(self, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        if self._on_store_error == LOCAL:
            return super().on_request(exchange)
        if self._on_store_error == "deny":
            return self._decisions.deny(exchange, Denial.STORE_UNAVAILABLE, 503, [(b"Retry-After", b"1")])
        self._decisions.could_not(exchange, Denial.STORE_UNAVAILABLE)
        return None


def factory(options: Options, context: FilterContext) -> RateLimitFilter:
    """ConfigMistake for a store that there is not."""
    limit = Limit(options.rate, options.burst or options.rate.count)
    meaning = (limit.rate, limit.burst, options.key, options.ipv6_prefix, options.max_keys)
    given_up = context.meters.counter(
        "rate_limit_buckets_given_up", "Local buckets given up before they were full again.", filter=context.name
    )
    make = partial(LocalBuckets, limit, options.max_keys, context.reactor.seconds, given_up)
    buckets: LocalBuckets = context.keep(("rate_limit", context.name, *meaning), make)
    context.meters.gauge("rate_limit_buckets", "Local buckets kept.", lambda: float(len(buckets)), filter=context.name)
    if options.store == LOCAL:
        return RateLimitFilter(options, context, limit, buckets)
    return SharedRateLimitFilter(options, context, limit, buckets, context.store(options.store))
