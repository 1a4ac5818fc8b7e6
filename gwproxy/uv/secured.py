"""TLS begun on a connection that has carried something else before (RFC 3207's STARTTLS, and its like)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import ISSLTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import directlyProvides

if TYPE_CHECKING:
    from gwproxy.uv.stream import Stream


class Beneath:
    """The connection as the TLS protocol sees it: the stream's own ways, whatever those on the stream lead to."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._write = stream.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, data: bytes) -> None:
        """Sends what is encrypted."""
        if self._stream.connected:
            self._write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """The same, joined."""
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """Closes the connection; TLS was ended before."""
        type(self._stream).loseConnection(self._stream)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Paces who writes what is encrypted."""
        type(self._stream).registerProducer(self._stream, producer, streaming)

    def unregisterProducer(self) -> None:
        """Ends that."""
        type(self._stream).unregisterProducer(self._stream)


def start_tls(stream: Stream, context_factory: Any, *, client: bool) -> None:
    """Puts TLS between the stream and its protocol, which keeps the stream as its transport: what writes, closes and
    paces leads through TLS from now on. A producer stays registered."""
    producer, streaming = stream.producer, stream.streamingProducer
    if producer is not None:
        stream.unregisterProducer()
    # it makes no protocols here, but has to be there for the one
    factory = TLSMemoryBIOFactory(context_factory, client, None)  # type: ignore[arg-type]
    tls = factory.protocol(factory, stream.protocol, False)
    beneath = Beneath(stream)
    stream.protocol = tls
    through_tls = ("write", "writeSequence", "loseConnection", "registerProducer", "unregisterProducer")
    vars(stream).update({name: getattr(tls, name) for name in (*through_tls, "getHandle", "getPeerCertificate")})
    stream.TLS = True
    directlyProvides(stream, ISSLTransport)
    tls.makeConnection(beneath)
    if producer is not None:
        stream.registerProducer(producer, streaming)
