"""The agent under plain treq, against a real server: what the gateway's own requests stand on."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
import pytest_twisted
import treq
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer, ResponseDone, ResponseFailed
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gwproxy.config.addresses import ServerAddress
from gwproxy.config.model import UpstreamOptions
from gwproxy.errors import ConnectFailed, QueueFull, ResponseTimeout, UpstreamClosed
from gwproxy.upstream.agent import UpstreamAgent
from gwproxy.upstream.dial import Dialer
from gwproxy.upstream.server import Server
from tests.wire.kit.bulk import digest, pieces
from tests.wire.kit.dead_ports import BlackHole, RefusingPort
from tests.wire.kit.messages import Framing
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond, silent

MIB = 1 << 20

Make = Callable[..., UpstreamAgent]


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    server = ScriptedUpstream()
    yield server
    server.close()


@pytest.fixture
def make(upstream: ScriptedUpstream) -> Iterator[Make]:
    """`make(max_connections=1)`: an agent whose servers have these options."""
    from twisted.internet import reactor

    agents: list[UpstreamAgent] = []

    def make_agent(**options: Any) -> UpstreamAgent:
        def server(address: ServerAddress) -> Server:
            made = UpstreamOptions(servers=(address,), **options)
            dialer = Dialer(address, reactor, made.connect_timeout, made.resolve_interval, {})
            return Server(address, made, dialer, reactor)

        agents.append(UpstreamAgent(server))
        return agents[-1]

    yield make_agent
    for agent in agents:
        agent.close()


@pytest.fixture
def client(make: Make) -> HTTPClient:
    """Plain treq over an agent."""
    return HTTPClient(make())


def url(upstream: ScriptedUpstream, path: str = "/a") -> str:
    return f"http://127.0.0.1:{upstream.port}{path}"


def test_it_is_an_agent(make: Make) -> None:
    verifyObject(IAgent, make())


@pytest_twisted.ensureDeferred
async def test_get(client: HTTPClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(b"HTTP/1.1 203 Odd\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 2\r\n\r\nok")
    response = await client.get(url(upstream, "/a%2Fb?c=%20d"), headers=Headers({"X-B": ["1", "2"]}))
    assert (response.code, response.phrase, response.length) == (203, b"Odd", 2)
    assert response.headers.getRawHeaders("x-a") == ["1", "2"]
    assert response.request.absoluteURI == url(upstream, "/a%2Fb?c=%20d").encode()
    assert await response.text() == "ok"
    got = upstream.only_request()
    assert (got.method, got.target, got.framing) == (b"GET", b"/a%2Fb?c=%20d", Framing.NONE)
    assert got.headers.get(b"host") == b"127.0.0.1:%d" % upstream.port
    assert got.headers.all(b"x-b") == [b"1", b"2"]


@pytest_twisted.ensureDeferred
async def test_connections_are_kept(client: HTTPClient, upstream: ScriptedUpstream) -> None:
    for _ in range(3):
        assert await (await client.get(url(upstream))).content() == b"ok"
    assert {got.connection for got in upstream.requests} == {0}


@pytest_twisted.ensureDeferred
async def test_a_body_that_is_not_read_holds_its_connection(client: HTTPClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"a" * 100_000)
    first = await client.get(url(upstream), unbuffered=True)
    second = await client.get(url(upstream))
    assert [got.connection for got in upstream.requests] == [0, 1]
    assert len(await second.content()) == len(await first.content()) == 100_000


@pytest.mark.parametrize("size", [0, 3, 3 * MIB])
@pytest_twisted.ensureDeferred
async def test_post(client: HTTPClient, upstream: ScriptedUpstream, size: int) -> None:
    response = await client.post(url(upstream), data=b"a" * size)
    assert await response.content() == b"ok"
    got = upstream.only_request()
    assert (got.framing, got.body) == (Framing.LENGTH, b"a" * size)


@pytest_twisted.ensureDeferred
async def test_post_without_a_body(client: HTTPClient, upstream: ScriptedUpstream) -> None:
    await (await client.post(url(upstream))).content()
    assert upstream.only_request().headers.get(b"content-length") == b"0"


@implementer(IBodyProducer)
class Pieces:
    """A body in pieces, of a length that is told or not; it may fail in the end."""

    def __init__(self, *parts: bytes, length: int | str = UNKNOWN_LENGTH, error: Exception | None = None) -> None:
        self.length = length
        self.stopped = 0
        self._parts = parts
        self._error = error

    def startProducing(self, consumer: Any) -> Deferred[None]:
        for part in self._parts:
            consumer.write(part)
        return succeed(None) if self._error is None else fail(self._error)

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None:
        self.stopped += 1


@implementer(IBodyProducer)
class Endless(Pieces):
    """One that is never at its end."""

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(b"a")
        return Deferred()


@pytest_twisted.ensureDeferred
async def test_a_body_of_unknown_length_is_chunked(make: Make, upstream: ScriptedUpstream) -> None:
    body = Pieces(b"ab", b"", b"cd")
    response = await make().request(b"POST", url(upstream).encode(), None, body)
    assert await treq.content(response) == b"ok"
    got = upstream.only_request()
    assert (got.framing, got.body, body.stopped) == (Framing.CHUNKED, b"abcd", 0)


@pytest_twisted.ensureDeferred
async def test_a_body_waits_for_the_server_to_read(client: HTTPClient, upstream: ScriptedUpstream) -> None:
    """More than fits into the buffers on its way."""
    digests: list[tuple[int, str]] = []

    def handler(connection: UpstreamConnection) -> None:
        head = connection.read_head()
        threading.Event().wait(0.1)
        digests.append(digest(connection.stream_body(head)))
        connection.send(OK)

    upstream.handler = handler
    size = 16 * MIB
    response = await client.post(url(upstream), data=BytesIO(b"".join(pieces(size))))
    assert await response.content() == b"ok"
    assert digests == [digest(pieces(size))]


@pytest_twisted.ensureDeferred
async def test_a_response_is_streamed_as_it_is_read(client: HTTPClient, upstream: ScriptedUpstream) -> None:
    """The server is stopped while nobody reads."""
    size = 64 * MIB
    sent: list[int] = []

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for piece in pieces(size):
            connection.send(piece)
            sent.append(len(piece))

    upstream.handler = handler
    response = await client.get(url(upstream), unbuffered=True)
    await pause(0.2)
    assert sum(sent) < size / 2
    got: list[bytes] = []
    await response.collect(got.append)
    assert digest(got) == digest(pieces(size))


def pause(seconds: float) -> Deferred[None]:
    """For what nothing announces."""
    from twisted.internet import reactor

    return deferLater(reactor, seconds)


@pytest_twisted.ensureDeferred
async def test_a_reader_of_a_body_that_is_over_stops_nobody_else(make: Make, upstream: ScriptedUpstream) -> None:
    """Its connection is another exchange's by then."""
    agent = make()
    first = await agent.request(b"GET", url(upstream).encode())
    second = agent.request(b"GET", url(upstream).encode())
    reader = Reader()
    first.deliverBody(reader)
    assert reader.transport is not None
    reader.transport.pauseProducing()  # type: ignore[attr-defined]  # ITransport has no such method
    response = await second
    assert await treq.content(response) == b"ok"
    assert [got.connection for got in upstream.requests] == [0, 0]
    assert b"".join(reader.pieces) == b"ok"
    assert reader.reason is not None
    reader.reason.trap(ResponseDone)


class Reader(Protocol):
    """Keeps a body; may hang up at its first piece."""

    def __init__(self, hang_up: bool = False) -> None:
        self.pieces: list[bytes] = []
        self.reason: Failure | None = None
        self._hang_up = hang_up

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)
        if self._hang_up:
            assert self.transport is not None
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        self.reason = reason


@pytest_twisted.ensureDeferred
async def test_a_reader_may_hang_up(make: Make, upstream: ScriptedUpstream) -> None:
    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        connection.wait_ended()

    upstream.handler = handler
    response = await make().request(b"GET", url(upstream).encode())
    response.deliverBody(Reader(hang_up=True))
    await deferToThread(upstream.wait_dropped)


@pytest_twisted.ensureDeferred
async def test_a_timeout_ends_the_exchange(client: HTTPClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = silent
    with pytest.raises(CancelledError):
        await client.get(url(upstream), timeout=0.1)
    await deferToThread(upstream.wait_dropped)


@pytest_twisted.ensureDeferred
async def test_a_timeout_while_it_connects(make: Make) -> None:
    """The connection may still be made, and serves whoever comes next."""
    hole = BlackHole()
    with pytest.raises(CancelledError):
        await HTTPClient(make(connect_timeout=0.2)).get(f"http://127.0.0.1:{hole.port}/", timeout=0.1)
    await pause(0.2)
    hole.close()


@pytest_twisted.ensureDeferred
async def test_who_gives_up_leaves_the_queue(make: Make, upstream: ScriptedUpstream) -> None:
    client = HTTPClient(make(max_connections=1, queue=1))
    upstream.handler = silent
    first = client.get(url(upstream))
    await deferToThread(upstream.wait_for_requests, 1)
    for _ in range(3):
        with pytest.raises(CancelledError):
            await client.get(url(upstream), timeout=0.02)
    second = client.get(url(upstream))
    with pytest.raises(QueueFull):
        await client.get(url(upstream))
    upstream.handler = respond(OK)
    first.cancel()
    with pytest.raises(CancelledError):
        await first
    assert (await second).code == 200


@pytest_twisted.ensureDeferred
async def test_cancelling_stops_the_upload(make: Make, upstream: ScriptedUpstream) -> None:
    def handler(connection: UpstreamConnection) -> None:
        connection.read_head()
        connection.wait_ended()

    upstream.handler = handler
    body = Endless()
    response = make().request(b"POST", url(upstream).encode(), None, body)
    await deferToThread(upstream.wait_for_requests, 1, complete=False)
    response.cancel()
    with pytest.raises(CancelledError):
        await response
    assert body.stopped == 1
    await deferToThread(upstream.wait_dropped)


@pytest_twisted.ensureDeferred
async def test_an_early_answer_stops_the_upload(make: Make, upstream: ScriptedUpstream) -> None:
    def handler(connection: UpstreamConnection) -> None:
        connection.read_head()
        connection.send(OK)
        connection.wait_ended()

    upstream.handler = handler
    body = Endless()
    response = await make().request(b"POST", url(upstream).encode(), None, body)
    assert await treq.content(response) == b"ok"
    assert body.stopped == 1


@pytest_twisted.ensureDeferred
async def test_a_body_that_fails_breaks_the_request_off(make: Make, upstream: ScriptedUpstream) -> None:
    upstream.handler = silent
    body = Pieces(b"ab", error=ValueError("no more"))
    with pytest.raises(ValueError, match="no more"):
        await make().request(b"POST", url(upstream).encode(), None, body)
    await deferToThread(upstream.wait_dropped)
    assert not any(got.complete for got in upstream.requests)


@pytest.mark.parametrize("body", [None, b"abc"])
@pytest_twisted.ensureDeferred
async def test_a_server_that_refuses(client: HTTPClient, body: bytes | None) -> None:
    port = RefusingPort()
    with pytest.raises(ConnectFailed):
        await client.post(f"http://127.0.0.1:{port.port}/", data=body)
    port.close()


@pytest_twisted.ensureDeferred
async def test_a_server_that_says_nothing(make: Make, upstream: ScriptedUpstream) -> None:
    upstream.handler = silent
    with pytest.raises(ResponseTimeout):
        await HTTPClient(make(response_timeout=0.1)).post(url(upstream), data=b"abc")


@pytest_twisted.ensureDeferred
async def test_a_server_that_closes(client: HTTPClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(b"", close=True)
    with pytest.raises(UpstreamClosed):
        await client.get(url(upstream))


@pytest_twisted.ensureDeferred
async def test_a_body_that_breaks_off(client: HTTPClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", close=True)
    response = await client.get(url(upstream))
    with pytest.raises(ResponseFailed):
        await response.content()


@pytest_twisted.ensureDeferred
async def test_what_treq_adds_works_over_it(client: HTTPClient, upstream: ScriptedUpstream) -> None:
    """Redirects, cookies, decoding: for the gateway's own requests they are welcome."""
    body = gzip.compress(b'{"a": 1}')
    answers = [
        b"HTTP/1.1 302 Found\r\nLocation: /b\r\nSet-Cookie: c=1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body),
    ]

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(answers.pop(0))

    upstream.handler = handler
    response = await client.get(url(upstream))
    assert await response.json() == {"a": 1}
    assert [got.target for got in upstream.requests] == [b"/a", b"/b"]
    assert upstream.requests[1].headers.get(b"cookie") == b"c=1"
    assert len(response.history()) == 1


@pytest.mark.parametrize("address", ["https://127.0.0.1/", "ftp://127.0.0.1/", "http:///"])
@pytest_twisted.ensureDeferred
async def test_other_schemes(make: Make, address: str) -> None:
    with pytest.raises(SchemeNotSupported):
        await make().request(b"GET", address.encode(), None, FileBodyProducer(BytesIO(b"")))
