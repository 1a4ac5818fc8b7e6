"""The action of a route with an upstream: attempts at its servers, until one answers or none may be tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gwproxy.config.model import EncodedSlashes, RouteOptions
from gwproxy.errors import (
    BadTarget,
    BodyTooLarge,
    GatewayError,
    LoopDetected,
    NoServer,
    UpgradeRefused,
    UpstreamClosed,
)
from gwproxy.filters.api import Outgoing
from gwproxy.filters.vouched import VouchedFields
from gwproxy.http.headers import Headers, allowed_trailers, list_items, trailer_names
from gwproxy.http.response import ResponseHead
from gwproxy.http.target import has_encoded_slash, rewrite_path
from gwproxy.http.writing import CONTINUE, fields, status_line
from gwproxy.proxy.outgoing import hop_lines
from gwproxy.upstream.client import UpstreamClient
from gwproxy.upstream.protocol import UpstreamConnection
from gwproxy.upstream.server import Server, Upstream

if TYPE_CHECKING:
    from gwproxy.proxy.exchange import Exchange

# Methods that may be sent again when the server may have seen them (RFC 9110 section 9.2.1). PUT and DELETE are
# idempotent on paper; what a service makes of them is not ours to guess.
_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})

# A request may pass this gateway so often; more is a circle (CORRECTNESS H8).
_MAX_PASSES: Final = 3


class Forward:
    """Forwards the exchanges of one route."""

    __slots__ = (
        "_add",
        "_literal_host",
        "_options",
        "_pass_host",
        "_reject_slashes",
        "_rewrites",
        "_strip",
        "client",
        "guarded",
        "upstream",
    )

    def __init__(
        self, options: RouteOptions, upstream: Upstream, client: UpstreamClient, guarded: VouchedFields
    ) -> None:
        """`guarded`: the request fields that filters of the route set, take away or judge. No trailer may have them:
        what a server merges into the head is as good as in it."""
        self._options = options
        self.upstream = upstream
        self.client = client
        self.guarded = guarded
        self._strip = options.strip_prefix.encode()
        self._add = options.add_prefix.encode()
        self._rewrites = bool(self._strip or self._add)
        self._pass_host = options.host_header == "pass"
        self._literal_host = None if options.host_header in ("pass", "upstream") else options.host_header.encode()
        self._reject_slashes = options.encoded_slashes is EncodedSlashes.REJECT

    def begin(self, exchange: Exchange) -> None:
        """Judges what only this route can, then makes the first attempt. Raises GatewayError."""
        head = exchange.head
        exchange.upstream_name = self.upstream.name
        if head.upgrade is not None and b"websocket" in list_items(head.upgrade):
            head.keep_alive = False  # what the client sends next may be no HTTP, or pretend to be (SCORECARD A7)
            raise UpgradeRefused("this route takes no WebSocket")
        if head.via is not None and self._passes(head.via, exchange.settings.via) >= _MAX_PASSES:
            raise LoopDetected()
        if self._reject_slashes and has_encoded_slash(exchange.request.target.raw_path):
            raise BadTarget("an encoded slash")
        limit = self._options.max_body
        if limit and max(head.content_length or 0, exchange.bytes_in) > limit:
            raise BodyTooLarge()
        Attempt(self, exchange, self._target(exchange), ()).start(None)

    def _passes(self, via: bytes, own: bytes) -> int:
        own = own.lower()
        return sum(1 for hop in list_items(via) if hop.split()[1:2] == [own])

    def _target(self, exchange: Exchange) -> bytes:
        """Path and query for the upstream, byte for byte as received but for what the route rewrites."""
        target = exchange.request.target
        path = target.raw_path
        if self._rewrites and not target.asterisk:
            path = rewrite_path(path, target.path, self._strip, self._add)
        return path + b"?" + target.query if target.has_query else path

    def host_header(self, exchange: Exchange, server: Server) -> bytes:
        """The Host that the upstream sees (CORRECTNESS X7)."""
        if self._pass_host:
            authority = exchange.authority
            if authority:
                return authority
        elif self._literal_host is not None:
            return self._literal_host
        return server.host_header.encode()

    @property
    def max_body(self) -> int:
        """Bytes; 0 for no bound."""
        return self._options.max_body

    @property
    def retries(self) -> int:
        """Other attempts that may follow the first."""
        return self.upstream.options.retries


class Attempt:
    """One try at one server: waits for a connection, sends the request over it, receives the response.

    It is the exchange's producer, the connection's receiver and the body's sink; once it failed or was cancelled, none
    of them can do anything through it.
    """

    __slots__ = (
        "_body_started",
        "_connection",
        "_dead",
        "_exchange",
        "_forward",
        "_fresh",
        "_server",
        "_started",
        "_target",
        "_tried",
    )

    def __init__(self, forward: Forward, exchange: Exchange, target: bytes, tried: tuple[Server, ...]) -> None:
        self._forward = forward
        self._exchange = exchange
        self._target = target
        self._tried = tried
        self._server: Server | None = None
        self._connection: UpstreamConnection | None = None
        self._body_started = False
        self._dead = False
        self._fresh = False

    def start(self, server: Server | None) -> None:
        """Picks a server, or tries `server` once more over a new connection. Raises GatewayError."""
        exchange = self._exchange
        self._started = exchange.settings.seconds()
        self._fresh = server is not None
        picked = server or self._forward.upstream.pick(self._tried, self._started)
        if picked is None:
            raise NoServer()
        self._server = picked
        exchange.server_label = picked.label
        exchange.tries += 1
        exchange.producer = self
        picked.active += 1
        head = exchange.head
        careful = exchange.method not in _SAFE or head.chunked or head.content_length is not None
        try:
            self._forward.client.forward(picked, self, self._fresh, careful)
        except GatewayError as error:
            self._leave(error.reason)
            raise

    def _leave(self, outcome: str) -> Server:
        """The server's counters, exactly once an attempt."""
        server = self._server
        assert server is not None
        self._dead = True
        server.active -= 1
        server.outcomes[outcome] += 1
        self._exchange.upstream_seconds = self._exchange.settings.seconds() - self._started
        return server

    # From the pool

    def connection_ready(self, connection: UpstreamConnection) -> None:
        """Writes the request head, and lets the body come."""
        exchange = self._exchange
        self._connection = connection
        server = self._server
        assert server is not None and exchange.route is not None
        method, target = exchange.method, self._target
        headers = [(b"Host", self._forward.host_header(exchange, server)), *exchange.headers]
        chain = exchange.route.filters
        if chain.has_attempt:
            outgoing = exchange.outgoing = Outgoing(method, target, headers)
            try:
                chain.run_attempt(exchange)
            except Exception:
                exchange.crash("a filter's on_attempt")  # which cancels this attempt
                return
            method, target, headers = outgoing.method, outgoing.target, outgoing.headers
        head = exchange.head
        try:
            connection.send(
                method,
                target,
                headers,
                hop_lines(exchange, self._forward.guarded),
                head.content_length,
                head.chunked,
                self,
            )
        except Exception:
            # The pool calls this, perhaps in the middle of another exchange's end, which must not suffer from it.
            exchange.crash("what filters made of the request")
            return
        if head.chunked or head.content_length:
            held = exchange.buffered
            # What is held whole can be sent again.
            self._body_started = held is None or not held.complete
            if held is None:
                exchange.downstream.start_body(self)
            else:
                held.pass_on(self)
                if exchange.method not in _SAFE:
                    exchange.buffered = None  # no other attempt may follow: it need not be held until the answer
            connection.flush()

    def connection_failed(self, error: GatewayError) -> None:
        """No connection: nothing was sent."""
        if not self._dead:
            self._failed(error, error.retryable)

    # From the client: the request body

    def body_data(self, data: bytes) -> None:
        """A piece of the request body."""
        if self._dead:
            return
        exchange = self._exchange
        exchange.bytes_in += len(data)
        limit = self._forward.max_body
        if limit and exchange.bytes_in > limit:
            exchange.fail(BodyTooLarge())
            return
        if exchange.body_limits is not None and exchange.over_limit():
            return
        assert self._connection is not None
        self._connection.send_body(data)

    def body_held(self, data: bytes) -> None:
        """What filters have read of it."""
        assert self._connection is not None
        self._connection.send_body(data)

    def body_end(self, trailers: Headers) -> None:
        """The request body is whole."""
        if not self._dead:
            assert self._connection is not None
            trailers = allowed_trailers(trailers)
            self._forward.guarded.strip(trailers)
            self._connection.end_body(trailers)

    def upload_pause(self) -> None:
        """The server does not take the body as fast as the client sends."""
        self._exchange.downstream.pause_body()

    def upload_resume(self) -> None:
        """It does again."""
        self._exchange.downstream.resume_body()

    # From the upstream: the response

    def response_informational(self, head: ResponseHead) -> None:
        """100 only for who asked; 102 and 103 for all (CORRECTNESS E1, E4)."""
        exchange = self._exchange
        if head.status == 100:
            if exchange.head.expects_continue:
                exchange.informational(CONTINUE[:-2], b"")
        else:
            exchange.informational(status_line(head.status, head.reason), fields(head.headers))

    def response_head(self, head: ResponseHead, length: int | None) -> None:
        """Commits the exchange to this response."""
        exchange = self._exchange
        settings = exchange.settings
        hop = settings.via_lines[head.minor] if head.via is None else settings.via_line(head.minor, head.via)
        exchange.from_upstream = True
        exchange.buffered = None  # no other attempt will need it
        declared = head.content_length
        if head.status == 205:
            length = declared = 0  # RFC 9110 section 15.3.6; what came against it is dropped
        if length is None and head.trailer is not None and head.chunked and exchange.head.minor:
            names = trailer_names(head.trailer)
            if names:
                hop += b"Trailer: %b\r\n" % b", ".join(sorted(names))
        exchange.commit(head.status, head.reason, head.headers, length, declared, hop, head.has_date)

    def response_data(self, data: bytes) -> None:
        """A piece of the body."""
        self._exchange.write(data)

    def response_flush(self) -> None:
        """What was told so far belongs to one event, and that is over."""
        self._exchange.flush()

    def response_end(self, trailers: Headers) -> None:
        """The response is whole."""
        self._leave("ok")
        self._exchange.end(allowed_trailers(trailers) if trailers else trailers)

    def response_failed(self, error: GatewayError) -> None:
        """There will be no more of it. Tries again where the request had no effect, or may have it twice."""
        connection = self._connection
        assert connection is not None
        exchange = self._exchange
        again = False
        if isinstance(error, UpstreamClosed) and not self._body_started and exchange.method in _SAFE:
            again = True
            if connection.exchanges > 1 and not connection.received_any and not self._fresh and not exchange.committed:
                # The server closed an idle connection just when it was used: no fault of its own, and no retry (K1).
                server = self._leave(error.reason)
                self._try(server, error)
                return
        self._failed(error, again)

    def _failed(self, error: GatewayError, retryable: bool) -> None:
        server = self._leave(error.reason)
        exchange = self._exchange
        tried = (*self._tried, server)
        if retryable and not exchange.committed and len(tried) <= self._forward.retries:
            self._tried = tried
            self._try(None, error)
            return
        exchange.fail(error)

    def _try(self, server: Server | None, error: GatewayError) -> None:
        """Another attempt, from the untouched request. If there is no other server, what is told is `error`."""
        exchange = self._exchange
        exchange.producer = None
        try:
            Attempt(self._forward, exchange, self._target, self._tried).start(server)
        except NoServer:
            exchange.fail(error)
        except GatewayError as other:
            exchange.fail(other)

    # From the exchange

    def pause_response(self) -> None:
        """The client does not take the response as fast as it comes."""
        if self._connection is not None:
            self._connection.pause_response()

    def resume_response(self) -> None:
        """It does again."""
        if self._connection is not None:
            self._connection.resume_response()

    def cancel(self) -> None:
        """The exchange ended otherwise: the connection cannot be used again, its server is told by the close."""
        if self._dead:
            return
        server = self._leave("cancelled")
        connection, self._connection = self._connection, None
        if connection is None:
            server.pool.leave(self)
        else:
            connection.close()
