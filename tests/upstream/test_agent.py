"""The agent under plain treq, against a real server: what the gateway's own requests stand on."""

from __future__ import annotations

import gzip
from io import BytesIO

import pytest
import pytest_twisted
import treq
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.web.client import FileBodyProducer, ResponseDone, ResponseFailed
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface.verify import verifyObject

from gwproxy.errors import ConnectFailed, QueueFull, ResponseTimeout, UpstreamClosed
from tests.upstream.conftest import Make
from tests.wire.kit.bulk import digest, pieces
from tests.wire.kit.dead_ports import BlackHole, RefusingPort
from tests.wire.kit.messages import Framing
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond, silent

MIB = 1 << 20


def url(scripted: ScriptedUpstream, path: str = "/a") -> str:
    return f"http://127.0.0.1:{scripted.port}{path}"


def test_it_is_an_agent(make: Make) -> None:
    verifyObject(IAgent, make())


@pytest_twisted.ensureDeferred
async def test_get(client: HTTPClient, scripted: ScriptedUpstream) -> None:
    scripted.handler = respond(b"HTTP/1.1 203 Odd\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 2\r\n\r\nok")
    response = await client.get(url(scripted, "/a%2Fb?c=%20d"), headers=Headers({"X-B": ["1", "2"]}))
    assert (response.code, response.phrase, response.length) == (203, b"Odd", 2)
    assert response.headers.getRawHeaders("x-a") == ["1", "2"]
    assert response.request.absoluteURI == url(scripted, "/a%2Fb?c=%20d").encode()
    assert await response.text() == "ok"
    got = scripted.only_request()
    assert (got.method, got.target, got.framing) == (b"GET", b"/a%2Fb?c=%20d", Framing.NONE)
    assert got.headers.get(b"host") == b"127.0.0.1:%d" % scripted.port
    assert got.headers.all(b"x-b") == [b"1", b"2"]


@pytest_twisted.ensureDeferred
async def test_connections_are_kept(client: HTTPClient, scripted: ScriptedUpstream) -> None:
    for _ in range(3):
        assert await (await client.get(url(scripted))).content() == b"ok"
    assert {got.connection for got in scripted.requests} == {0}


@pytest_twisted.ensureDeferred
async def test_a_body_that_is_not_read_holds_its_connection(client: HTTPClient, scripted: ScriptedUpstream) -> None:
    size = 4 * MIB  # far more than one read takes
    scripted.handler = respond(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size)
    first = await client.get(url(scripted), unbuffered=True)
    second = await client.get(url(scripted))
    assert [got.connection for got in scripted.requests] == [0, 1]
    assert len(await second.content()) == len(await first.content()) == size


@pytest_twisted.ensureDeferred
async def test_a_response_is_streamed_as_it_is_read(client: HTTPClient, scripted: ScriptedUpstream) -> None:
    """The server is stopped while nobody reads."""
    size = 64 * MIB
    sent: list[int] = []

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for piece in pieces(size):
            connection.send(piece)
            sent.append(len(piece))

    scripted.handler = handler
    response = await client.get(url(scripted), unbuffered=True)
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
async def test_a_reader_of_a_body_that_is_over_stops_nobody_else(make: Make, scripted: ScriptedUpstream) -> None:
    """Its connection is another exchange's by then."""
    agent = make()
    first = await agent.request(b"GET", url(scripted).encode())
    await pause(0)  # it came whole: now it is over
    second = agent.request(b"GET", url(scripted).encode())
    reader = Reader()
    first.deliverBody(reader)
    assert reader.transport is not None
    reader.transport.pauseProducing()  # type: ignore[attr-defined]  # ITransport has no such method
    response = await second
    assert await treq.content(response) == b"ok"
    assert [got.connection for got in scripted.requests] == [0, 0]
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
async def test_a_reader_may_hang_up(make: Make, scripted: ScriptedUpstream) -> None:
    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        connection.wait_ended()

    scripted.handler = handler
    response = await make().request(b"GET", url(scripted).encode())
    response.deliverBody(Reader(hang_up=True))
    await deferToThread(scripted.wait_dropped)


@pytest_twisted.ensureDeferred
async def test_a_timeout_ends_the_exchange(client: HTTPClient, scripted: ScriptedUpstream) -> None:
    scripted.handler = silent
    with pytest.raises(CancelledError):
        await client.get(url(scripted), timeout=0.1)
    await deferToThread(scripted.wait_dropped)


@pytest_twisted.ensureDeferred
async def test_a_timeout_while_it_connects(make: Make) -> None:
    """The connection may still be made, and serves whoever comes next."""
    hole = BlackHole()
    with pytest.raises(CancelledError):
        await HTTPClient(make(connect_timeout=0.2)).get(f"http://127.0.0.1:{hole.port}/", timeout=0.1)
    await pause(0.2)
    hole.close()


@pytest_twisted.ensureDeferred
async def test_who_gives_up_leaves_the_queue(make: Make, scripted: ScriptedUpstream) -> None:
    client = HTTPClient(make(max_connections=1, queue=1))
    scripted.handler = silent
    first = client.get(url(scripted))
    await deferToThread(scripted.wait_for_requests, 1)
    for _ in range(3):
        with pytest.raises(CancelledError):
            await client.get(url(scripted), timeout=0.02)
    second = client.get(url(scripted))
    with pytest.raises(QueueFull):
        await client.get(url(scripted))
    scripted.handler = respond(OK)
    first.cancel()
    with pytest.raises(CancelledError):
        await first
    assert (await second).code == 200


@pytest.mark.parametrize("body", [None, b"abc"])
@pytest_twisted.ensureDeferred
async def test_a_server_that_refuses(client: HTTPClient, body: bytes | None) -> None:
    port = RefusingPort()
    with pytest.raises(ConnectFailed):
        await client.post(f"http://127.0.0.1:{port.port}/", data=body)
    port.close()


@pytest_twisted.ensureDeferred
async def test_a_server_that_says_nothing(make: Make, scripted: ScriptedUpstream) -> None:
    scripted.handler = silent
    with pytest.raises(ResponseTimeout):
        await HTTPClient(make(response_timeout=0.1)).post(url(scripted), data=b"abc")


@pytest_twisted.ensureDeferred
async def test_a_server_that_closes(client: HTTPClient, scripted: ScriptedUpstream) -> None:
    scripted.handler = respond(b"", close=True)
    with pytest.raises(UpstreamClosed):
        await client.get(url(scripted))


@pytest_twisted.ensureDeferred
async def test_a_body_that_breaks_off(client: HTTPClient, scripted: ScriptedUpstream) -> None:
    scripted.handler = respond(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", close=True)
    response = await client.get(url(scripted))
    with pytest.raises(ResponseFailed):
        await response.content()


@pytest_twisted.ensureDeferred
async def test_what_treq_adds_works_over_it(client: HTTPClient, scripted: ScriptedUpstream) -> None:
    """Redirects, cookies, decoding: for the gateway's own requests they are welcome."""
    body = gzip.compress(b'{"a": 1}')
    answers = [
        b"HTTP/1.1 302 Found\r\nLocation: /b\r\nSet-Cookie: c=1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body),
    ]

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(answers.pop(0))

    scripted.handler = handler
    response = await client.get(url(scripted))
    assert await response.json() == {"a": 1}
    assert [got.target for got in scripted.requests] == [b"/a", b"/b"]
    assert scripted.requests[1].headers.get(b"cookie") == b"c=1"
    assert len(response.history()) == 1


@pytest.mark.parametrize("address", ["https://127.0.0.1/", "ftp://127.0.0.1/", "http:///"])
@pytest_twisted.ensureDeferred
async def test_other_schemes(make: Make, address: str) -> None:
    with pytest.raises(SchemeNotSupported):
        await make().request(b"GET", address.encode(), None, FileBodyProducer(BytesIO(b"")))
