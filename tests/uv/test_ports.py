"""Listening: sockets of our own and of others, and connections that somebody else has accepted."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import endpoints
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError, ConnectionDone, UnsupportedAddressFamily
from twisted.internet.interfaces import IListeningPort
from twisted.internet.tcp import makeBinding
from twisted.logger import LogEvent
from twisted.python.systemd import ListenFDs
from zope.interface.verify import verifyObject

from tests.uv.net import Peer, Probe, Probes, dial, finish, global_reactor, listening, turns, until

BURST = 45


@pytest_twisted.ensureDeferred
async def test_is_the_port_that_callers_expect() -> None:
    async with listening(Probes()) as port:
        verifyObject(IListeningPort, port)
        with pytest.raises(CannotListenError):
            global_reactor().listenTCP(port.getHost().port, Probes(), interface="127.0.0.1")


@pytest_twisted.ensureDeferred
async def test_a_burst_is_accepted_whole_and_counted() -> None:
    probes = [Probe() for _ in range(BURST)]
    async with listening(Probes(*probes)) as port:
        peers = [dial(port) for _ in probes]
        await until(lambda: all(probe.made for probe in probes))
        assert [probe.transport.sessionno for probe in probes] == list(range(BURST))
        await maybeDeferred(port.stopListening)
        probes[0].transport.write(b"open connections stay")
        await peers[0].take_until(lambda: peers[0].received)
        for probe, peer in zip(probes, peers, strict=True):
            await finish(probe, peer)


@pytest_twisted.ensureDeferred
async def test_a_factory_that_wants_no_protocol() -> None:
    async with listening(Probes()) as port:
        peer = dial(port)
        assert await peer.ending() == "fin"
        peer.close()


@pytest_twisted.ensureDeferred
async def test_a_factory_that_raises(logged_errors: list[LogEvent]) -> None:
    """That connection is closed, the others in the queue are served."""
    probe = Probe()
    first = [True]

    def raise_once() -> None:
        if first.pop() if first else False:
            raise ZeroDivisionError

    async with listening(Probes(probe, build=raise_once)) as port:
        unlucky, lucky = dial(port), dial(port)
        await until(lambda: probe.made)
        assert await unlucky.ending() == "fin"
        assert [event["log_failure"].type for event in logged_errors] == [ZeroDivisionError]
        logged_errors.clear()
        unlucky.close()
        await finish(probe, lucky)


@pytest_twisted.ensureDeferred
async def test_the_backlog_reaches_the_kernel() -> None:
    """With room for one, the kernel takes two (it counts so) and lets the third wait."""
    reactor = global_reactor()
    port = reactor.listenTCP(0, Probes(), backlog=1, interface="127.0.0.1")
    callers = [socket.socket() for _ in range(4)]
    for caller in callers:
        caller.setblocking(False)
        caller.connect_ex(("127.0.0.1", port.getHost().port))
    connected = sum(_is_connected(caller) for caller in callers)
    assert connected == 2
    for caller in callers:
        caller.close()
    await turns(20)
    await maybeDeferred(port.stopListening)


def _is_connected(caller: socket.socket) -> bool:
    try:
        caller.getpeername()
    except OSError:
        return False
    return True


@pytest_twisted.ensureDeferred
async def test_two_ports_share_an_address() -> None:
    reactor = global_reactor()
    first = reactor.listenTCP(makeBinding("127.0.0.1", 0, reuseAddress=True, reusePort=True), Probes())
    number = first.getHost().port
    second = reactor.listenTCP(makeBinding("127.0.0.1", number, reuseAddress=True, reusePort=True), Probes())
    for port in (first, second):
        assert port.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        assert port.getHost().port == number
    with pytest.raises(CannotListenError):
        reactor.listenTCP(number, Probes(), interface="127.0.0.1")
    for port in (first, second):
        await maybeDeferred(port.stopListening)


# Sockets of others


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
@pytest_twisted.ensureDeferred
async def test_an_adopted_port(family: int, tmp_path: Path) -> None:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "socket"))
    listener.listen()
    probe = Probe()
    port = global_reactor().adoptStreamPort(listener.fileno(), family, Probes(probe))
    name = listener.getsockname()
    listener.close()
    await _answers(name, family, probe)
    await maybeDeferred(port.stopListening)


async def _answers(name: Any, family: int, probe: Any) -> None:
    caller = socket.socket(family, socket.SOCK_STREAM)
    caller.connect(name)
    peer = Peer(caller)
    peer.send(b"hello")
    await until(lambda: probe.received == b"hello")
    assert type(probe.transport).__module__.startswith("gwproxy.uv.")
    await finish(probe, peer)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
@pytest_twisted.ensureDeferred
async def test_an_adopted_connection(family: int) -> None:
    ours, theirs = _pair(family)
    probe = Probe()
    peer = Peer(theirs)
    transport = global_reactor().adoptStreamConnection(ours.fileno(), family, Probes(probe))
    ours.close()
    peer.send(b"hello")
    await until(lambda: probe.received == b"hello")
    assert probe.transport is transport
    transport.write(b"answer")
    transport.loseConnection()
    assert await peer.ending() == "fin" and peer.received == b"answer"
    await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)
    peer.close()


def _pair(family: int) -> tuple[socket.socket, socket.socket]:
    if family == socket.AF_UNIX:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        return listener.accept()[0], theirs


@pytest_twisted.ensureDeferred
async def test_a_close_ends_it_although_another_has_a_copy() -> None:
    ours, theirs = _pair(socket.AF_INET)
    probe, peer = Probe(), Peer(theirs)
    global_reactor().adoptStreamConnection(ours.fileno(), socket.AF_INET, Probes(probe))
    await until(lambda: probe.made)
    probe.transport.loseConnection()
    assert await peer.ending() == "fin"
    ours.close()
    peer.close()


@pytest_twisted.ensureDeferred
async def test_an_adopted_connection_that_nobody_wants() -> None:
    ours, theirs = _pair(socket.AF_INET)
    assert global_reactor().adoptStreamConnection(ours.fileno(), socket.AF_INET, Probes()) is None
    ours.close()
    peer = Peer(theirs)
    assert await peer.ending() == "fin"
    peer.close()


@pytest_twisted.ensureDeferred
async def test_other_families_are_refused() -> None:
    with pytest.raises(UnsupportedAddressFamily):
        global_reactor().adoptStreamPort(0, socket.AF_PACKET, Probes())
    with pytest.raises(UnsupportedAddressFamily):
        global_reactor().adoptStreamConnection(0, socket.AF_PACKET, Probes())


@pytest_twisted.ensureDeferred
async def test_sockets_that_systemd_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        passed = os.dup(listener.fileno())
        name = listener.getsockname()
    # read from LISTEN_FDS when it is imported
    monkeypatch.setattr(endpoints._SystemdParser, "_sddaemon", ListenFDs([passed]))
    probe = Probe()
    endpoint = endpoints.serverFromString(global_reactor(), "systemd:domain=INET:index=0")
    port = await endpoint.listen(Probes(probe))
    await _answers(name, socket.AF_INET, probe)
    await maybeDeferred(port.stopListening)
