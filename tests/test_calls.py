"""Calls of the gateway's own: against a real server whose every byte the test decides."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers

from gwproxy.calls import Answer, CallFailed, Calls, is_secure, secure_url, url
from gwproxy.config.mistakes import BadValue
from tests.wire.kit.client import RST
from tests.wire.kit.dead_ports import BlackHole, RefusingPort
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond, silent


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
    # in a turn of its own: a test may end inside of what the reactor does for a connection
    pytest_twisted.blockon(deferLater(reactor, 0, made.stop))


def at(server: ScriptedUpstream, path: str = "/a") -> str:
    return f"http://127.0.0.1:{server.port}{path}"


async def why(asked: Deferred[Answer]) -> str:
    """How a call failed."""
    with pytest.raises(CallFailed) as caught:
        await asked
    return caught.value.why


@pytest_twisted.ensureDeferred
async def test_a_call(calls: Calls, server: ScriptedUpstream) -> None:
    server.handler = respond(b"HTTP/1.1 203 Odd\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nok")
    fields = [(b"X-B", b"1"), (b"X-B", b"2")]
    answer = await calls.request("POST", at(server, "/a%2Fb?c=%20d"), headers=fields, body=b"x=1")
    assert answer == Answer(203, [(b"X-A", b"1"), (b"X-A", b"2")], b"ok")
    got = server.only_request()
    assert (got.method, got.target, got.body) == (b"POST", b"/a%2Fb?c=%20d", b"x=1")
    assert got.headers.all(b"x-b") == [b"1", b"2"]
    assert got.headers.get(b"accept-encoding") == b"identity"


@pytest_twisted.ensureDeferred
async def test_connections_are_kept(calls: Calls, server: ScriptedUpstream) -> None:
    for _ in range(3):
        assert (await calls.request("GET", at(server))).body == b"ok"
    assert {got.connection for got in server.requests} == {0}


@pytest_twisted.ensureDeferred
async def test_a_redirect_is_an_answer(calls: Calls, server: ScriptedUpstream) -> None:
    location = at(server, "/elsewhere").encode()
    server.handler = respond(b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location)
    assert (await calls.request("GET", at(server))).status == 302
    assert server.only_request().target == b"/a"


@pytest_twisted.ensureDeferred
async def test_no_cookie_is_kept(calls: Calls, server: ScriptedUpstream) -> None:
    server.handler = respond(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n")
    for _ in range(2):
        assert (await calls.request("GET", at(server))).status == 200
    assert [got.headers.all(b"cookie") for got in server.requests] == [[], []]


# Time


@pytest_twisted.ensureDeferred
async def test_who_does_not_answer_is_cut(calls: Calls, server: ScriptedUpstream) -> None:
    server.handler = silent
    assert await why(calls.request("GET", at(server), timeout=0.05)) == "timeout"
    await deferToThread(server.wait_dropped)


@pytest_twisted.ensureDeferred
async def test_one_deadline_from_the_connection_to_the_last_byte(calls: Calls, server: ScriptedUpstream) -> None:
    """Each byte comes in good time, the last never."""
    ended: list[str] = []

    def drip(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not connection.wait_for_more(0.01):
            connection.send(b"a")
        ended.append(connection.wait_ended())

    server.handler = drip
    assert await why(calls.request("GET", at(server), timeout=0.2)) == "timeout"
    await deferToThread(server.wait_dropped)
    assert len(ended) <= 1  # none: the reset met it as it was sending


@pytest_twisted.ensureDeferred
async def test_a_port_that_swallows_connections(calls: Calls) -> None:
    hole = BlackHole()
    try:
        assert await why(calls.request("GET", f"http://127.0.0.1:{hole.port}/", timeout=0.05)) == "timeout"
    finally:
        hole.close()


@pytest_twisted.ensureDeferred
async def test_a_port_that_refuses(calls: Calls) -> None:
    port = RefusingPort()
    try:
        assert await why(calls.request("GET", f"http://127.0.0.1:{port.port}/")) == "connect"
    finally:
        port.close()


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"])
@pytest_twisted.ensureDeferred
async def test_cancelling_closes_the_connection(calls: Calls, server: ScriptedUpstream, head: bytes) -> None:
    ended: list[str] = []

    def hang(connection: UpstreamConnection) -> None:
        connection.read_request()
        if head:  # a reset may be there already, and would meet it
            connection.send(head)
        ended.append(connection.wait_ended())

    server.handler = hang
    asked = calls.request("GET", at(server))
    await deferToThread(server.wait_for_requests, 1)
    if head:
        await _settled(lambda: _has_head(calls))
    asked.cancel()
    with pytest.raises(CancelledError):
        await asked
    await deferToThread(server.wait_dropped)
    await deferToThread(server.wait_quiet)
    assert ended == [RST]


async def _settled(condition: Any) -> None:
    from twisted.internet import reactor

    for _ in range(500):
        if condition():
            return
        await deferLater(reactor, 0.01)
    raise AssertionError("did not happen")


def _has_head(calls: Calls) -> bool:
    return any(call._body is not None for call in calls._open)


# What is wrong with an answer


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0" * 64,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
@pytest_twisted.ensureDeferred
async def test_garbage_is_no_answer(calls: Calls, server: ScriptedUpstream, answer: bytes) -> None:
    server.handler = respond(answer, close=True)
    assert await why(calls.request("GET", at(server))) == "broken"


@pytest_twisted.ensureDeferred
async def test_a_body_that_ends_with_the_connection_is_one(calls: Calls, server: ScriptedUpstream) -> None:
    server.handler = respond(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True)
    assert (await calls.request("GET", at(server))).body == b"hello"


@pytest.mark.parametrize("framing", [b"Content-Length: 1001\r\n\r\n", b"\r\n"])
@pytest_twisted.ensureDeferred
async def test_more_than_the_bound_is_not_read(calls: Calls, server: ScriptedUpstream, framing: bytes) -> None:
    gate = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n" + framing + b"a" * 1000)
        connection.wait(gate)
        connection.send(b"a")
        connection.wait_ended()

    server.handler = handler
    asked = calls.request("GET", at(server), max_size=1000)
    gate.set()
    assert await why(asked) == "too_large"
    await deferToThread(server.wait_dropped)


@pytest_twisted.ensureDeferred
async def test_the_bound_itself_may_come(calls: Calls, server: ScriptedUpstream) -> None:
    server.handler = respond(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"a" * 1000)
    assert len((await calls.request("GET", at(server), max_size=1000)).body) == 1000


@pytest.mark.parametrize("layers", [1, 3])
@pytest_twisted.ensureDeferred
async def test_nothing_is_decompressed(calls: Calls, server: ScriptedUpstream, layers: int) -> None:
    """A bomb is refused by its label; the bytes of one are never looked at."""
    body = b"0" * 1_000_000
    for _ in range(layers):
        body = gzip.compress(body)
    encoding = b", ".join([b"gzip"] * layers)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding, len(body))
    server.handler = respond(head + body)
    assert await why(calls.request("GET", at(server))) == "broken"


@pytest_twisted.ensureDeferred
async def test_identity_is_no_compression(calls: Calls, server: ScriptedUpstream) -> None:
    server.handler = respond(b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\nok")
    assert (await calls.request("GET", at(server))).body == b"ok"


# Asked once more


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest_twisted.ensureDeferred
async def test_a_kept_connection_that_was_closed_is_not_the_end(
    calls: Calls, server: ScriptedUpstream, method: str
) -> None:
    """The server closes it as the next question is under way, as servers do whose time for idle ones is over."""
    seen: list[int] = []

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        seen.append(connection.number)
        if len(seen) == 2:
            connection.close()
        else:
            connection.send(OK)

    server.handler = handler
    for _ in range(2):
        assert (await calls.request(method, at(server), body=b"x" if method == "POST" else None)).body == b"ok"
    assert seen == [0, 0, 1]


@pytest_twisted.ensureDeferred
async def test_once_more_is_once(calls: Calls, server: ScriptedUpstream) -> None:
    server.handler = respond(b"", close=True)
    assert await why(calls.request("GET", at(server))) == "broken"
    assert len(server.requests) == 2


# The end


@pytest_twisted.ensureDeferred
async def test_stop_ends_what_is_under_way(calls: Calls, server: ScriptedUpstream) -> None:
    """What is left in the reactor would fail this test: see clean_reactor."""
    assert (await calls.request("GET", at(server))).body == b"ok"
    server.handler = silent
    asked = calls.request("GET", at(server))
    await deferToThread(server.wait_for_requests, 2)
    await calls.stop()
    assert await why(asked) == "broken"
    await deferToThread(server.wait_dropped)


@pytest_twisted.ensureDeferred
async def test_an_address_that_treq_does_not_take_fails_the_call(calls: Calls) -> None:
    assert await why(calls.request("GET", "http://[::1")) == "broken"


def test_without_a_reactor_nothing_is_sent() -> None:
    with pytest.raises(RuntimeError):
        Calls().request("GET", "https://idp.example.com/")


class _Agent:
    """Fails as it is told, or when it is told."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[Deferred[Any]] = []

    def request(self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None) -> Any:
        self.asked.append(Deferred())
        if self.errors:
            self.asked[-1].errback(Failure(self.errors.pop(0)))
        return self.asked[-1]


def failure_of(asked: Deferred[Answer]) -> CallFailed:
    caught: list[Any] = []
    asked.addErrback(caught.append)
    (failure,) = caught
    assert isinstance(failure.value, CallFailed)
    return failure.value


def test_the_deadline_is_the_clocks() -> None:
    clock, agent = Clock(), _Agent()
    asked = Calls(clock, agent).request("GET", "https://idp.example.com/", timeout=5)  # type: ignore[arg-type]  # enough of an agent
    clock.advance(4.99)
    assert not asked.called
    clock.advance(0.02)
    assert failure_of(asked).why == "timeout"
    assert not clock.getDelayedCalls()


def test_what_was_wrong_is_named_without_its_words() -> None:
    """The words of an exception may repeat an address or what was sent."""
    agent = _Agent(ResponseNeverReceived([Failure(ValueError("secret"))]))
    asked = Calls(Clock(), agent).request("GET", "https://idp.example.com/")  # type: ignore[arg-type]  # enough of an agent
    assert str(failure_of(asked)) == "broken: ValueError"
    assert len(agent.asked) == 1


# Addresses


@pytest.mark.parametrize(
    "text",
    [
        "https://idp.example.com/keys?a=b",
        "http://127.0.0.1:80/x",
        "http://[::1]/",
        "http://localhost",
        "https://[::1]:1/",
    ],
)
def test_addresses_that_may_be_asked(text: str) -> None:
    assert secure_url(text) == text


@pytest.mark.parametrize(
    "text",
    ["http://idp.example.com/", "http://127.0.0.1.example.com/", "http://10.0.0.1/", "http://localhost.example.com/"],
)
def test_plain_http_is_for_loopback(text: str) -> None:
    assert not is_secure(text)
    assert url(text) == text
    with pytest.raises(BadValue, match="must be https"):
        secure_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "idp.example.com",
        "//idp.example.com/",
        "file:///etc/passwd",
        "ftp://idp.example.com/",
        "https:///keys",
        "https://user@idp.example.com/",
        "https://user:password@idp.example.com/",
        "https://:@idp.example.com/",
        "https://idp.example.com/#here",
        "https://idp.example.com:0/",
        "https://idp.example.com:99999/",
        "https://idp.example.com/a b",
        "https://idp.example.com/\n",
        "https://idp.example.com/ä",
        "https://[::1/",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadValue):
        url(text)
