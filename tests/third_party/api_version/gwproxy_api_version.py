"""The filter type `api_version`: clients say which version of an API they want, or get the newest."""

from __future__ import annotations

from collections import Counter

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from gwproxy.config import ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.values import list_of, positive_duration, token
from gwproxy.filters.api import (
    Exchange,
    FilterContext,
    IAttemptFilter,
    IDoneFilter,
    IRequestFilter,
    IResponseFilter,
    Reply,
)
from gwproxy.http.headers import set_header

_log = Logger()


@attrs.frozen
class Options:
    """What may stand in `[filter:NAME]` beside `type = api_version`."""

    versions: tuple[str, ...] = option(list_of(token), doc="The versions that there are, the newest last.")
    header: str = option(token, default="API-Version", doc="The header in which a client names one.")
    report: float = option(positive_duration, default=3600.0, doc="How often the log tells what was asked for.")

    def check_options(self) -> None:
        """What no parser of a single value can see. The gateway then says so with file and line."""
        if not self.versions:
            raise ConfigMistake("needs at least one version", "versions")


class Uses:
    """How often each version was asked for, since when."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.counts: Counter[bytes] = Counter()


@implementer(IRequestFilter, IAttemptFilter, IResponseFilter, IDoneFilter)
class ApiVersionFilter:
    """All that can be known at load is worked out here: a request costs a look at its header."""

    def __init__(self, options: Options, context: FilterContext, uses: Uses) -> None:
        self._name = options.header.encode()
        self._lower_name = options.header.lower().encode()
        self._known = frozenset(version.encode() for version in options.versions)
        self._newest = options.versions[-1].encode()
        self._report = options.report
        self._seconds = context.reactor.seconds
        self._uses = uses
        self._refusal = Reply(400, detail="unknown_version")

    def _asked(self, exchange: Exchange) -> bytes:
        return exchange.header(self._lower_name) or self._newest

    def on_request(self, exchange: Exchange) -> Reply | None:
        return None if self._asked(exchange) in self._known else self._refusal

    def on_attempt(self, exchange: Exchange) -> None:
        # The service need not know which one is the newest.
        set_header(exchange.outgoing.headers, self._name, self._asked(exchange))

    def on_response(self, exchange: Exchange) -> None:
        set_header(exchange.response_headers, self._name, self._asked(exchange))

    def on_done(self, exchange: Exchange) -> None:
        asked, uses, now = self._asked(exchange), self._uses, self._seconds()
        # Strangers choose what they ask for: only what is known gets a counter of its own.
        uses.counts[asked if asked in self._known else b"unknown"] += 1
        if now - uses.since >= self._report:
            _log.info("requests by API version: {counts}", counts=dict(uses.counts))
            uses.since = now
            uses.counts.clear()


def factory(options: Options, context: FilterContext) -> ApiVersionFilter:
    """Called once for each `[filter:NAME]` of a config, whenever the config is loaded."""
    # A reload makes a new filter; its counters go on, as long as they count the same things.
    key = ("api_version", context.name, options.versions)
    return ApiVersionFilter(options, context, context.keep(key, lambda: Uses(context.reactor.seconds())))
