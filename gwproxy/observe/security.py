"""The security log: one JSON line for each decision that someone was kept out, or would have been (mode shadow).

`event` is for who decides: filters, TLS. `exchange_finished` adds the requests that were refused for how they are
written. The fields, their names and their order are relied on from outside (docs/logs.md). No credentials are in any.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

from gwproxy.observe.dates import Stamp
from gwproxy.observe.finished import CLIENT_FAULTS, FinishedExchange
from gwproxy.observe.sink import LogSink
from gwproxy.runtime.wall import wall_clock

FIELDS = ("ts", "id", "client", "event", "filter", "reason", "route", "mode")

BAD_REQUEST = "bad_request"

_MAX_WORD = 256
_encode = json.JSONEncoder(separators=(",", ":")).encode


class LoggedExchange(Protocol):
    """What a security event says of an exchange, which may be going on still."""

    @property
    def client_ip(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def route_name(self) -> str: ...


class SecurityLog:
    """Writes security events to a sink."""

    def __init__(self, sink: LogSink, wall: Callable[[], float] = wall_clock) -> None:
        """`wall`: seconds since 1970."""
        self.sink = sink
        self._wall = wall
        self._stamp = Stamp()

    def event(
        self,
        exchange: LoggedExchange | None,
        event: str,
        *,
        reason: str,
        filter: str | None = None,
        mode: str | None = None,
        client: str = "",
    ) -> None:
        """Log that `event` (auth_failed, forbidden, rate_limited, ip_denied, ...) happened, for `reason`, in `mode`
        (enforce, shadow). Without an exchange (a refused handshake, say) `client` says whose address it was."""
        line = _encode(
            {
                "ts": self._stamp(self._wall()),
                "id": None if exchange is None else exchange.request_id[:_MAX_WORD],
                "client": (client or (exchange.client_ip if exchange is not None else ""))[:_MAX_WORD] or None,
                "event": event,
                "filter": filter,
                "reason": reason[:_MAX_WORD],
                "route": None if exchange is None else exchange.route_name or None,
                "mode": mode,
            }
        )
        self.sink.write(line.encode("ascii") + b"\n")

    def exchange_finished(self, exchange: FinishedExchange) -> None:
        """Log the exchange if the way it ended makes it a security event by itself."""
        reason = exchange.reason
        if reason is not None and reason in CLIENT_FAULTS:
            self.event(exchange, BAD_REQUEST, reason=reason)
