"""Short ways between a protocol and its socket: writing at once, and reading without detours.

The streams of the uv reactor have both by themselves. Twisted's sockets collect what is written, ask the reactor to
watch for room, and send in its next turn: four calls into the kernel and a trip through the event loop where one `send`
would do. Nearly always there is room. So the bytes are offered to the socket first; what it does not take goes the way
of Twisted, as does everything while something waits there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection

from gwproxy.uv.stream import Stream


def take_over(transport: Any, protocol: Protocol) -> Callable[[bytes], None]:
    """What connectionMade() does first: the protocol, an IPushProducer, paces what it writes; small writes are not held
    back (Nagle's algorithm); the ways are short. Returns the `write` to use."""
    set_no_delay = getattr(transport, "setTcpNoDelay", None)
    if set_no_delay is not None:
        set_no_delay(True)
    transport.registerProducer(protocol, True)
    read_directly(transport, protocol)
    return eager_writer(transport)


def eager_writer(transport: Any) -> Callable[[bytes], None]:
    """A `write` for this transport. Like any transport's, it never calls back into the protocol for what it sends.

    To be kept until connectionLost() and no longer: a stream's is uvloop's own, which logs what comes after the end.
    """
    return _Eager(transport).write if isinstance(transport, Connection) else transport.write


class _Eager:
    __slots__ = ("_send", "_transport")

    def __init__(self, transport: Connection) -> None:
        self._transport: Any = transport  # what tells that something waits has no public name
        self._send = transport.socket.send

    def write(self, data: bytes) -> None:
        transport = self._transport
        if (
            transport._tempDataBuffer
            or transport.dataBuffer
            or transport.disconnecting
            or transport._writeDisconnecting
            or not transport.connected
        ):
            transport.write(data)
            return
        try:
            sent = self._send(data)
        except OSError:
            # No room, or no connection any more: which of them, the reactor finds out in its way.
            transport.write(data)
            return
        if sent < len(data):
            transport.write(data[sent:])


def read_directly(transport: Any, protocol: Protocol) -> None:
    """Hands what the reactor finds on the socket straight to `protocol`, by the contract of IReadDescriptor.doRead.

    Only where the protocol is the transport's own: not through TLS.
    """
    if not isinstance(transport, Connection | Stream) or transport.protocol is not protocol:
        return
    if isinstance(transport, Stream):
        transport.deliver_straight()
        return
    receive = transport.socket.recv
    size = transport.bufferSize
    deliver = protocol.dataReceived

    def doRead() -> ConnectionDone | ConnectionLost | None:
        try:
            data = receive(size)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        deliver(data)
        return None

    transport.doRead = doRead  # type: ignore[method-assign]  # one socket's, where a subclass would need a port of its own


def write_nothing(data: bytes) -> None:
    """The `write` of a connection that is lost: drops what is written, as transports do. The one that was taken over
    must not be called any more: uvloop's complains."""


def read_no_more(transport: Any) -> None:
    """To be called when the connection is lost: else its transport and its protocol would keep each other alive until
    the garbage collector finds them, and that looks seldom (see gwproxy.service). A stream lets go by itself."""
    if isinstance(transport, Connection):
        vars(transport).pop("doRead", None)
