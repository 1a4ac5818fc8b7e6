"""Addresses of sockets in Twisted's words."""

from __future__ import annotations

import socket

from twisted.internet.address import IPv4Address, IPv6Address

from gwproxy.uv.addresses import internet_address


def test_ipv4() -> None:
    assert internet_address(("127.0.0.1", 80)) == IPv4Address("TCP", "127.0.0.1", 80)


def test_ipv6() -> None:
    assert internet_address(("::1", 80, 0, 0)) == IPv6Address("TCP", "::1", 80)


def test_a_link_local_address_keeps_its_zone() -> None:
    name, index = "lo", socket.if_nametoindex("lo")
    assert internet_address(("fe80::1", 80, 0, index)) == IPv6Address("TCP", f"fe80::1%{name}", 80, 0, index)
