"""What a filter may ask of a request body: all of it in memory before it goes on, or a bound on its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from gwproxy.errors import BodyTooLarge
from gwproxy.filters.api import Verdict
from gwproxy.http.headers import Headers


@attrs.frozen
class BodyLimit:
    """Calls `exceeded` with the exchange when more than `limit` bytes have come."""

    limit: int
    exceeded: Callable[[Any], Verdict]


class BufferedBody:
    """A request body that is held until its end: the sink of the client's body, and the source of the server's."""

    __slots__ = ("_limit", "_pieces", "_size", "data", "trailers", "whole")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self.data = b""
        self.trailers: Headers = []
        # Fires with the body, or BodyTooLarge. Who cancels it wants no more, and what still comes is dropped.
        self.whole: Deferred[bytes] = Deferred(lambda _: self._drop())

    def body_data(self, data: bytes) -> None:
        """A piece."""
        if self.whole.called:
            return
        self._size += len(data)
        if self._size > self._limit:
            self._drop()
            self.whole.errback(BodyTooLarge())
            return
        self._pieces.append(data)

    def body_end(self, trailers: Headers) -> None:
        """There is no more."""
        if not self.whole.called:
            self.data = b"".join(self._pieces)
            self.trailers = trailers
            self._pieces.clear()
            self.whole.callback(self.data)

    def _drop(self) -> None:
        self._pieces.clear()
