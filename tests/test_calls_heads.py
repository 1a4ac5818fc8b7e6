"""Heads of answers to calls of the gateway's own: bounded, however a server goes about it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pytest_twisted
from twisted.internet.task import deferLater

from gwproxy.calls import MAX_HEAD, CallFailed, Calls
from tests.wire.kit.upstream import ScriptedUpstream, UpstreamConnection, respond


@pytest.fixture
def server() -> Iterator[ScriptedUpstream]:
    scripted = ScriptedUpstream()
    yield scripted
    scripted.close()


@pytest.fixture
def calls() -> Iterator[Calls]:
    """With the reactor's sockets and timers; all of them closed at the end."""
    from twisted.internet import reactor

    made = Calls(reactor)
    yield made
    pytest_twisted.blockon(deferLater(reactor, 0, made.stop))


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-A: %b\r\n" % (b"a" * 1000)),
        (b"HTTP/1.1 200 OK\r\nX-A: 1\r\n", b" %b\r\n" % (b"a" * 1000)),
        (b"", b"HTTP/1.1 103 Early Hints\r\nX-A: %b\r\n\r\n" % (b"a" * 1000)),
    ],
    ids=["fields", "folded", "informational"],
)
@pytest_twisted.ensureDeferred
async def test_a_head_has_a_bound(calls: Calls, server: ScriptedUpstream, begin: bytes, more: bytes) -> None:
    """Without one, it is held in memory for as long as the call may take."""

    def endless(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(begin)
        try:
            while True:
                connection.send(more)
        except OSError:
            pass

    server.handler = endless
    with pytest.raises(CallFailed) as caught:
        await calls.request("GET", f"http://127.0.0.1:{server.port}/", timeout=5)
    assert caught.value.why == "broken"


@pytest_twisted.ensureDeferred
async def test_the_bound_is_each_answers_own(calls: Calls, server: ScriptedUpstream) -> None:
    """Over one connection, with heads that are too large together, and bodies larger than any head."""
    from twisted.internet import reactor

    server.handler = respond(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"X-A: %b\r\n" % (b"a" * 10_000) * 3,
        b"Content-Length: %d\r\n\r\n" % (2 * MAX_HEAD) + b"b" * 2 * MAX_HEAD,
    )
    for _ in range(5):
        answered = await calls.request("GET", f"http://127.0.0.1:{server.port}/")
        assert len(answered.body) == 2 * MAX_HEAD
        await deferLater(reactor, 0, lambda: None)  # the connection goes back behind the answer
    assert {got.connection for got in server.requests} == {0}
