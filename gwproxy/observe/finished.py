"""What the logs and the metrics read of an exchange that is over.

Everything here is set when the exchange ends and none of it changes afterwards. What a client wrote (method, host,
target, header values) may hold any bytes; what the configuration named (route, upstream, server, filter) is ours.
"""

from __future__ import annotations

from typing import Protocol

from gwproxy.errors import ClientError, GatewayError, Reason
from gwproxy.filters.api import Principal


class RouteLabels(Protocol):
    """The two names that a route has in metrics."""

    @property
    def name(self) -> str:
        """The route's name in the configuration."""

    @property
    def pattern(self) -> str:
        """The route's `path` as written."""


class FinishedExchange(Protocol):
    """One request and its answer, at its end. Times are the reactor's seconds, sizes are bytes of bodies."""

    @property
    def method(self) -> bytes: ...
    @property
    def host(self) -> bytes: ...
    @property
    def target(self) -> bytes: ...
    @property
    def version(self) -> bytes:
        """`1.0` or `1.1`; also `1.1` when the client wrote another and was refused for that."""

    @property
    def route(self) -> RouteLabels | None:
        """None when nothing matched."""

    @property
    def route_name(self) -> str: ...
    @property
    def upstream_name(self) -> str | None: ...
    @property
    def server_label(self) -> str | None: ...
    @property
    def status(self) -> int: ...
    @property
    def from_upstream(self) -> bool: ...
    @property
    def reason(self) -> Reason | None:
        """None when the upstream answered and all went well."""

    @property
    def detail(self) -> str:
        """With reason `filter`: the filter's own word from its closed list. Else free text, for the error log only."""

    @property
    def filter_name(self) -> str | None: ...
    @property
    def started(self) -> float: ...
    @property
    def ended(self) -> float: ...
    @property
    def upstream_seconds(self) -> float | None: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def tries(self) -> int: ...
    @property
    def principal(self) -> Principal | None: ...
    @property
    def client_ip(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def trace_id(self) -> str: ...

    def header(self, name: bytes) -> bytes | None:
        """The first request header of this name (given in lower case), or None."""


# The client left, or stopped reading: nobody was refused anything.
CLIENT_LEFT = frozenset({Reason.CLIENT_GONE, Reason.CLIENT_STALLED})


def _client_faults(kind: type[GatewayError]) -> set[Reason]:
    faults = {kind.reason}
    for narrower in kind.__subclasses__():
        faults |= _client_faults(narrower)
    return faults


# Requests refused for how they are written or sent. They count in bad_requests_total and are in the security log. Not
# what a filter refuses, which it logs itself; its errors may be ClientErrors, if whoever has them was imported by now.
CLIENT_FAULTS = frozenset(_client_faults(ClientError)) - CLIENT_LEFT - {Reason.FILTER}


def logged_reason(reason: Reason | None, detail: str) -> str | None:
    """The `reason` of a log line. A filter's own word says more than `filter`; any other detail stays out of it."""
    if reason is Reason.FILTER and detail:
        return detail
    return reason
