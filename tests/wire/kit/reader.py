"""Reading a socket with a bound on every wait."""

from __future__ import annotations

import socket
from collections.abc import Iterator

# How long anything on the loopback may take before a test has failed. Never waited for when all is well.
PATIENCE = 5.0


class Reader:
    """The bytes of a socket. `received` keeps all that ever came, unless it is told to forget().

    A wait that is over after `patience` seconds raises TimeoutError, a FIN where more was due EOFError, an RST
    ConnectionResetError.
    """

    def __init__(self, sock: socket.socket, patience: float = PATIENCE) -> None:
        self._socket = sock
        self._at = 0  # where what is not taken yet begins
        self.received = bytearray()
        sock.settimeout(patience)

    @property
    def unread(self) -> bytes:
        """What came and was not taken."""
        return bytes(self.received[self._at :])

    def line(self) -> bytes:
        """Up to and with the next LF."""
        while (end := self.received.find(b"\n", self._at)) < 0:
            self._need_more()
        return self._take(end + 1)

    def exactly(self, size: int) -> bytes:
        while len(self.received) - self._at < size:
            self._need_more()
        return self._take(self._at + size)

    def pieces(self, size: int) -> Iterator[bytes]:
        """`size` bytes as they come."""
        while size > 0:
            if self._at == len(self.received):
                self._need_more()
            piece = self._take(min(self._at + size, len(self.received)))
            size -= len(piece)
            yield piece

    def some(self) -> bytes:
        """What is there, or comes next; empty at a FIN."""
        if self._at == len(self.received):
            self.received += self._socket.recv(1 << 16)
        return self._take(len(self.received))

    def rest(self) -> bytes:
        """Everything up to the FIN."""
        start = self._at
        while self.some():
            pass
        return bytes(self.received[start:])

    def forget(self) -> None:
        """Keep nothing of what was taken."""
        del self.received[: self._at]
        self._at = 0

    def _need_more(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise EOFError(f"closed after {bytes(self.received[self._at :])[-200:]!r}")
        self.received += data

    def _take(self, end: int) -> bytes:
        taken = bytes(self.received[self._at : end])
        self._at = end
        return taken
