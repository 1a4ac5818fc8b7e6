"""The pool as servers see it: which connection is used, how many there are and for how long; which server is next."""

from __future__ import annotations

import threading

import pytest

from tests.wire.conftest import Connect
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond


class Gated:
    """A handler that answers each request when the test opens the gate of its path."""

    def __init__(self) -> None:
        self._gates: dict[bytes, threading.Event] = {}
        self._lock = threading.Lock()

    def gate(self, target: bytes) -> threading.Event:
        with self._lock:
            return self._gates.setdefault(target, threading.Event())

    def __call__(self, connection: UpstreamConnection) -> None:
        got = connection.read_request()
        connection.wait(self.gate(got.target))
        connection.send(OK)


def held(connect: Connect, upstream: ScriptedUpstream, target: bytes) -> RawClient:
    """A client whose request has reached the upstream and waits there."""
    client = connect()
    client.send(request(target=target))
    upstream.wait_for(lambda: any(got.target == target and got.complete for got in upstream.requests), "the request")
    return client


def connection_of(upstream: ScriptedUpstream, target: bytes) -> int:
    return next(got.connection for got in upstream.requests if got.target == target)


def test_the_connection_used_last_is_used_next(connect: Connect, upstream: ScriptedUpstream) -> None:
    gated = upstream.handler = Gated()
    targets = [b"/up/%d" % number for number in range(3)]
    clients = [held(connect, upstream, target) for target in targets]
    assert len({connection_of(upstream, target) for target in targets}) == 3
    for number in (1, 2, 0):
        gated.gate(targets[number]).set()
        assert clients[number].read_response().status == 200
    gated.gate(b"/up/next").set()
    assert connect().ask(request(target=b"/up/next")).status == 200
    assert connection_of(upstream, b"/up/next") == connection_of(upstream, targets[0])


def test_who_queues_has_the_next_free_connection_in_turn(connect: Connect, upstream: ScriptedUpstream) -> None:
    gated = upstream.handler = Gated()
    first = held(connect, upstream, b"/one/0")
    waiting = []
    for number in (1, 2, 3):
        client = connect()
        client.send(request(target=b"/one/%d" % number))
        waiting.append(client)
        # the next may not overtake it
        threading.Event().wait(0.02)
    assert len(upstream.requests) == 1
    for number in range(4):
        gated.gate(b"/one/%d" % number).set()
    assert [client.read_response().status for client in (first, *waiting)] == [200] * 4
    assert [got.target for got in upstream.requests] == [b"/one/%d" % number for number in range(4)]
    assert len({got.connection for got in upstream.requests}) == 1


def test_a_connection_that_ends_makes_room_for_who_queues(connect: Connect, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    clients = [connect() for _ in range(5)]
    for client in clients:
        client.send(request(target=b"/one/x"))
    assert [client.read_response().status for client in clients] == [200] * 5
    assert len({got.connection for got in upstream.requests}) == 5


def test_no_more_than_keepalive_stay(connect: Connect, upstream: ScriptedUpstream) -> None:
    gated = upstream.handler = Gated()
    targets = [b"/keeps-one/%d" % number for number in range(3)]
    clients = [held(connect, upstream, target) for target in targets]
    for target, client in zip(targets, clients, strict=True):
        gated.gate(target).set()
        assert client.read_response().status == 200
    used = [upstream.connection_of(got) for got in upstream.requests]
    upstream.wait_for(lambda: sum(bool(connection.ended) for connection in used) == 2, "the end of two connections")
    assert not used[0].ended


def test_idle_connections_end_before_the_server_ends_them(client: RawClient, upstream: ScriptedUpstream) -> None:
    client.ask(request(target=b"/brief/x"))
    upstream.wait_dropped()


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
    ],
)
def test_a_connection_is_used_again_if_the_server_says_so(
    client: RawClient, upstream: ScriptedUpstream, head: bytes, kept: bool
) -> None:
    upstream.handler = respond(head + b"Content-Length: 2\r\n\r\nok")
    client.ask(request())
    client.ask(request())
    first, second = upstream.requests
    assert (first.connection == second.connection) is kept


def test_bytes_that_nobody_asked_for_end_an_idle_connection(client: RawClient, upstream: ScriptedUpstream) -> None:
    gate = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(OK)
        connection.wait(gate)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned")
        connection.wait_ended()

    upstream.handler = handler
    client.ask(request())
    gate.set()
    upstream.wait_dropped()
    upstream.handler = respond(OK)
    assert client.ask(request()).body == b"ok"


def test_servers_take_turns_by_weight(
    client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream
) -> None:
    for _ in range(30):
        assert client.ask(request(target=b"/weighted/x")).status == 200
    assert (len(upstream.requests), len(other_upstream.requests)) == (20, 10)


def test_the_least_busy_server_is_next(
    connect: Connect, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream
) -> None:
    gated = upstream.handler = other_upstream.handler = Gated()
    clients = {b"/least/%d" % number: connect() for number in range(4)}
    for count, (target, client) in enumerate(clients.items(), 1):
        client.send(request(target=target))
        wait_for_together(count, upstream, other_upstream)
    assert (len(upstream.requests), len(other_upstream.requests)) == (2, 2)
    for got in other_upstream.requests[:]:
        gated.gate(got.target).set()
        assert clients[got.target].read_response().status == 200
    for number in (4, 5):
        held(connect, other_upstream, b"/least/%d" % number)
    for number in range(6):
        gated.gate(b"/least/%d" % number).set()


def wait_for_together(count: int, *servers: ScriptedUpstream) -> None:
    """Until two upstreams have had so many requests together."""
    for _ in range(500):
        if sum(len(server.requests) for server in servers) == count:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"no request {count}")


def test_a_server_that_refuses_costs_clients_nothing(client: RawClient, upstream: ScriptedUpstream) -> None:
    for _ in range(10):
        assert client.ask(request(target=b"/half-dead/x")).status == 200
    assert len(upstream.requests) == 10


def test_unix_sockets(client: RawClient) -> None:
    for _ in range(3):
        response = client.ask(request(target=b"/unix/x"))
        assert (response.status, response.body) == (200, b"unix")


def test_names_are_looked_up_and_again_as_time_passes(client: RawClient, upstream: ScriptedUpstream) -> None:
    """Whichever address of localhost comes first: the server is at one of them. Each request is a new connection."""
    for _ in range(4):
        assert client.ask(request(target=b"/named/x")).status == 200
        threading.Event().wait(0.06)
    assert len({got.connection for got in upstream.requests}) == 4
    host = upstream.requests[0].headers.get(b"host")
    assert host == b"a.test"
