"""A plain blocking HTTP/1.1 client: one request, one response with a Content-Length, over 127.0.0.1."""

from __future__ import annotations

import re
import socket
from types import TracebackType

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
READ_SIZE = 1 << 18


class Connection:
    """One keep-alive connection."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._scratch = bytearray(READ_SIZE)

    def send(self, data: bytes | memoryview) -> None:
        self.socket.sendall(data)

    def receive(self) -> tuple[int, int]:
        """Read one response to its end; its status and the length of its body, which is not kept."""
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError("closed before the end of a response head")
            head += data
        head, _, body = head.partition(b"\r\n\r\n")
        found = LENGTH.search(head)
        if found is None:
            raise ValueError(f"a response without Content-Length: {head!r}")
        length = int(found[1])
        left = length - len(body)
        while left > 0:
            count = self.socket.recv_into(self._scratch)
            if not count:
                raise EOFError(f"closed {left} bytes before the end of a body")
            left -= count
        return int(head[9:12]), length

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Client:
    """Makes connections to one port."""

    def __init__(self, port: int) -> None:
        self._port = port

    def connect(self, timeout: float = 30.0) -> Connection:
        return Connection(self._port, timeout)

    def once(self, request: bytes, timeout: float = 2.0) -> int:
        """The status of one request on a connection of its own."""
        with self.connect(timeout) as connection:
            connection.send(request)
            return connection.receive()[0]
