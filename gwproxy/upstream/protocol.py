"""One connection to a server: writes a request as it comes, reads the response, tells the receiver as it goes.

It carries one exchange after the other, and only after one that ended cleanly: the request written whole, the response
read to its declared end, not a byte more. Its receiver is told either the end or a failure, once, and nothing after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from gwproxy.config.model import UpstreamOptions
from gwproxy.deadline import Deadline
from gwproxy.eager import read_no_more, take_over, write_nothing
from gwproxy.errors import (
    BadResponse,
    ClientError,
    GatewayError,
    ResponseTimeout,
    UpstreamBroken,
    UpstreamClosed,
    UpstreamStalled,
)
from gwproxy.http.framing import END, ChunkedDecoder, ResponseHeadReader
from gwproxy.http.headers import Headers
from gwproxy.http.response import ResponseHead, ResponseMemory
from gwproxy.http.writing import chunk, fields, last_chunk
from gwproxy.kernel import looks_open, unsent
from gwproxy.upstream.failures import is_clean_end

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from gwproxy.upstream.pool import Pool
    from gwproxy.upstream.receiver import Receiver

# 1xx responses that one exchange may bring: Early Hints come in ones and twos (CORRECTNESS E4).
MAX_INFORMATIONAL: Final = 8
LONG_REST: Final = 0.5  # seconds; see rested_long()

# What is being read.
HEAD: Final = 0
COUNTED: Final = 1
CHUNKED: Final = 2
UNTIL_CLOSE: Final = 3


@implementer(IPushProducer)
class UpstreamConnection(TwistedProtocol):
    """A connection. As IPushProducer it stands for the request body, towards its own transport."""

    _write: Callable[[bytes], None]
    transport: Any  # ITCPTransport, IConsumer and IPushProducer at once, for which zope has no type

    def __init__(self, pool: Pool, options: UpstreamOptions, reactor: IReactorTime) -> None:
        self._pool = pool
        self._options = options
        self._seconds = reactor.seconds
        self._deadline = Deadline(reactor, self._expired)
        self._receiver: Receiver | None = None
        self.exchanges = 0  # carried so far
        self._method = b""
        self._mode = HEAD
        self._left = 0  # bytes of a counted body that are still to come
        self._reader: ResponseHeadReader | None = None
        self._memory = ResponseMemory()
        self._decoder: ChunkedDecoder | None = None
        self._keep_alive = False
        self._informational = 0
        self.received_any = False  # a byte of this exchange's response
        self._out: list[bytes] | None = None  # the request's beginning, until flush()
        self._sending = False  # the request body is not written whole
        self._sending_chunked = False
        self._read_paused = False
        self._write_paused = False
        self._unsent = 0
        self.lost = False

    def __repr__(self) -> str:
        state = "lost" if self.lost else "idle" if self._receiver is None else "busy"
        return f"<UpstreamConnection {state} exchanges={self.exchanges}>"

    # The connection's life

    def connectionMade(self) -> None:
        self._write = take_over(self.transport, self)
        self._pool.connected(self)

    def rest(self, timeout: float) -> None:
        """For the pool: idle now, for `timeout` seconds at most."""
        self._deadline.set(self._seconds() + timeout)

    def rested_long(self) -> bool:
        """Whether it was idle for so long that the server may have had its fill of waiting, and said so unasked."""
        return self._seconds() - self._deadline.at + self._options.keepalive_timeout > LONG_REST

    def looks_alive(self) -> bool:
        """Whether the server has not closed it meanwhile, as far as the kernel knows. Costs a system call."""
        return not self.lost and looks_open(self.transport)

    def close(self) -> None:
        """Closes it at once. A server that has nothing to say any more needs no farewell."""
        self._receiver = None
        self._out = None
        self._deadline.cancel()
        # The transport tells of its loss in a later turn: until then nobody may get it (K1).
        self._pool.discard(self)
        if not self.lost:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        self._write = write_nothing
        self._deadline.cancel()
        read_no_more(self.transport)
        self._pool.lost(self)
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        if self._mode == UNTIL_CLOSE and is_clean_end(reason):
            receiver.response_end([])
        elif self._mode == HEAD:
            receiver.response_failed(UpstreamClosed(reason.getErrorMessage()))
        else:
            receiver.response_failed(UpstreamBroken(reason.getErrorMessage()))

    def _fail(self, error: GatewayError) -> None:
        receiver = self._receiver
        self.close()
        if receiver is not None:
            receiver.response_failed(error)

    # The request

    def send(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        more: bytes,
        length: int | None,
        chunked: bool,
        receiver: Receiver,
    ) -> None:
        """Begins an exchange: `headers`, and `more` in lines ready to be written, are all fields but those of framing,
        which are made here and nowhere else (CORRECTNESS F11).

        `length` is the body's in bytes, None without one; a body comes by send_body() and end_body(), but one of 0.
        """
        body_follows = chunked or bool(length)
        if chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
        elif length is not None:
            framing = b"Content-Length: %d\r\n" % length
        else:
            framing = b""
        head = b"%b %b HTTP/1.1\r\n%b%b%b\r\n" % (method, target, fields(headers), more, framing)
        self._receiver = receiver
        self._method = method
        self._mode = HEAD
        self._informational = 0
        self.exchanges += 1
        self.received_any = False
        self._sending = body_follows
        self._sending_chunked = chunked
        if body_follows:
            self._out = [head]
            # How fast the client sends is not the server's business: no deadline, unless the server takes nothing.
            self._deadline.clear()
        else:
            self._deadline.set(self._seconds() + self._options.response_timeout)
            self._write(head)

    def flush(self) -> None:
        """Sends the head, with what is there of the body: to be called once after send() with a body."""
        out, self._out = self._out, None
        if out is not None:
            self._write(b"".join(out))

    def send_body(self, data: bytes) -> None:
        """A piece of the request body; its framing is done here."""
        if self._mode != HEAD:  # an exchange both ways: it is alive as long as either moves
            self._rearm()
        pieces = chunk(data) if self._sending_chunked else [data]
        if self._out is not None:
            self._out += pieces
        else:
            self._write(b"".join(pieces) if len(pieces) > 1 else data)

    def end_body(self, trailers: Headers) -> None:
        """The request is whole."""
        self._sending = False
        if self._sending_chunked:
            end = last_chunk(trailers)
            if self._out is not None:
                self._out.append(end)
            else:
                self._write(end)
        if self._mode == HEAD and not self._write_paused:
            self._deadline.set(self._seconds() + self._options.response_timeout)

    def pauseProducing(self) -> None:
        """For the transport: its buffer is full."""
        self._write_paused = True
        if self._receiver is not None:
            self._unsent = unsent(self.transport)
            self._deadline.set(self._seconds() + self._options.idle_timeout)
            self._receiver.upload_pause()

    def resumeProducing(self) -> None:
        """For the transport: its buffer is empty."""
        if not self._write_paused:
            return
        self._write_paused = False
        if self._receiver is not None:
            self._rearm()
            self._receiver.upload_resume()

    def stopProducing(self) -> None:
        """For the transport: it is lost; connectionLost() follows."""

    def _rearm(self) -> None:
        """The deadline that fits what is awaited now."""
        if self._mode != HEAD or self._write_paused:
            self._deadline.set(self._seconds() + self._options.idle_timeout)
        elif self._sending:
            self._deadline.clear()
        else:
            self._deadline.set(self._seconds() + self._options.response_timeout)

    # The response

    def pause_response(self) -> None:
        """The client does not take the body as fast as it comes: read no more of it."""
        if not self._read_paused and not self.lost:
            self._read_paused = True
            self.transport.pauseProducing()

    def resume_response(self) -> None:
        """It goes on."""
        if self._read_paused and not self.lost:
            self._read_paused = False
            self._rearm()
            self.transport.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        if self._receiver is None:
            # Nothing was asked: an answer to nothing must not become the answer to the next request.
            self.close()
            return
        self.received_any = True
        try:
            if self._mode == HEAD:
                self._read_head(data)
            else:
                self._deadline.set(self._seconds() + self._options.idle_timeout)
                self._read_body(data)
            if self._receiver is not None:
                self._receiver.response_flush()
        except BadResponse as error:
            self._fail(error)
        except ClientError as error:  # the chunked decoder does not know whose body it decodes
            self._fail(UpstreamBroken(error.detail) if self._mode == CHUNKED else BadResponse(error.detail))

    def _read_head(self, data: bytes) -> None:
        while True:
            if self._reader is not None:
                found = self._reader.feed(data)
                if found is None:
                    return
                head_bytes, data = found
                self._reader = None
            else:
                end = data.find(END) + 4
                if end < 4:
                    self._reader = ResponseHeadReader(self._options.max_response_header_size)
                    self._reader.feed(data)
                    return
                head_bytes, data = data[:end], data[end:]
            if len(head_bytes) > self._options.max_response_header_size:
                raise BadResponse("the response head is too large")
            head = self._memory.read(head_bytes, self._options.max_response_headers)
            if head.status >= 200:
                self._begin_body(head, data)
                return
            self._read_informational(head)
            if not data or self._receiver is None:
                return

    def _read_informational(self, head: ResponseHead) -> None:
        if head.status == 101:
            raise BadResponse("an upgrade that nobody asked for")
        self._informational += 1
        if self._informational > MAX_INFORMATIONAL:
            raise BadResponse("too many 1xx responses")
        if self._receiver is not None:
            self._receiver.response_informational(head)

    def _begin_body(self, head: ResponseHead, data: bytes) -> None:
        receiver = self._receiver
        assert receiver is not None
        self._keep_alive = head.keep_alive
        length = head.body_length(self._method)
        pieces: list[bytes] = []
        if length is not None:
            self._mode = COUNTED
            self._left = length
        elif head.chunked:
            # What came with the head is judged before it is passed on: so it can still become a 502 (F8).
            self._decoder = ChunkedDecoder()
            pieces = self._decoder.feed(data)
            self._mode = CHUNKED
        else:
            self._mode = UNTIL_CLOSE
            self._keep_alive = False
        receiver.response_head(head, length)
        if self._receiver is not receiver:
            return  # it gave up on what it saw
        if self._mode == CHUNKED:
            self._read_pieces(pieces)
        elif length == 0:
            self._end([], data)
        elif data:
            self._read_body(data)
        if self._receiver is receiver:
            self._deadline.set(self._seconds() + self._options.idle_timeout)

    def _read_body(self, data: bytes) -> None:
        receiver = self._receiver
        assert receiver is not None
        if self._mode == COUNTED:
            left = self._left - len(data)
            if left > 0:
                self._left = left
                receiver.response_data(data)
                return
            excess = b""
            if left < 0:
                data, excess = data[: self._left], data[self._left :]
            self._left = 0
            receiver.response_data(data)
            if self._receiver is receiver:
                self._end([], excess)
        elif self._mode == CHUNKED:
            assert self._decoder is not None
            self._read_pieces(self._decoder.feed(data))
        else:
            receiver.response_data(data)

    def _read_pieces(self, pieces: list[bytes]) -> None:
        receiver, decoder = self._receiver, self._decoder
        assert receiver is not None and decoder is not None
        for piece in pieces:
            receiver.response_data(piece)
            if self._receiver is not receiver:
                return
        if decoder.done:
            self._end(decoder.trailers, decoder.rest)

    def _end(self, trailers: Headers, excess: bytes) -> None:
        """The response is complete; `excess` is what came after it and belongs to nobody."""
        receiver, self._receiver = self._receiver, None
        assert receiver is not None
        self._decoder = None
        if not self._keep_alive or self._sending or excess or self._write_paused:
            self.close()
        else:
            self._mode = HEAD
            if self._read_paused:
                self.resume_response()
            self._pool.release(self)
        receiver.response_end(trailers)

    def _expired(self) -> None:
        if self._receiver is None:
            self.close()  # idle for keepalive_timeout
        elif self._read_paused and self._mode != HEAD:
            # The client is slow, not the server, which may take no more of the request because it cannot answer.
            # resume_response() sets it again.
            self._deadline.clear()
        elif self._write_paused:
            self._check_upload()
        elif self._mode == HEAD:
            self._fail(ResponseTimeout())
        else:
            self._fail(UpstreamStalled("no byte of the response body for idle_timeout"))

    def _check_upload(self) -> None:
        now_unsent = unsent(self.transport)
        if now_unsent and now_unsent != self._unsent:
            self._unsent = now_unsent
            self._deadline.set(self._seconds() + self._options.idle_timeout)
        else:
            self._fail(UpstreamStalled("takes no byte of the request body"))
