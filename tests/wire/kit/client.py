"""A client that sends exactly the bytes it is told to, and sees exactly how a connection ends."""

from __future__ import annotations

import socket
import struct
from types import TracebackType

from tests.wire.kit.messages import Response, read_response_head
from tests.wire.kit.reader import PATIENCE, Reader

FIN = "fin"
RST = "rst"


def abort_on_close(sock: socket.socket) -> None:
    """From now on close() sends an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def request(
    *lines: bytes,
    method: bytes = b"GET",
    target: bytes = b"/up/x",
    version: bytes = b"1.1",
    host: bytes | None = b"a.test",
    body: bytes = b"",
) -> bytes:
    """The bytes of a request: nothing is added to what is given, no framing either. `host` None: no Host line."""
    hosts = [] if host is None else [b"Host: " + host]
    return b"\r\n".join([b"%b %b HTTP/%b" % (method, target, version), *hosts, *lines, b"", body])


class RawClient:
    """A connection to 127.0.0.1, or one that is open already. Every wait is bounded; see Reader for what is raised."""

    def __init__(self, port: int | socket.socket, patience: float = PATIENCE) -> None:
        if isinstance(port, socket.socket):
            self.socket = port
        else:
            self.socket = socket.create_connection(("127.0.0.1", port), patience)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = Reader(self.socket, patience)

    @property
    def received(self) -> bytes:
        """All bytes that have been read."""
        return bytes(self._reader.received)

    def send(self, *pieces: bytes) -> None:
        """Each piece in a segment of its own."""
        for piece in pieces:
            self.socket.sendall(piece)

    def read_head(self, method: bytes = b"GET") -> Response:
        """The next response head, maybe an interim one."""
        return read_response_head(self._reader, method)

    def read_body(self, response: Response) -> Response:
        """The rest of a response whose head was read."""
        response.read_body(self._reader)
        return response

    def read_response(self, method: bytes = b"GET") -> Response:
        """The next response, maybe an interim one, to its end."""
        return self.read_body(self.read_head(method))

    def read_final(self, method: bytes = b"GET") -> tuple[list[Response], Response]:
        """The interim responses, and the final one after them."""
        interim: list[Response] = []
        while (response := self.read_response(method)).status < 200:
            interim.append(response)
        return interim, response

    def ask(self, *pieces: bytes, method: bytes = b"GET") -> Response:
        """Send, and read the response."""
        self.send(*pieces)
        return self.read_response(method)

    def read_some(self) -> bytes:
        """What comes next, empty at a FIN."""
        return self._reader.some()

    def read_until_closed(self) -> tuple[bytes, str]:
        """What comes until the connection ends, and how it ends: FIN or RST."""
        start = len(self._reader.received) - len(self._reader.unread)
        try:
            self._reader.rest()
            ending = FIN
        except ConnectionResetError:
            ending = RST
        return bytes(self._reader.received[start:]), ending

    def ending(self) -> str:
        """How the connection ends, before which nothing more may come."""
        data, ending = self.read_until_closed()
        assert not data, f"came before the end: {data[:300]!r}"
        return ending

    def is_open(self) -> bool:
        """Whether neither data nor an end has arrived by now."""
        if self._reader.unread:
            return True
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        finally:
            self.socket.settimeout(PATIENCE)

    def has_nothing(self) -> bool:
        """Whether it is open and no byte has arrived by now."""
        if self._reader.unread:
            return False
        self.socket.setblocking(False)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
            return False
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)

    def half_close(self) -> None:
        """Send a FIN, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection by an RST."""
        abort_on_close(self.socket)
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
