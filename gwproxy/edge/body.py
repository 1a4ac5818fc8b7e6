"""A request body on its way from the client's connection to whoever wants it.

What arrives before somebody wants it is held, up to `HELD`, and then the connection is read no further: so a filter may
wait, and a server may be looked for, without a byte lost and without the client's body filling the memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gwproxy.http.framing import ChunkedDecoder
from gwproxy.http.headers import Headers
from gwproxy.http.pieces import grown

if TYPE_CHECKING:
    from gwproxy.proxy.downstream import BodySink

HELD: Final = 64 * 1024


class RequestBody:
    """One body. `feed()` is given what arrives; `full` says when no more should."""

    __slots__ = ("_decoder", "_held", "_left", "_sink", "_trailers", "complete", "received")

    def __init__(self, length: int | None) -> None:
        """`length` in bytes, None if chunked."""
        self._left = length or 0
        self._decoder = ChunkedDecoder() if length is None else None
        self._sink: BodySink | None = None
        self._held: bytes | bytearray = b""
        self._trailers: Headers = []
        self.complete = length == 0  # read to its end, though perhaps still held
        self.received = 0  # decoded bytes

    @property
    def full(self) -> bool:
        """Whether as much is held as may be."""
        return len(self._held) >= HELD

    def feed(self, data: bytes) -> bytes:
        """Takes its part of `data` and gives back what follows the body. Raises BadChunk.

        When it is `complete`, end() is to follow, after the caller has put away what this gave back: who wants the body
        may answer as soon as it is whole, and the connection goes on with the next request.
        """
        decoder = self._decoder
        if decoder is not None:
            pieces = decoder.feed(data)
            if pieces:
                # Together: a client that sends a byte a chunk must not cause a write for each.
                self._pass(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            if not decoder.done:
                return b""
            self._trailers = decoder.trailers
            self.complete = True
            return decoder.rest
        left = self._left - len(data)
        if left > 0:
            self._left = left
            self._pass(data)
            return b""
        rest = data[self._left :]
        self._pass(data[: self._left])
        self._left = 0
        self.complete = True
        return rest

    def end(self) -> None:
        """Tells who wants it that it is whole."""
        if self._sink is not None:
            self._sink.body_end(self._trailers)

    def start(self, sink: BodySink) -> None:
        """Everything goes to `sink` from now on, beginning with what was held."""
        self._sink = sink
        held, self._held = self._held, b""
        if held:
            sink.body_data(bytes(held))
        if self.complete:
            sink.body_end(self._trailers)

    def discard(self) -> None:
        """Nobody wants it: what is held is dropped, and so is what comes."""
        self._held = b""
        self._sink = _NOBODY

    def _pass(self, piece: bytes) -> None:
        self.received += len(piece)
        if self._sink is not None:
            self._sink.body_data(piece)
        else:
            self._held = grown(self._held, piece)


class _Nobody:
    """A sink for bodies that are read only to get to their end."""

    def body_data(self, data: bytes) -> None:
        """Dropped."""

    def body_end(self, trailers: Headers) -> None:
        """Dropped."""


_NOBODY: Final = _Nobody()
