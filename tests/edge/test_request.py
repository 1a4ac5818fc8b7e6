"""Ordinary twisted.web resources under the gateway: what they read of a request, what becomes of what they write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.logger import LogEvent
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from gwproxy.edge.request import EdgeRequest
from gwproxy.errors import BadHost, BadTarget, ClientGone
from gwproxy.http.request import HeadLimits, RequestHead
from tests.flow.kit.flow import Flow
from tests.flow.kit.wire import BUFFER

Serve = Callable[[IResource], Flow]
GET = b"GET /mounted/a%20b/c?x=1&x=2 HTTP/1.1\r\nHost: a.test:8080\r\nCookie: k=v\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")


class Page(Resource):
    """A resource whose render is a function."""

    isLeaf = True

    def __init__(self, render: Callable[[Any], Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        self.requests: list[Any] = []
        self._render = render

    def render(self, request: Any) -> Any:
        self.requests.append(request)
        return self._render(request)


def test_what_a_resource_reads(serve: Serve) -> None:
    page = Page(lambda request: b"ok")
    flow = serve(page)
    flow.client >> GET
    [request] = page.requests
    web_request: object = request
    assert IRequest.providedBy(web_request)
    assert (request.method, request.uri, request.path) == (b"GET", b"/mounted/a%20b/c?x=1&x=2", b"/mounted/a%20b/c")
    assert (request.prepath, request.postpath) == ([b"mounted"], [b"a b", b"c"])
    assert request.getHeader(b"host") == b"a.test:8080"
    assert request.requestHeaders.getRawHeaders(b"x-a") == [b"1", b"2"]
    assert request.getCookie(b"k") == b"v"
    assert request.clientproto == b"HTTP/1.1"
    assert request.getClientAddress().host == "192.0.2.7"
    assert request.content.read() == b""
    assert request.args == {b"x": [b"1", b"2"]}
    assert request.site is flow.gateway.site
    assert repr(request) == "<EdgeRequest b'GET' b'/mounted/a%20b/c?x=1&x=2'>"
    flow.client << b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok"


def test_what_a_resource_says_of_its_answer(serve: Serve) -> None:
    def render(request: Any) -> bytes:
        request.setResponseCode(404, b"Not Here")
        request.setHeader(b"X-A", b"1")
        request.responseHeaders.addRawHeader(b"X-A", b"2")
        request.addCookie(b"k", b"v")
        request.setHeader(b"Transfer-Encoding", b"evil")
        request.setHeader(b"Connection", b"evil")
        return b"gone"

    flow = serve(Page(render))
    flow.client >> GET
    flow.client << (
        b"HTTP/1.1 404 Not Here\r\nX-A: 1\r\nX-A: 2\r\nSet-Cookie: k=v\r\nContent-Type: text/html\r\n"
        b"Content-Length: 4\r\n\r\ngone"
    )
    assert (flow.last["status"], flow.last["reason"]) == (404, "static")


def test_an_answer_in_pieces_is_chunked(serve: Serve) -> None:
    page = Page(lambda request: NOT_DONE_YET)
    flow = serve(page)
    flow.client >> GET
    [request] = page.requests
    flow.client << b""
    request.write(b"one")
    flow.client << b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    request.write(b"two")
    flow.client << b"3\r\ntwo\r\n"
    request.finish()
    flow.client << b"0\r\n\r\n"
    request.finish()
    request.write(b"too late")
    flow.client << b""


def test_an_answer_without_a_body(serve: Serve) -> None:
    page = Page(lambda request: NOT_DONE_YET)
    flow = serve(page)
    flow.client >> GET
    page.requests[0].setHeader(b"Content-Length", b"0")
    page.requests[0].finish()
    flow.client << b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def declaring(length: bytes, *parts: bytes) -> Page:
    """A resource that says how long its answer is, and writes these parts."""

    def render(request: Any) -> int:
        request.setHeader(b"Content-Length", length)
        for part in parts:
            request.write(part)
        request.finish()
        return NOT_DONE_YET

    return Page(render)


def test_what_is_more_than_was_declared_is_not_sent(serve: Serve) -> None:
    """As with a file that grows while it is sent: it would be the beginning of the next answer."""
    flow = serve(declaring(b"3", b"ab", b"cdef", b"g"))
    flow.client >> GET
    flow.client << b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nabc"
    assert not flow.client.is_gone


def test_what_is_less_than_was_declared_breaks_off(serve: Serve) -> None:
    flow = serve(declaring(b"3", b"ab"))
    flow.client >> GET
    flow.client << b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nab"
    assert flow.client.was_reset
    flow.logged(status=200, reason="internal")


def test_head(serve: Serve) -> None:
    def render(request: Any) -> int:
        request.setHeader(b"Content-Length", b"3")
        request.write(b"one")
        request.finish()
        return NOT_DONE_YET

    flow = serve(Page(render))
    flow.client >> HEAD
    flow.client << b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n"


def test_a_resource_that_raises(serve: Serve, logged_errors: list[LogEvent]) -> None:
    def render(request: Any) -> bytes:
        raise ValueError("on purpose")

    flow = serve(Page(render))
    flow.client >> GET
    flow.client.refused(500, "internal")
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_a_resource_that_renders_nonsense(serve: Serve, logged_errors: list[LogEvent]) -> None:
    flow = serve(Page(lambda request: "text"))
    flow.client >> GET
    flow.client.refused(500, "internal")
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_a_method_that_a_resource_does_not_have(serve: Serve) -> None:
    class OnlyGet(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            return b"got"

    flow = serve(OnlyGet())  # type: ignore[no-untyped-call]  # Twisted's has no annotations
    flow.client >> GET.replace(b"GET", b"PUT").replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\nab")
    assert flow.client.refused(405, "method")[b"allow"] == b"GET, HEAD"
    flow.client >> HEAD
    flow.client << b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n"
    flow.client >> GET
    assert flow.client.take().endswith(b"\r\n\r\ngot")


def test_a_resource_that_fails_later(serve: Serve, logged_errors: list[LogEvent]) -> None:
    page = Page(lambda request: NOT_DONE_YET)
    flow = serve(page)
    flow.client >> GET
    page.requests[0].write(b"some")
    page.requests[0].processingFailed(Failure(ValueError("on purpose")))
    assert flow.client.was_reset
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_who_waits_for_the_end_is_told(serve: Serve) -> None:
    page = Page(lambda request: NOT_DONE_YET)
    flow = serve(page)
    flow.client >> GET
    told: list[Any] = []
    page.requests[0].notifyFinish().addBoth(told.append)
    page.requests[0].finish()
    assert told == [None]
    flow.client >> GET
    page.requests[1].notifyFinish().addBoth(told.append)
    flow.client.resets()
    assert told[1].check(ClientGone)
    page.requests[1].write(b"to nobody")
    page.requests[1].finish()


@implementer(IPushProducer)
class Pushing:
    def __init__(self) -> None:
        self.did: list[str] = []

    def pauseProducing(self) -> None:
        self.did.append("pause")

    def resumeProducing(self) -> None:
        self.did.append("resume")

    def stopProducing(self) -> None:
        self.did.append("stop")


def test_a_push_producer_goes_as_fast_as_the_client_reads(serve: Serve) -> None:
    page = Page(lambda request: NOT_DONE_YET)
    flow = serve(page)
    flow.client >> GET
    [request] = page.requests
    producer = Pushing()
    request.registerProducer(producer, True)
    with pytest.raises(ValueError, match="already"):
        request.registerProducer(producer, True)
    flow.client.stops_reading()
    request.write(b"x" * (BUFFER + 1))
    assert producer.did == ["pause"]
    flow.client.reads_on()
    assert producer.did == ["pause", "resume"]
    request.unregisterProducer()
    request.finish()
    assert producer.did == ["pause", "resume"]


def test_a_producer_that_comes_when_the_client_is_slow_already(serve: Serve) -> None:
    page = Page(lambda request: NOT_DONE_YET)
    flow = serve(page)
    flow.client >> GET
    [request] = page.requests
    flow.client.stops_reading()
    request.write(b"x" * (BUFFER + 1))
    producer = Pushing()
    request.registerProducer(producer, True)
    assert producer.did == ["pause"]
    flow.client.resets()
    assert producer.did == ["pause", "stop"]


@implementer(IPullProducer)
class Pulled:
    """Writes one large piece each time that it is asked."""

    def __init__(self, request: Any, pieces: int) -> None:
        self.request = request
        self.left = pieces
        self.stopped = False

    def resumeProducing(self) -> None:
        self.left -= 1
        self.request.write(b"x" * (BUFFER + 1))
        if not self.left:
            self.request.unregisterProducer()
            self.request.finish()

    def stopProducing(self) -> None:
        self.stopped = True


def test_a_pull_producer_is_asked_as_fast_as_the_client_reads(serve: Serve) -> None:
    page = Page(lambda request: NOT_DONE_YET)
    flow = serve(page)
    flow.client >> GET
    flow.client.stops_reading()
    [request] = page.requests
    request.setHeader(b"Content-Length", b"%d" % (3 * BUFFER + 3))
    producer = Pulled(request, 3)
    request.registerProducer(producer, False)
    flow.clock.advance(0)
    assert producer.left == 2
    flow.client.reads_on()
    assert flow.client.take().partition(b"\r\n\r\n")[2].count(b"x") == 3 * BUFFER + 3
    assert flow.last["bytes_out"] == 3 * BUFFER + 3


def test_a_pull_producer_of_a_client_that_goes(serve: Serve) -> None:
    page = Page(lambda request: NOT_DONE_YET)
    flow = serve(page)
    flow.client >> GET
    producer = Pulled(page.requests[0], 9)
    page.requests[0].registerProducer(producer, False)
    flow.client.resets()
    assert producer.stopped
    assert producer.left == 9


# What the gateway itself reads of a request


def request_for(data: bytes, judged: bool = True) -> EdgeRequest:
    head = RequestHead()
    head.read(data, HeadLimits())
    channel: Any = None
    return EdgeRequest(channel, head, judged)


def test_the_host_that_counts() -> None:
    assert request_for(b"GET / HTTP/1.1\r\nHost: A.Test.:80\r\n\r\n").host_name == b"a.test"
    assert request_for(b"GET http://B.test/ HTTP/1.1\r\nHost: a\r\n\r\n").host_name == b"b.test"
    assert request_for(b"GET / HTTP/1.0\r\n\r\n").host_name == b""
    assert request_for(b"GET http://b/ HTTP/1.0\r\n\r\n").host_name == b"b"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BadHost),
        (b"GET http://b/ HTTP/1.1\r\nHost: a@b\r\n\r\n", BadHost),
        (b"GET http://a..b/ HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
    ],
)
def test_what_is_refused_can_still_be_logged(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        request_for(data)
    refused = request_for(data, judged=False)
    assert (refused.method, refused.host_name, refused.target.path) == (b"GET", b"", b"")
