"""One client connection: bytes in, requests out, one at a time and in order.

States: `HEAD` (between requests, or inside a head), `BODY` (a request is in flight and its body is being read), `WAIT`
(in flight, read whole), `LINGERING` (answered, the rest of an unwanted body is thrown away), `CLOSED`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gwproxy.eager import read_no_more, take_over, write_nothing
from gwproxy.edge.body import HELD, RequestBody
from gwproxy.edge.farewell import HalfClosed, Linger
from gwproxy.edge.patience import Patience
from gwproxy.edge.request import EdgeRequest
from gwproxy.errors import ClientError, ClientGone, Draining, GatewayError, Overload
from gwproxy.http.forwarded import PeerForwarding
from gwproxy.http.framing import END, HeadSplitter
from gwproxy.http.request import HeadMemory, RequestHead

if TYPE_CHECKING:
    from gwproxy.edge.listener import Listener
    from gwproxy.proxy.downstream import BodySink
    from gwproxy.proxy.exchange import Exchange

HEAD: Final = 0
BODY: Final = 1
WAIT: Final = 2
LINGERING: Final = 3
CLOSED: Final = 4

# A client that pipelines gets so many answers in a row before other connections have their turn.
IN_A_ROW: Final = 16


@implementer(IHalfCloseableProtocol, IPushProducer)
class EdgeChannel(Protocol):
    """A connection: the exchange's Downstream, and, as IPushProducer, the response towards its own transport."""

    write: Callable[[bytes], None]  # bytes of a response
    transport: Any  # ITCPTransport, IConsumer and IPushProducer at once, for which zope has no type

    def __init__(self, listener: Listener, peer: PeerForwarding, trusted: bool) -> None:
        self.listener = listener
        self.scheme = listener.scheme
        self.peer = peer
        self.peer_trusted = trusted
        self.exchange: Exchange | None = None
        self.requests = 0
        self.overload = False  # set by the listener: one connection too many
        self.read_paused = False
        self.write_paused = False
        self._made = listener.reactor.seconds()
        self._patience = Patience(self)
        self._state = HEAD
        self._splitter = HeadSplitter(listener.options.max_header_size, listener.options.max_target)
        self._memory = HeadMemory()
        self._buffer = b""  # arrived, and its turn has not come
        self._body: RequestBody | None = None
        self._body_paused = False
        self._timeout = 0.0  # the route's
        self._pumping = False
        self._fin = False  # the client sends no more
        self._unread = False  # the client may have sent what nobody reads: see _linger_on()
        self._half_closed: HalfClosed | None = None
        self._linger: Linger | None = None

    def __repr__(self) -> str:
        state = ("head", "body", "wait", "lingering", "closed")[self._state]
        return f"<EdgeChannel {self.peer.ip} {state} requests={self.requests}>"

    # Heads

    def connectionMade(self) -> None:
        self.write = take_over(self.transport, self)
        if self.overload:
            self.refuse(Overload())
        else:
            self._patience.for_first_request()

    def dataReceived(self, data: bytes) -> None:
        state = self._state
        if state == HEAD:
            if not self._buffer and not self._splitter.begun and not self.write_paused and data[0] not in b"\r\n":
                # The usual case: one head, whole, and nothing else.
                end = data.find(END) + 4
                if end == len(data):
                    self._begin_request(data, b"")
                    return
            self._buffer = self._buffer + data if self._buffer else data
            self._pump()
        elif state == BODY:
            try:
                self._read_body(data)
            except ClientError as error:
                self.fail_body(error)
        elif state == WAIT:
            self._buffer += data
            self._adjust_reading()
        elif self._linger is not None:
            self._linger.received(len(data))

    def _pump(self) -> None:
        """Reads requests from the buffer, as long as each is answered at once and the client takes the answers."""
        if self._pumping:
            return
        self._pumping = True
        for _ in range(IN_A_ROW):
            if not self._buffer or self._state != HEAD or self.write_paused:
                break
            data, self._buffer = self._buffer, b""
            self._read_head(data)
        self._pumping = False
        # Who pipelines faster than it is answered waits; and what was read no further may have ended inside a head.
        if self.read_paused or len(self._buffer) >= HELD:
            self._adjust_reading()
        if self._buffer and self._state == HEAD and not self.write_paused:
            self.listener.reactor.callLater(0, self._pump)

    def _read_head(self, data: bytes) -> None:
        try:
            found = self._splitter.split(data)
        except ClientError as error:
            self.refuse(error)
            return
        if found is not None:
            self._begin_request(*found)
        elif self._fin:
            self.close()  # the rest of this head will not come
        else:
            self._patience.for_head()

    def _begin_request(self, data: bytes, rest: bytes) -> None:
        listener = self.listener
        head = RequestHead()
        self.requests += 1
        try:
            head.read(data, listener.limits, self._memory)
            request = EdgeRequest(self, head)
        except ClientError as error:
            self.refuse(error, head)
            return
        if (self._fin and not rest) or (listener.ends_connections and listener.closes_after(self.requests, self._made)):
            head.keep_alive = False
        if head.chunked or head.content_length:
            self._state = BODY
            self._timeout = 0.0  # that of the request before says nothing about this one
            self._body = RequestBody(None if head.chunked else head.content_length)
            self._patience.for_body(self._body)
            try:
                # What is wrong with the part that came with the head is known before anything is done.
                self._read_body(rest)
            except ClientError as error:
                head.keep_alive = False
                listener.site.request_refused(request, error)
                return
        else:
            self._state = WAIT
            self._body = None
            self._buffer = rest
        listener.site.request_received(request)
        if self._fin:
            self.readConnectionLost()  # what it meant for the request before, it means for this one

    def refuse(self, error: GatewayError, head: RequestHead | None = None) -> None:
        """Ends the connection by a refusal, answered, logged and counted like any other request."""
        head = head or RequestHead()
        head.keep_alive = False
        self._body = None
        self._buffer = b""
        self._state = WAIT
        self._unread = True
        self._patience.for_nothing()
        self.listener.site.request_refused(EdgeRequest(self, head, judged=False), error)

    # Bodies

    def _read_body(self, data: bytes) -> None:
        body = self._body
        assert body is not None
        rest = body.feed(data)
        if body.complete and self._state == BODY:
            self._state = WAIT
            self._buffer = rest
            self._request_whole()
            body.end()
        self._adjust_reading()

    def _request_whole(self) -> None:
        """The route's timeout runs from here (CORRECTNESS K9)."""
        if self.write_paused:
            self._patience.for_reader()
        elif self.exchange is not None and not self.exchange.committed:
            self._patience.for_response(self._timeout)
        else:
            self._patience.for_nothing()

    def fail_body(self, error: ClientError) -> None:
        """The body cannot be read to its end: so nothing behind it can be read either."""
        exchange = self.exchange
        if exchange is not None:
            exchange.head.keep_alive = False
            exchange.fail(error)

    def _adjust_reading(self) -> None:
        """Reads no further while what has arrived is enough."""
        if self._state == BODY:
            wanted = not self._body_paused and self._body is not None and not self._body.full
        else:
            wanted = len(self._buffer) < HELD
        if wanted == self.read_paused and self._state != CLOSED:
            self.read_paused = not wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self._patience.not_reading()
                self.transport.pauseProducing()

    # For the exchange

    def body_complete(self) -> bool:
        """Whether the request is read to its end."""
        return self._state == WAIT

    def body_at_hand(self) -> bool:
        """Drops what has arrived of an unwanted body; whether that was all."""
        if self._body is not None:
            self._body.discard()
        return self._state == WAIT

    def start_body(self, sink: BodySink) -> None:
        """The body goes to `sink` from now on."""
        if self._body is not None:
            self._body.start(sink)
            self._adjust_reading()

    def pause_body(self) -> None:
        """The sink takes no more for now."""
        self._body_paused = True
        self._adjust_reading()

    def resume_body(self) -> None:
        """It does again."""
        self._body_paused = False
        self._adjust_reading()

    def limit_wait(self, seconds: float) -> None:
        """The time that the response head may take, once the request is whole."""
        self._timeout = seconds
        if self._state == WAIT:
            self._patience.for_response(seconds)

    def response_done(self, keep_alive: bool) -> None:
        """The response is written whole."""
        self.exchange = None
        self._stop_probing()
        if self._state == CLOSED:
            return
        if (self._state == BODY or self._unread) and not self._fin:
            self._linger_on()
        elif not keep_alive or (self._fin and not self._buffer) or self.listener.draining:
            self.close()
        else:
            self._state = HEAD
            self._body = None
            self._body_paused = False
            self._patience.for_request()
            if self.read_paused:
                self._adjust_reading()
            if self._buffer:
                self._pump()

    # The end

    def _linger_on(self) -> None:
        """A response is out while the client still sends: a close now would be a reset, and could destroy it (B2)."""
        self._state = LINGERING
        self._body = None
        self._linger = Linger(self)
        self._patience.for_end()
        if self.read_paused:
            self.read_paused = False
            self.transport.resumeProducing()
        self._linger.begin()

    def close(self) -> None:
        """Closes when all is sent; what the client does not take in time is dropped."""
        if self._state == CLOSED:
            return
        self._state = CLOSED
        self._stop_probing()
        self._patience.for_close()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def break_off(self) -> None:
        """Sends what is written, and then resets: a FIN could be taken for the end of a body without a length (M6)."""
        self._state = CLOSED
        self._stop_probing()
        self.exchange = None
        # What is written leaves with the next look at the sockets, which the second of two turns comes after. A client
        # that does not take it by then does not miss it: the response is broken anyway.
        later = self.listener.reactor.callLater
        later(0, later, 0, self.abort)

    def abort(self) -> None:
        """Cuts the connection."""
        self._state = CLOSED
        self._stop_probing()
        self.exchange = None
        self._patience.end()
        self.transport.abortConnection()

    def cut(self) -> None:
        """For the listener: the drain is over."""
        if self.exchange is not None:
            self.exchange.head.keep_alive = False
            self.exchange.fail(Draining())
        else:
            self.abort()

    def drain(self) -> None:
        """For the listener: closes what serves no request, nor has begun one; others after their answer."""
        if self.exchange is not None:
            self.exchange.head.keep_alive = False  # the answer says so, if its head is yet to come (CORRECTNESS K10)
        elif self._state == HEAD and not self._splitter.begun and not self._buffer:
            self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._state = CLOSED
        self.write = write_nothing
        self._patience.end()
        self._stop_probing()
        self.listener.connection_lost(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.client_lost()
        read_no_more(self.transport)
        self._body = self._linger = None  # they know of this connection, too

    def readConnectionLost(self) -> None:
        """The client sends no more. With its request whole it may still want the answer (CORRECTNESS B6)."""
        exchange = self.exchange
        self._fin = True
        if exchange is None:
            # Not when it is being broken off: that must not become an end in order.
            if self._state != CLOSED and (not self._buffer or self._state != HEAD):
                self.close()
        elif self._state == WAIT:
            exchange.head.keep_alive = bool(self._buffer) and exchange.head.keep_alive
            self._half_closed = HalfClosed(self, self.listener.reactor)
        elif self._state == BODY:
            exchange.client_lost(ClientGone("in the middle of its request body"))

    def writeConnectionLost(self) -> None:
        """Our own side is shut, by the linger: nothing to do."""

    def _stop_probing(self) -> None:
        if self._half_closed is not None:
            self._half_closed.stop()
            self._half_closed = None

    # Back-pressure, from the transport

    def pauseProducing(self) -> None:
        self.write_paused = True
        exchange = self.exchange
        if exchange is not None:
            if self._state == WAIT:
                self._patience.for_reader()
            exchange.pause_response()

    def resumeProducing(self) -> None:
        self.write_paused = False
        exchange = self.exchange
        if exchange is not None:
            if self._state == WAIT:
                self._patience.for_nothing()
            exchange.resume_response()
        elif self._state == HEAD:
            self._patience.for_request()
            self._pump()

    def stopProducing(self) -> None:
        """connectionLost() follows."""
