"""TCP: Nagle's algorithm, both families."""

from __future__ import annotations

import socket

import pytest
import pytest_twisted

from tests.uv.net import Peer, Probe, Probes, dialled, finish, global_reactor, listening, served, until


@pytest.mark.parametrize("opened", [served, dialled])
@pytest_twisted.ensureDeferred
async def test_small_writes_are_sent_at_once_unless_told_otherwise(opened: object) -> None:
    probe = Probe()
    async with opened(probe):  # type: ignore[operator]  # one of two functions
        stream = probe.transport
        assert stream.getTcpNoDelay()
        stream.setTcpNoDelay(False)
        assert not stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not stream.getTcpNoDelay()
        stream.setTcpNoDelay(True)
        assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def _link_local() -> str | None:
    """A link-local address with its zone, `fe80::1%eth0`."""
    with open("/proc/net/if_inet6") as lines:
        for line in lines:
            address, _, _, _, _, interface = line.split()
            if address.startswith("fe8"):
                return f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))}%{interface}"
    return None


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
@pytest_twisted.ensureDeferred
async def test_ipv6() -> None:
    probe = Probe()
    async with listening(Probes(probe), "::1") as port:
        number = port.getHost().port
        peer = Peer(socket.create_connection(("::1", number)))
        await until(lambda: probe.made)
        assert (probe.transport.getHost().host, probe.transport.getHost().port) == ("::1", number)
        assert probe.transport.getPeer().port == peer.socket.getsockname()[1]
        peer.send(b"hello")
        await until(lambda: probe.received == b"hello")
        await finish(probe, peer)


@pytest.mark.skipif(not (_has_ipv6() and _link_local()), reason="this machine has no link-local address")
@pytest_twisted.ensureDeferred
async def test_ipv6_with_a_zone() -> None:
    address = _link_local()
    assert address is not None
    server, client = Probe(), Probe()
    async with listening(Probes(server), address) as port:
        global_reactor().connectTCP(address, port.getHost().port, Probes(client))
        await until(lambda: client.made and server.made)
        assert client.transport.getPeer().host == server.transport.getHost().host == address
        client.transport.loseConnection()
        await until(lambda: client.lost and server.lost)
