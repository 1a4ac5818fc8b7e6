"""A finished exchange with everything that the logs and metrics read, and logs kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from gwproxy.errors import Reason
from gwproxy.filters.api import Principal
from gwproxy.observe.sink import LogSink


@attrs.frozen
class Route:
    name: str
    pattern: str


@attrs.define
class Finished:
    """Stands for gwproxy.proxy.exchange.Exchange."""

    method: bytes = b"GET"
    host: bytes = b"api.example.com"
    target: bytes = b"/users/17?page=2"
    version: bytes = b"1.1"
    scheme: bytes = b"http"
    route: Route | None = Route("users", "/users/")
    upstream_name: str | None = "users"
    server_label: str | None = "127.0.0.1:9001"
    status: int = 200
    from_upstream: bool = True
    reason: Reason | None = None
    detail: str = ""
    filter_name: str | None = None
    started: float = 100.0
    ended: float = 100.25
    upstream_seconds: float | None = 0.2
    bytes_in: int = 3
    bytes_out: int = 1532
    tries: int = 1
    principal: Principal | None = None
    client_ip: str = "192.0.2.7"
    request_id: str = "0123456789abcdef"
    trace_id: str = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers: dict[bytes, bytes] = attrs.field(factory=lambda: {b"user-agent": b"curl/8.1"})

    @property
    def route_name(self) -> str:
        return "" if self.route is None else self.route.name

    def header(self, name: bytes) -> bytes | None:
        return self.headers.get(name)


class Lines:
    """A target in memory that is never full; the sink's thread writes into it."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.data = b""

    def open(self) -> bool:
        return False

    def write(self, data: bytes, offset: int) -> int:
        self.data += data[offset:]
        return len(data) - offset

    def close(self) -> None:
        pass


@attrs.frozen
class Written:
    """A sink, and what it has written."""

    sink: LogSink
    target: Lines
    clock: Clock

    def lines(self) -> list[bytes]:
        """All lines so far, each without its newline."""
        assert self.sink.flush(10)
        assert self.target.data == b"" or self.target.data.endswith(b"\n")
        return self.target.data.split(b"\n")[:-1]


@pytest.fixture
def finished() -> Callable[..., Any]:
    """Makes finished exchanges: finished(status=404, ...)."""
    return Finished


@pytest.fixture
def route() -> Callable[[str, str], Any]:
    """Makes a route's labels: route(name, pattern)."""
    return Route


@pytest.fixture
def written() -> Iterator[Written]:
    """A started sink over a target in memory."""
    clock = Clock()
    target = Lines()
    sink = LogSink(clock, "access", target)
    sink.start()
    yield Written(sink, target, clock)
    sink.close()
