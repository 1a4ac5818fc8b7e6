"""What all exchanges of one generation share."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import attrs

from gwproxy.filters.api import Reply
from gwproxy.http.trusted import TrustedProxies
from gwproxy.runtime.generation import Generation

if TYPE_CHECKING:
    from gwproxy.proxy.exchange import Exchange


class ExchangeObserver(Protocol):
    """Who is told of every exchange that is over: logs and metrics."""

    def exchange_finished(self, exchange: Exchange) -> None:
        """Called once an exchange, when everything about it is known. Never raises."""


ErrorPage = Callable[["Exchange", Reply], tuple[bytes, bytes]]


@attrs.frozen
class ProxySettings:
    """Made by the build, immutable."""

    seconds: Callable[[], float]
    observer: ExchangeObserver
    generation: Generation
    trusted: TrustedProxies
    via: bytes  # this gateway's pseudonym in Via
    own_server: bool  # whether the upstream's Server field is replaced
    error_page: ErrorPage  # content type and body of a reply that has no body of its own
    getrandbits: Callable[[int], int] = random.Random().getrandbits  # ids are unique, not secret
    # The Via line for a message of HTTP/1.0, and of HTTP/1.1, that had none.
    via_lines: tuple[bytes, bytes] = attrs.field(init=False)

    @via_lines.default
    def _via_lines(self) -> tuple[bytes, bytes]:
        return b"Via: 1.0 %b\r\n" % self.via, b"Via: 1.1 %b\r\n" % self.via

    def via_line(self, minor: int, prior: bytes) -> bytes:
        """Via with this hop appended (RFC 9110 section 7.6.3); the message was received as HTTP/1.`minor`."""
        return b"Via: %b, 1.%d %b\r\n" % (prior, minor, self.via)
