"""Streams over TCP. Nagle's algorithm is off, as libuv has it: what is written is sent at once."""

from __future__ import annotations

import socket
from typing import Any

from gwproxy.uv.addresses import internet_address
from gwproxy.uv.stream import Stream


class TcpStream(Stream):
    """Accepted by this end."""

    def getHost(self) -> Any:
        return internet_address(self.socket.getsockname())

    def getTcpNoDelay(self) -> bool:
        return bool(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, enabled)


class TcpClientStream(TcpStream):
    """Opened by this end."""

    _tlsClientDefault = True

    #: Host and port as connectTCP() was told them.
    addr: tuple[Any, ...] = ()

    def _log_name(self) -> str:
        return "client"

    def __repr__(self) -> str:
        return f"<{type(self)} to {self.addr} at {id(self):x}>"
