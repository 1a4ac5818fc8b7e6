"""A request as twisted.web resources know it (IRequest), cheap until a resource asks for more.

Twisted's own class makes headers, cookies and a buffer for every request. This one is the same class with all of that
made on first use: the gateway's own leaves never ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from twisted.internet.interfaces import IProducer
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.error import UnsupportedMethod
from twisted.web.http import NOT_MODIFIED, datetimeToString
from twisted.web.http_headers import Headers as WebHeaders
from twisted.web.server import NOT_DONE_YET

from gwproxy.edge.pull import PullToPush
from gwproxy.errors import ClientGone, InternalError, Reason
from gwproxy.filters.api import Reply
from gwproxy.http.host import parse_host
from gwproxy.http.request import RequestHead
from gwproxy.http.response import BODILESS
from gwproxy.http.target import Target, parse_target

if TYPE_CHECKING:
    from gwproxy.edge.channel import EdgeChannel
    from gwproxy.http.headers import Headers
    from gwproxy.proxy.exchange import Exchange

_UNJUDGED = Target(b"", b"", b"", False)


class EdgeRequest(server.Request):
    """One request. `head`, `target` and `host_name` are the gateway's; the rest is IRequest's."""

    _left: int | None = None  # bytes of the declared body that are to come
    channel: EdgeChannel  # type: ignore[assignment]  # ours, with what this class uses of Twisted's
    exchange: Exchange

    def __init__(self, channel: EdgeChannel, head: RequestHead, judged: bool = True) -> None:
        """Raises BadTarget and BadHost, unless the head was refused already (not `judged`)."""
        # Not super().__init__(): what it makes is made when it is first read, by _LAZY.
        self.channel = channel
        self.head = head
        self.method = head.method
        self.uri = head.target
        self.target = _UNJUDGED
        self.host_name = b""
        if judged:
            target = self.target = parse_target(head.method, head.target)
            authority = head.host if target.authority is None else target.authority
            if head.host is not None:
                self.host_name = parse_host(head.host).name
            if authority is not None and authority is not head.host:
                self.host_name = parse_host(authority).name

    def __repr__(self) -> str:
        return f"<EdgeRequest {self.method!r} {self.uri!r}>"

    def render(self, resrc: Any) -> None:
        """Has a resource answer. As Twisted does it, but where it would make an error page of its own, ours is sent."""
        try:
            body = resrc.render(self)
        except UnsupportedMethod as unsupported:
            self.refuse(Reply(405, [(b"Allow", b", ".join(sorted(unsupported.allowedMethods)))], reason=Reason.METHOD))
            return
        if body == NOT_DONE_YET:
            return
        if not isinstance(body, bytes):
            raise TypeError(f"{resrc!r} rendered {type(body).__name__}, not bytes")
        if body or self.method != b"HEAD":
            self.setHeader(b"Content-Length", b"%d" % len(body))
        self.write(body)
        self.finish()

    def refuse(self, reply: Reply) -> None:
        """Answers with a reply of the gateway's in place of the resource's answer."""
        self.finished = 1
        self.exchange.producer = None
        self.exchange.reply(reply)

    # What a resource writes

    def write(self, data: bytes) -> None:
        """IRequest: a piece of the response; the first one writes the head."""
        if self.finished or self._disconnected:
            return
        if not self.startedWriting:
            self.startedWriting = 1
            self._commit()
        if data and self.method != b"HEAD":
            if self._left is not None:
                # What is more than was declared (a file that grows) would be taken for the next response.
                data = data[: self._left]
                self._left -= len(data)
            self.exchange.write(data)
        self.exchange.flush()

    def _commit(self) -> None:
        response_headers = self.responseHeaders
        lengths = response_headers.getRawHeaders(b"content-length")
        headers: Headers = []
        for name, values in response_headers.getAllRawHeaders():
            if name.lower() not in (b"content-length", b"transfer-encoding", b"connection"):
                headers += [(name, value) for value in values]
        headers += [(b"Set-Cookie", cookie) for cookie in self.cookies]
        if self.lastModified is not None and not response_headers.hasHeader(b"last-modified"):
            headers.append((b"Last-Modified", datetimeToString(self.lastModified)))
        if self.etag is not None:
            headers.append((b"ETag", self.etag))
        length = int(lengths[-1]) if lengths else None
        kind = self.defaultContentType
        if kind and length != 0 and self.code not in BODILESS and not response_headers.hasHeader(b"content-type"):
            headers.append((b"Content-Type", kind))
        # Twisted says 0, which would be the length of what the client has (RFC 9110 section 8.6).
        declared = None if self.code == NOT_MODIFIED else length
        self._left = None if self.method == b"HEAD" or self.code in BODILESS else length
        self.exchange.commit(self.code, self.code_message, headers, length, declared)

    def finish(self) -> None:
        """IRequest: the response is whole."""
        if self._disconnected or self.finished:
            return
        if not self.startedWriting:
            self.write(b"")
        self.finished = 1
        if self._left:
            self.exchange.fail(InternalError("a resource wrote less than it declared"))
            return
        self.exchange.end([])
        notifications, self.notifications = self.notifications, []
        for waiting in notifications:
            waiting.callback(None)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """IConsumer: `producer` writes the response as fast as the client takes it."""
        if self.producer is not None:
            raise ValueError("a producer is registered already")
        if streaming:
            self.producer = producer
        else:
            self.producer = pulled = PullToPush(producer, self.channel.listener.reactor)
            pulled.start()
        self.streamingProducer = True
        if self.channel.write_paused:
            self.pause_response()

    def unregisterProducer(self) -> None:
        """IConsumer: it has nothing more."""
        producer, self.producer = self.producer, None
        if isinstance(producer, PullToPush):
            producer.stop()

    # The exchange's producer

    def pause_response(self) -> None:
        """The client does not take it as fast."""
        if self.producer is not None:
            self.producer.pauseProducing()

    def resume_response(self) -> None:
        """It does again."""
        if self.producer is not None:
            self.producer.resumeProducing()

    def cancel(self) -> None:
        """Nobody wants the response any more."""
        self._disconnected = True
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        notifications, self.notifications = self.notifications, []
        for waiting in notifications:
            waiting.errback(Failure(ClientGone()))

    def processingFailed(self, reason: Failure) -> Failure:
        """What Twisted calls when a resource raised: the exchange answers, as for every defect."""
        self.exchange.crash("a resource", reason)
        return reason


def _request_headers(request: EdgeRequest) -> WebHeaders:
    headers = WebHeaders()
    if request.head.host is not None:
        headers.addRawHeader(b"Host", request.head.host)
    for name, value in request.head.headers:
        headers.addRawHeader(name, value)
    if request.head.content_length is not None:
        headers.addRawHeader(b"Content-Length", b"%d" % request.head.content_length)
    return headers


def _cookies(request: EdgeRequest) -> dict[bytes, bytes]:
    cookies: dict[bytes, bytes] = {}
    request.__dict__["received_cookies"] = cookies
    request.parseCookies()
    return cookies


class _Lazy:
    """An attribute that is made when it is first read."""

    def __init__(self, name: str, make: Callable[[EdgeRequest], Any]) -> None:
        self._name = name
        self._make = make

    def __get__(self, request: EdgeRequest, owner: type) -> Any:
        value = request.__dict__[self._name] = self._make(request)
        return value


# What Twisted's __init__, its parsing and its channel would have set. Request bodies are not read for resources.
_LAZY: Mapping[str, Callable[[Any], Any]] = {
    "requestHeaders": _request_headers,
    "responseHeaders": lambda request: WebHeaders(),
    "received_cookies": _cookies,
    "cookies": lambda request: [],
    "notifications": lambda request: [],
    "content": lambda request: BytesIO(),
    "args": lambda request: parse_qs(request.target.query, keep_blank_values=True),
    "client": lambda request: request.channel.transport.getPeer(),
    "host": lambda request: request.channel.transport.getHost(),
    "transport": lambda request: request.channel.transport,
    "path": lambda request: request.uri.partition(b"?")[0],
    "prepath": lambda request: [],
    "postpath": lambda request: [],
    "clientproto": lambda request: b"HTTP/1.%d" % request.head.minor,
    "_adapterCache": lambda request: {},
    "site": lambda request: request.channel.listener.site,
}

for _name, _make in _LAZY.items():
    # Some of them are attributes of Twisted's class, too: __getattr__ would never be asked for those.
    setattr(EdgeRequest, _name, _Lazy(_name, _make))
