"""How a connection ends well: a client that has shut its sending side, and one that still sends when it is answered."""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gwproxy.kernel import was_reset

PROCESSING: Final = b"HTTP/1.1 102 Processing\r\n\r\n"
# The size of the next chunk, or of the last one, may begin with it (RFC 9112 section 7.1).
LEADING_ZERO: Final = b"0"


class _Connection(Protocol):
    transport: Any
    exchange: Any

    def abort(self) -> None: ...


class HalfClosed:
    """Finds out whether a client that sends no more still listens.

    A shut sending side and a closed connection look the same: a FIN. Only to bytes do they answer differently, with a
    reset. So, if the answer takes longer than a moment, an interim 102 is sent, which every HTTP/1.1 client must take
    (RFC 9110 section 15.2), or, when the answer has begun, a zero that means nothing between two chunks; and the socket
    is asked for an error some times afterwards. To HTTP/1.0 clients and within other bodies nothing can be said that
    means nothing: the next byte of the response will find out.
    """

    # Seconds between looks: the first is before the probe, the second soon after it, for the 100 ms within which the
    # upstream is to know that nobody waits any more.
    _LOOKS: Final = (0.04, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

    __slots__ = ("_call", "_connection", "_looks", "_reactor")

    def __init__(self, connection: _Connection, reactor: IReactorTime) -> None:
        self._connection = connection
        self._reactor = reactor
        self._looks = 0
        self._call: IDelayedCall | None = reactor.callLater(self._LOOKS[0], self._look)

    def stop(self) -> None:
        """The exchange is over, or the connection."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _look(self) -> None:
        self._call = None
        connection = self._connection
        exchange = connection.exchange
        if exchange is None:
            return
        if not self._looks:
            if exchange.chunking:
                connection.transport.write(LEADING_ZERO)
            elif exchange.head.minor and not exchange.committed:
                connection.transport.write(PROCESSING)
            else:
                return
        elif was_reset(connection.transport):
            connection.transport.abortConnection()
            return
        self._looks += 1
        self._call = self._reactor.callLater(self._LOOKS[min(self._looks, len(self._LOOKS) - 1)], self._look)


class Linger:
    """Reads and drops what a client still sends after its response is written, so that it can read that in peace."""

    SECONDS: Final = 5.0
    BYTES: Final = 4 * 1024 * 1024

    __slots__ = ("_connection", "_received")

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._received = 0

    def begin(self) -> None:
        """Flushes, then shuts our sending side: the client sees the end of its response, not a reset."""
        transport = self._connection.transport
        transport.unregisterProducer()
        shut = getattr(transport, "loseWriteConnection", None)
        if shut is not None:
            shut()

    def received(self, count: int) -> None:
        """Some more of what nobody wants."""
        self._received += count
        if self._received > self.BYTES:
            self._connection.abort()
