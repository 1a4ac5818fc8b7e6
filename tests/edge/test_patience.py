"""The deadline of a connection: what it means at each moment, and when it is moved."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock

from gwproxy.edge.body import RequestBody
from gwproxy.edge.farewell import Linger
from gwproxy.edge.patience import CLOSE_TIMEOUT, Patience


class Channel:
    """Stands for an EdgeChannel: writes down what its patience makes it do."""

    def __init__(self) -> None:
        self.clock = Clock()
        options = SimpleNamespace(header_timeout=10.0, idle_timeout=75.0, min_body_rate=2)
        self.listener = SimpleNamespace(reactor=self.clock, options=options)
        self.transport: Any = self
        self.exchange: Any = self
        self.read_paused = False
        self.write_paused = False
        self.unsent: int | None = None
        self.did: list[Any] = []

    def getHandle(self) -> object:
        return self

    def close(self) -> None:
        self.did.append("close")

    def abort(self) -> None:
        self.did.append("abort")

    def refuse(self, error: Any) -> None:
        self.did.append(error.reason)

    fail_body = client_lost = refuse

    def timed_out(self) -> None:
        self.did.append("timed out")


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def patience(channel: Channel) -> Patience:
    made: Any = channel
    return Patience(made)


def passes(channel: Channel, seconds: float) -> list[Any]:
    """What was done in that time, seen in steps."""
    channel.did.clear()
    for _ in range(10):
        channel.clock.advance(seconds / 10)
    return channel.did


def test_between_requests(channel: Channel, patience: Patience) -> None:
    channel.exchange = None
    patience.for_request()
    assert passes(channel, 74.9) == []
    assert passes(channel, 0.2) == ["close"]
    assert passes(channel, 1000) == []


def test_a_client_that_has_not_read_its_answer_is_no_idle_one(channel: Channel, patience: Patience) -> None:
    channel.exchange = None
    channel.write_paused = True
    patience.for_request()
    assert passes(channel, 74.9) == []
    assert passes(channel, 0.2) == ["abort"]


def test_while_a_request_is_in_flight_nothing_is_awaited(channel: Channel, patience: Patience) -> None:
    """It is not moved for each of them: when it comes too late it does nothing."""
    patience.for_request()
    assert passes(channel, 76) == []


def test_before_the_first(channel: Channel, patience: Patience) -> None:
    channel.exchange = None
    patience.for_first_request()
    assert passes(channel, 9.9) == []
    assert passes(channel, 0.2) == ["close"]


def test_a_head_has_its_time_however_it_comes(channel: Channel, patience: Patience) -> None:
    channel.exchange = None
    patience.for_request()
    passes(channel, 20)
    patience.for_head()
    passes(channel, 5)
    patience.for_head()
    assert passes(channel, 4.9) == []
    assert passes(channel, 0.2) == ["header_timeout"]


def test_the_first_head_has_what_is_left(channel: Channel, patience: Patience) -> None:
    channel.exchange = None
    patience.for_first_request()
    passes(channel, 8)
    patience.for_head()
    assert passes(channel, 2.1) == ["header_timeout"]


def test_every_head_has_it_anew(channel: Channel, patience: Patience) -> None:
    channel.exchange = None
    patience.for_head()
    passes(channel, 5)
    patience.for_request()
    patience.for_head()
    assert passes(channel, 9.9) == []
    assert passes(channel, 0.2) == ["header_timeout"]


def test_a_head_that_has_come_is_not_awaited(channel: Channel, patience: Patience) -> None:
    patience.for_head()
    assert passes(channel, 11) == []


def test_a_body_at_its_least_rate(channel: Channel, patience: Patience) -> None:
    body = RequestBody(10_000)
    patience.for_body(body)
    for _ in range(3):
        body.feed(b"x" * 150)
        assert passes(channel, 75.01) == []
    body.feed(b"x" * 149)
    assert passes(channel, 75.01) == ["body_timeout"]


def test_a_body_without_a_least_rate_must_move_all_the_same(channel: Channel, patience: Patience) -> None:
    channel.listener.options.min_body_rate = 0
    body = RequestBody(10_000)
    patience.for_body(body)
    body.feed(b"x")
    assert passes(channel, 75.01) == []
    assert passes(channel, 75.01) == ["body_timeout"]


def test_who_was_made_to_wait_is_not_judged(channel: Channel, patience: Patience) -> None:
    patience.for_body(RequestBody(10_000))
    patience.not_reading()
    assert passes(channel, 75.01) == []
    # Read again since: now it counts.
    assert passes(channel, 75.01) == ["body_timeout"]


def test_who_is_still_made_to_wait_is_not_judged_the_next_time_either(channel: Channel, patience: Patience) -> None:
    patience.for_body(RequestBody(10_000))
    patience.not_reading()
    channel.read_paused = True
    assert passes(channel, 75.01) == []
    channel.read_paused = False
    assert passes(channel, 75.01) == []
    assert passes(channel, 75.01) == ["body_timeout"]


def test_the_routes_timeout(channel: Channel, patience: Patience) -> None:
    patience.for_response(30)
    assert passes(channel, 29.9) == []
    assert passes(channel, 0.2) == ["timed out"]
    patience.for_response(30)
    patience.for_response(0)
    assert passes(channel, 10_000) == []


def test_nothing_and_the_end(channel: Channel, patience: Patience) -> None:
    patience.for_request()
    patience.for_nothing()
    assert passes(channel, 1000) == []
    patience.for_request()
    patience.end()
    patience.for_request()
    assert channel.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("wait", "seconds", "end"),
    [
        ("for_reader", 75.0, "client_stalled"),
        ("for_close", CLOSE_TIMEOUT, "abort"),
        ("for_end", Linger.SECONDS, "abort"),
    ],
)
def test_a_client_that_takes_nothing(wait: str, seconds: float, end: str, channel: Channel, patience: Patience) -> None:
    getattr(patience, wait)()
    assert passes(channel, seconds - 0.1) == []
    assert passes(channel, 0.2) == [end]


@pytest.mark.parametrize(("wait", "seconds"), [("for_reader", 75.0), ("for_close", CLOSE_TIMEOUT)])
def test_a_client_that_takes_a_little_is_waited_for(wait: str, seconds: float, channel: Channel) -> None:
    """By what its kernel has not taken yet, on a real socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ours = socket.create_connection(server.getsockname(), 5)
        theirs, _ = server.accept()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        ours.setblocking(False)
        fill(ours)
        channel.transport = SimpleNamespace(getHandle=lambda: ours)
        made: Any = channel
        patience = Patience(made)
        getattr(patience, wait)()
        theirs.settimeout(5)
        for _ in range(3):
            # Enough for the kernel to tell of it.
            taken = 0
            while taken < 32768:
                taken += len(theirs.recv(32768))
            wait_for_change(ours)
            assert passes(channel, seconds + 0.1) == []
            fill(ours)
            getattr(patience, wait)()
        assert passes(channel, seconds + 0.1) == ["client_stalled" if wait == "for_reader" else "abort"]


def fill(sock: socket.socket) -> None:
    """Until the kernel takes no more."""
    try:
        while True:
            sock.send(b"x" * 65536)
    except BlockingIOError:
        pass


def wait_for_change(sock: socket.socket) -> None:
    """Until there is room again: so the peer's window has been told."""
    import select

    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    assert poll.poll(5000)
