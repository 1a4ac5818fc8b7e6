"""The way into the pools: for forwarded traffic by `connect()`, for the gateway's own requests as Twisted's IAgent.

IAgent is what treq stands on; its responses are streamed with back-pressure, by the same connections and parser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers as WebHeaders
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IClientRequest, IResponse
from zope.interface import implementer

from gwproxy.config.addresses import ServerAddress
from gwproxy.errors import GatewayError
from gwproxy.http.headers import Headers
from gwproxy.http.response import ResponseHead
from gwproxy.upstream.pool import Waiter
from gwproxy.upstream.protocol import UpstreamConnection
from gwproxy.upstream.server import Server

_MAX_SERVERS: Final = 256


@implementer(IAgent)
class UpstreamAgent:
    """One a gateway."""

    def __init__(self, make_server: Callable[[ServerAddress], Server]) -> None:
        """`make_server` makes the pool of an address that only the gateway itself talks to."""
        self._make_server = make_server
        self._servers: dict[ServerAddress, Server] = {}

    def connect(self, server: Server, waiter: Waiter, fresh: bool, careful: bool) -> None:
        """Gives `waiter` a connection to `server`: see UpstreamClient.forward."""
        pool = server.pool
        connection = None if fresh else pool.take()
        if connection is not None and (careful or connection.rested_long()):
            # Those below it in the pool have rested even longer.
            while connection is not None and not connection.looks_alive():
                connection.close()
                connection = pool.take()
        if connection is None:
            pool.wait(waiter)
        else:
            waiter.connection_ready(connection)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: WebHeaders | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """IAgent: one request to an http URL. Fails with a GatewayError."""
        parts = urlsplit(uri.decode("ascii"))
        if parts.scheme != "http" or not parts.hostname:
            return fail(SchemeNotSupported(f"no such scheme here: {parts.scheme!r}"))
        address = ServerAddress("tcp", parts.hostname, parts.port or 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields: Headers = [(b"Host", address.authority.encode())]
        for name, values in (headers or WebHeaders()).getAllRawHeaders():
            if name.lower() not in (b"host", b"content-length", b"transfer-encoding", b"connection"):
                fields += [(name, value) for value in values]
        server = self._server(address)
        exchange = _AgentExchange(server, method, uri, target.encode("ascii"), fields, bodyProducer)
        try:
            self.connect(server, exchange, False, method not in (b"GET", b"HEAD"))
        except GatewayError as error:
            return fail(error)
        return exchange.response

    def _server(self, address: ServerAddress) -> Server:
        server = self._servers.get(address)
        if server is None:
            if len(self._servers) >= _MAX_SERVERS:
                self.close()
            server = self._servers[address] = self._make_server(address)
        return server

    def close(self) -> None:
        """Closes idle connections of the gateway's own requests."""
        servers, self._servers = self._servers, {}
        for server in servers.values():
            server.pool.close()


class _AgentExchange:
    """One request of IAgent: a waiter, a receiver, and the consumer that its body producer writes to."""

    def __init__(
        self, server: Server, method: bytes, uri: bytes, target: bytes, headers: Headers, producer: IBodyProducer | None
    ) -> None:
        self._server = server
        self._method = method
        self._uri = uri
        self._target = target
        self._headers = headers
        self._producer: Any = producer  # zope interfaces are no types for attribute access
        self._producing = False
        self._connection: UpstreamConnection | None = None
        self._received: AgentResponse | None = None
        self._over = False
        self.response: Deferred[IResponse] = Deferred(lambda _: self.abort())

    def connection_ready(self, connection: UpstreamConnection) -> None:
        """For the pool."""
        self._connection = connection
        producer = self._producer
        chunked = producer is not None and producer.length == UNKNOWN_LENGTH
        length = None if producer is None or chunked else producer.length
        if producer is None and self._method not in (b"GET", b"HEAD", b"DELETE", b"OPTIONS"):
            length = 0
        connection.send(self._method, self._target, self._headers, b"", length, chunked, self)
        if chunked or length:
            self._producing = True
            producer.startProducing(self).addCallbacks(lambda _: self._body_sent(), self._body_failed)
            connection.flush()

    def connection_failed(self, error: GatewayError) -> None:
        """For the pool."""
        self.response_failed(error)

    def write(self, data: bytes) -> None:
        """IConsumer, for the body producer."""
        if self._connection is not None and data:
            self._connection.send_body(data)

    def _body_sent(self) -> None:
        self._producing = False
        if self._connection is not None:
            self._connection.end_body([])

    def _body_failed(self, failure: Failure) -> None:
        self._producing = False
        if not self._over:
            self.abort()
            self._tell(failure)

    def abort(self) -> None:
        """Ends it here; the connection cannot be used again."""
        if self._over:
            return
        connection = self._connection
        self._end()
        if connection is not None:
            connection.close()
        else:
            self._server.pool.leave(self)

    def _end(self) -> None:
        """Nothing is sent or received any more."""
        self._over = True
        self._connection = None
        if self._producing:
            self._producing = False
            self._producer.stopProducing()

    def _tell(self, failure: Failure) -> None:
        if self._received is not None:
            self._received.end(Failure(ResponseFailed([failure])))
        else:
            self.response.errback(failure)

    def pause(self) -> None:
        """For who reads the body. After its end the connection is somebody else's."""
        if self._connection is not None:
            self._connection.pause_response()

    def resume(self) -> None:
        """The same."""
        if self._connection is not None:
            self._connection.resume_response()

    # Receiver

    def response_informational(self, head: ResponseHead) -> None:
        """Of no use here."""

    def response_head(self, head: ResponseHead, length: int | None) -> None:
        self._received = AgentResponse(head, length, self, SentRequest(self._method, self._uri, self._headers))
        self.response.callback(self._received)

    def response_data(self, data: bytes) -> None:
        assert self._received is not None
        self._received.data(data)

    def response_flush(self) -> None:
        """Nothing is held here."""

    def response_end(self, trailers: Headers) -> None:
        self._end()
        assert self._received is not None
        self._received.end(Failure(ResponseDone()))

    def response_failed(self, error: GatewayError) -> None:
        if not self._over:
            self._end()
            self._tell(Failure(error))

    def upload_pause(self) -> None:
        if self._producing:
            self._producer.pauseProducing()

    def upload_resume(self) -> None:
        if self._producing:
            self._producer.resumeProducing()


@implementer(IClientRequest)
class SentRequest:
    """What a response says of its request."""

    def __init__(self, method: bytes, uri: bytes, headers: Headers) -> None:
        self.method = method
        self.absoluteURI = uri
        self.headers = web_headers(headers)


def web_headers(headers: Headers) -> WebHeaders:
    """Fields as Twisted's."""
    found = WebHeaders()
    for name, value in headers:
        found.addRawHeader(name, value)
    return found


@implementer(IResponse)
class AgentResponse:
    """A response as treq and Agent's users know it. Its body waits, and its server with it, until deliverBody()."""

    previousResponse = None

    def __init__(self, head: ResponseHead, length: int | None, exchange: _AgentExchange, request: SentRequest) -> None:
        self.version = (b"HTTP", 1, head.minor)
        self.code = head.status
        self.phrase = head.reason
        self.headers = web_headers(head.headers)
        self.length: Any = UNKNOWN_LENGTH if length is None else length
        self.request = request
        self._exchange = exchange
        self._protocol: TwistedProtocol | None = None
        self._early: list[bytes] = []
        self._ended: Failure | None = None
        exchange.pause()

    def setPreviousResponse(self, response: IResponse) -> None:
        self.previousResponse = response

    def deliverBody(self, protocol: TwistedProtocol) -> None:
        """Sends the body to `protocol`, whose transport can pause it and abort it."""
        self._protocol = protocol
        # First, since the protocol may pause it again at what it gets.
        self._exchange.resume()
        protocol.makeConnection(_BodyTransport(self._exchange))
        early, self._early = self._early, []
        for data in early:
            protocol.dataReceived(data)
        if self._ended is not None:
            protocol.connectionLost(self._ended)

    def data(self, data: bytes) -> None:
        """A piece of the body."""
        if self._protocol is None:
            self._early.append(data)
        else:
            self._protocol.dataReceived(data)

    def end(self, reason: Failure) -> None:
        """The body is over."""
        self._ended = reason
        if self._protocol is not None:
            self._protocol.connectionLost(reason)


class _BodyTransport:
    """What a body's receiver may do to its connection."""

    disconnecting = False

    def __init__(self, exchange: _AgentExchange) -> None:
        self._exchange = exchange

    def pauseProducing(self) -> None:
        self._exchange.pause()

    def resumeProducing(self) -> None:
        self._exchange.resume()

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        self.disconnecting = True
        self._exchange.abort()

    def abortConnection(self) -> None:
        self.loseConnection()
