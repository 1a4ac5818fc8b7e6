"""The backend of the streaming measurement, a program of its own: `python bulk.py PORT`.

`GET .../bytes/N` is answered with N bytes. Any other request is read to its last byte, and only then answered: a server
that answers an upload early would have the gateway stop it. One thread a connection, which waits in system calls.
"""

from __future__ import annotations

import re
import socket
import sys
import threading

REQUEST = re.compile(rb"^[A-Z]+ (\S+) HTTP/1\.1\r\n")
WANTED = re.compile(rb"/bytes/(\d+)$")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
BLOCK = bytes(1 << 18)


def serve_connection(connection: socket.socket) -> None:
    scratch = bytearray(1 << 18)
    pending = b""
    with connection:
        while True:
            while b"\r\n\r\n" not in pending:
                data = connection.recv(65536)
                if not data:
                    return
                pending += data
            head, _, pending = pending.partition(b"\r\n\r\n")
            if CHUNKED.search(head):
                raise SystemExit("the body came chunked, but its length was known")
            pending = skip_body(connection, head, pending, scratch)
            answer(connection, head)


def skip_body(connection: socket.socket, head: bytes, pending: bytes, scratch: bytearray) -> bytes:
    """Read the body to its end without keeping it; returns what came after it."""
    length = LENGTH.search(head)
    left = int(length[1]) if length else 0
    taken = min(left, len(pending))
    left -= taken
    while left > 0:
        count = connection.recv_into(scratch, min(left, len(scratch)))
        if not count:
            raise EOFError("an upload broke off")
        left -= count
    return pending[taken:]


def answer(connection: socket.socket, head: bytes) -> None:
    request = REQUEST.match(head + b"\r\n")
    wanted = WANTED.search(request[1]) if request else None
    size = int(wanted[1]) if wanted else 0
    connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % size
    )
    while size > 0:
        size -= connection.send(memoryview(BLOCK)[:size])


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve_connection, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
