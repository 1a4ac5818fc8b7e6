"""A network in memory for tests of pools and connections: dials are accepted or refused by hand, time is a Clock."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from gwproxy.config.addresses import ServerAddress
from gwproxy.config.model import UpstreamOptions
from gwproxy.errors import GatewayError
from gwproxy.http.headers import Headers
from gwproxy.http.response import ResponseHead
from gwproxy.upstream.dial import Dialer
from gwproxy.upstream.protocol import UpstreamConnection
from gwproxy.upstream.server import Server


class Wire(StringTransport):
    """One connection's transport. As with a real one, an abort is told in a later turn: by lose()."""

    protocol: UpstreamConnection

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's has no annotations

    def take(self) -> bytes:
        """What was written since the last call."""
        data = self.io.getvalue()
        self.io = BytesIO()
        return data

    def lose(self, reason: Exception | None = None) -> None:
        """The connection is gone."""
        self.connected = False
        if self.producer is not None:
            self.producer.stopProducing()
        self.protocol.connectionLost(Failure(reason or ConnectionDone()))


class Net:
    """The reactor, and one server behind it."""

    def __init__(self, **options: Any) -> None:
        self.reactor: Any = MemoryReactorClock()
        address = ServerAddress("tcp", "127.0.0.1", 9001)
        self.options = UpstreamOptions(servers=(address,), **options)
        self.dialer = Dialer(address, self.reactor, self.options.connect_timeout, self.options.resolve_interval, {})
        self.server = Server(address, self.options, self.dialer, self.reactor)
        self.pool = self.server.pool
        self._answered = 0

    @property
    def dialing(self) -> int:
        """Dials that were neither accepted nor refused."""
        return len(self.reactor.tcpClients) - self._answered

    def _next(self) -> Any:
        factory = self.reactor.tcpClients[self._answered][2]
        self._answered += 1
        return factory

    def accept(self) -> Wire:
        """The oldest dial under way succeeds."""
        protocol = self._next().buildProtocol(None)
        wire = Wire()
        wire.protocol = protocol
        protocol.makeConnection(wire)
        return wire

    def refuse(self, reason: Exception | None = None) -> None:
        """The oldest dial under way fails."""
        self._next().clientConnectionFailed(None, Failure(reason or ConnectionRefusedError()))

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.reactor.advance(seconds)


class Waiting:
    """A waiter: it may be told once."""

    def __init__(self) -> None:
        self.connection: UpstreamConnection | None = None
        self.error: GatewayError | None = None

    def _untold(self) -> None:
        assert self.connection is None and self.error is None, "a waiter is told once"

    def connection_ready(self, connection: UpstreamConnection) -> None:
        self._untold()
        self.connection = connection

    def connection_failed(self, error: GatewayError) -> None:
        self._untold()
        self.error = error


class Recorder:
    """A receiver: it writes down what it is told, and nothing may come after an end or a failure."""

    def __init__(self) -> None:
        self.informational: list[ResponseHead] = []
        self.head: ResponseHead | None = None
        self.length: int | None = -1
        self.body = b""
        self.trailers: Headers | None = None
        self.error: GatewayError | None = None
        self.uploading: list[str] = []
        self.flushes = 0

    @property
    def over(self) -> bool:
        return self.trailers is not None or self.error is not None

    def _tell(self) -> None:
        assert not self.over, "nothing may come after the end"

    def response_informational(self, head: ResponseHead) -> None:
        self._tell()
        assert self.head is None
        self.informational.append(head)

    def response_head(self, head: ResponseHead, length: int | None) -> None:
        self._tell()
        assert self.head is None
        self.head, self.length = head, length

    def response_data(self, data: bytes) -> None:
        self._tell()
        assert self.head is not None and data
        self.body += data

    def response_flush(self) -> None:
        self._tell()
        self.flushes += 1

    def response_end(self, trailers: Headers) -> None:
        self._tell()
        assert self.head is not None
        self.trailers = trailers

    def response_failed(self, error: GatewayError) -> None:
        self._tell()
        self.error = error

    def upload_pause(self) -> None:
        self._tell()
        self.uploading.append("pause")

    def upload_resume(self) -> None:
        self._tell()
        self.uploading.append("resume")


def connected(net: Net) -> Wire:
    """A connection in use, of which nothing is asked yet."""
    net.pool.wait(Waiting())
    return net.accept()


def ask(
    wire: Wire,
    method: bytes = b"GET",
    *,
    headers: Headers | None = None,
    length: int | None = None,
    chunked: bool = False,
    receiver: Any = None,
) -> Any:
    """Sends a request head over the connection. Gives its receiver."""
    receiver = receiver or Recorder()
    wire.protocol.send(method, b"/a?b", headers or [(b"Host", b"h")], b"Via: v\r\n", length, chunked, receiver)
    wire.protocol.flush()
    return receiver
