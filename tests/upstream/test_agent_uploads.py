"""The agent's request bodies: how they are framed, when they wait, what stops them."""

from __future__ import annotations

import threading
from io import BytesIO
from typing import Any

import pytest
import pytest_twisted
import treq
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.threads import deferToThread
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from tests.upstream.conftest import Make
from tests.wire.kit.bulk import digest, pieces
from tests.wire.kit.messages import Framing
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, silent

MIB = 1 << 20


def url(scripted: ScriptedUpstream, path: str = "/a") -> str:
    return f"http://127.0.0.1:{scripted.port}{path}"


@pytest.mark.parametrize("size", [0, 3, 3 * MIB])
@pytest_twisted.ensureDeferred
async def test_post(client: HTTPClient, scripted: ScriptedUpstream, size: int) -> None:
    response = await client.post(url(scripted), data=b"a" * size)
    assert await response.content() == b"ok"
    got = scripted.only_request()
    assert (got.framing, got.body) == (Framing.LENGTH, b"a" * size)


@pytest_twisted.ensureDeferred
async def test_post_without_a_body(client: HTTPClient, scripted: ScriptedUpstream) -> None:
    await (await client.post(url(scripted))).content()
    assert scripted.only_request().headers.get(b"content-length") == b"0"


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
async def test_a_body_of_unknown_length_is_chunked(make: Make, scripted: ScriptedUpstream) -> None:
    body = Pieces(b"ab", b"", b"cd")
    response = await make().request(b"POST", url(scripted).encode(), None, body)
    assert await treq.content(response) == b"ok"
    got = scripted.only_request()
    assert (got.framing, got.body, body.stopped) == (Framing.CHUNKED, b"abcd", 0)


@pytest_twisted.ensureDeferred
async def test_a_body_waits_for_the_server_to_read(client: HTTPClient, scripted: ScriptedUpstream) -> None:
    """More than fits into the buffers on its way."""
    digests: list[tuple[int, str]] = []

    def handler(connection: UpstreamConnection) -> None:
        head = connection.read_head()
        threading.Event().wait(0.1)
        digests.append(digest(connection.stream_body(head)))
        connection.send(OK)

    scripted.handler = handler
    size = 16 * MIB
    response = await client.post(url(scripted), data=BytesIO(b"".join(pieces(size))))
    assert await response.content() == b"ok"
    assert digests == [digest(pieces(size))]


@pytest_twisted.ensureDeferred
async def test_cancelling_stops_the_upload(make: Make, scripted: ScriptedUpstream) -> None:
    def handler(connection: UpstreamConnection) -> None:
        connection.read_head()
        connection.wait_ended()

    scripted.handler = handler
    body = Endless()
    response = make().request(b"POST", url(scripted).encode(), None, body)
    await deferToThread(scripted.wait_for_requests, 1, complete=False)
    response.cancel()
    with pytest.raises(CancelledError):
        await response
    assert body.stopped == 1
    await deferToThread(scripted.wait_dropped)


@pytest_twisted.ensureDeferred
async def test_an_early_answer_stops_the_upload(make: Make, scripted: ScriptedUpstream) -> None:
    def handler(connection: UpstreamConnection) -> None:
        connection.read_head()
        connection.send(OK)
        connection.wait_ended()

    scripted.handler = handler
    body = Endless()
    response = await make().request(b"POST", url(scripted).encode(), None, body)
    assert await treq.content(response) == b"ok"
    assert body.stopped == 1


@pytest_twisted.ensureDeferred
async def test_a_body_that_fails_breaks_the_request_off(make: Make, scripted: ScriptedUpstream) -> None:
    scripted.handler = silent
    body = Pieces(b"ab", error=ValueError("no more"))
    with pytest.raises(ValueError, match="no more"):
        await make().request(b"POST", url(scripted).encode(), None, body)
    await deferToThread(scripted.wait_dropped)
    assert not any(got.complete for got in scripted.requests)
