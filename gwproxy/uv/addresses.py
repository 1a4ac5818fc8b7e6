"""The addresses of sockets, as Twisted writes them."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address


def internet_address(name: Any) -> IPv4Address | IPv6Address:
    """Of what getsockname(), getpeername() or accept() tells of an IPv4 or IPv6 socket.

    A link-local IPv6 address keeps its zone: `fe80::1%eth0` (RFC 4007, section 11).
    """
    if len(name) == 2:
        return IPv4Address("TCP", *name)
    host, port, flow, scope = name
    if scope:
        host = socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    return IPv6Address("TCP", host, port, flow, scope)
