"""What the kernel knows of a connection, and no transport tells.

Each of these costs a system call and does not wait. Of a transport without a socket nothing is known.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any


def unsent(transport: Any) -> int:
    """Bytes that the peer's kernel has not taken yet, as far as the system tells; 0 where it does not.

    A peer that reads slowly makes this number change; one that reads nothing leaves it as it is.
    """
    sock = _socket_of(transport)
    if sock is None:
        return 0
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))
    except (OSError, ValueError):  # not a kind of socket that tells; closed
        return 0
    return int(count)


def was_reset(transport: Any) -> bool:
    """Whether the peer has cut the connection: no reactor watches a socket that is neither read nor written."""
    sock = _socket_of(transport)
    return sock is not None and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def looks_open(transport: Any) -> bool:
    """Whether the peer has neither closed the connection nor sent anything unasked; True without a socket to ask.

    For an idle connection, before a request that must not be sent twice: the reactor may not have come yet to read the
    peer's close.
    """
    sock = _socket_of(transport)
    if sock is None:
        return True
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False  # closed, or unasked bytes


def _socket_of(transport: Any) -> socket.socket | None:
    handle = getattr(transport, "getHandle", None)
    found = None if handle is None else handle()
    return found if isinstance(found, socket.socket) else None
