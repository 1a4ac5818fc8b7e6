"""Whether an idle connection can still carry a request.

Asked before a request that must not be sent twice: the reactor may not have come yet to read the server's close.
"""

from __future__ import annotations

import socket
from typing import Any


def looks_open(transport: Any) -> bool:
    """Whether the peer has neither closed the connection nor sent anything unasked; True without a socket to ask.

    Costs a system call, and does not wait.
    """
    handle = getattr(transport, "getHandle", lambda: None)()
    if not isinstance(handle, socket.socket):
        return True
    try:
        handle.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False  # closed, or unasked bytes
