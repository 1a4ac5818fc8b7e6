"""The filter type `concurrency`: so many requests at once for each client, or whatever else they are counted by.

Rules:

* A request holds its place from here to its very end, the last byte of a download or the close of a WebSocket included.
* What finds none waits in line, as far as `queue` allows, and else is a 503: nothing of it has gone anywhere.
* A place is given back once, in `on_done`, whatever became of the request (`places.py`).
* In shadow mode nothing waits: what finds no place is counted as denied, and passes without one.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from gwproxy.config.mistakes import ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.values import integer, positive_duration
from gwproxy.filters.api import Exchange, FilterContext, Header, IDoneFilter, IRequestFilter, Traits, Verdict
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, mode_option
from gwproxy.filters.keys import BY_ADDRESS, KEY_DOC, KEY_METAVAR, KeySpec, ipv6_prefix_option, key_spec
from gwproxy.filters.places import Places

_RETRY: Final[tuple[Header, ...]] = ((b"Retry-After", b"1"),)
_DEFAULT_PATIENCE: Final = 1.0


@attrs.frozen
class Options:
    """`[filter:NAME] type = concurrency`."""

    limit: int = option(integer(1), doc="How many requests at once, for each key.")
    key: KeySpec = option(key_spec, default=BY_ADDRESS, metavar=KEY_METAVAR, doc=KEY_DOC)
    ipv6_prefix: int = ipv6_prefix_option()
    queue: int = option(integer(), default=0, doc="How many more may wait for a place, for each key.")
    queue_timeout: float = option(
        positive_duration, default=_DEFAULT_PATIENCE, doc="How long they wait; then they are refused."
    )
    mode: Mode = mode_option()

    def check_options(self) -> None:
        """No queue, no timeout of one."""
        if not self.queue and self.queue_timeout != _DEFAULT_PATIENCE:
            raise ConfigMistake("queue_timeout needs a queue", "queue_timeout")


def traits(options: Options) -> Traits:
    """A limit by claim has to stand behind the filter that sets it."""
    return Traits(needs_principal=options.key.needs_principal)


@implementer(IRequestFilter, IDoneFilter)
class ConcurrencyFilter:
    """One limit. The id of an exchange is its ticket: from on_request to on_done it is nobody else's."""

    def __init__(self, options: Options, context: FilterContext, places: Places) -> None:
        self._key = options.key.compile(options.ipv6_prefix)
        self._places = places
        self._waits = options.queue > 0 and options.mode is Mode.ENFORCE
        self._decisions = Decisions(context, options.mode, Event.OVERLOADED)
        self._allowed = self._decisions.allowed

    def on_request(self, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        key = self._key(exchange)
        if self._places.take(key, id(exchange)):
            self._allowed.value += 1
            return None
        waiting = self._places.wait(key, id(exchange)) if self._waits else None
        return self._deny(exchange) if waiting is None else waiting.addCallback(self._waited, exchange)

    def on_done(self, exchange: Exchange) -> None:
        self._places.give_back(id(exchange))

    def _waited(self, has_place: bool, exchange: Exchange) -> Verdict:
        if not has_place:
            return self._deny(exchange)
        self._allowed.value += 1
        return None

    def _deny(self, exchange: Exchange) -> Verdict:
        return self._decisions.deny(exchange, Denial.CONCURRENCY_LIMIT, 503, _RETRY)


def factory(options: Options, context: FilterContext) -> ConcurrencyFilter:
    """Options are checked already; nothing is left to refuse here."""
    meaning = (options.limit, options.queue, options.queue_timeout, options.key, options.ipv6_prefix)
    make = partial(Places, options.limit, options.queue, options.queue_timeout, context.reactor)
    places: Places = context.keep(("concurrency", context.name, *meaning), make)
    gauge = partial(context.meters.gauge, filter=context.name)
    gauge("concurrency_in_flight", "Requests that hold a place.", lambda: float(places.taken))
    gauge("concurrency_waiting", "Requests that wait for a place.", lambda: float(places.waiting))
    return ConcurrencyFilter(options, context, places)
