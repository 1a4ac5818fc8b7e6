"""Connecting: how it succeeds, fails, and is given up at every moment."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.error import (
    ConnectError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IConnector
from twisted.logger import LogEvent
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from gwproxy.uv.clients import TcpClient
from tests.uv.net import Probe, Probes, global_reactor, listening, turns, until
from tests.wire.kit.dead_ports import BlackHole, RefusingPort


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port where a SYN is not answered."""
    hole = BlackHole()
    yield hole.port
    hole.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A bare port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        yield listener


def connect(factory: Probes, port: int, host: str = "127.0.0.1", **options: Any) -> Any:
    connector = global_reactor().connectTCP(host, port, factory, **options)
    verifyObject(IConnector, connector)
    return connector


async def failed(factory: Probes, kind: type[Exception]) -> None:
    """It failed, once, and nothing comes after that."""
    await until(lambda: factory.told)
    await turns(10)
    assert factory.told == ["clientConnectionFailed"]
    assert factory.reason.check(kind), factory.reason
    assert not global_reactor().streams


@pytest_twisted.ensureDeferred
async def test_connector_and_factory_are_told() -> None:
    server, client = Probe(), Probe()
    factory = Probes(client)
    async with listening(Probes(server)) as port:
        connector = connect(factory, port.getHost().port, host="localhost")
        assert connector.state == "connecting"
        await until(lambda: client.made and server.made)
        assert connector.state == "connected"
        assert connector.transport is client.transport
        assert client.transport.getPeer() == server.transport.getHost() == port.getHost()
        assert client.transport.getHost() == server.transport.getPeer()
        assert client.transport.logstr == "Probe,client"
        connector.disconnect()
        await until(lambda: client.lost and server.lost)
    assert client.lost_by(ConnectionDone) and server.lost_by(ConnectionDone)
    assert factory.told == ["buildProtocol", "clientConnectionLost"]
    assert connector.state == "disconnected"


@pytest_twisted.ensureDeferred
async def test_a_factory_may_connect_again() -> None:
    servers, clients = [Probe(), Probe()], [Probe(), Probe()]
    factory = Probes(*clients)
    async with listening(Probes(*servers)) as port:
        connector = connect(factory, port.getHost().port)
        await until(lambda: clients[0].made)
        factory.clientConnectionLost = lambda connector, reason: connector.connect()  # type: ignore[method-assign]
        clients[0].transport.abortConnection()
        await until(lambda: clients[1].made and servers[1].made)
        del factory.clientConnectionLost
        connector.disconnect()
        await until(lambda: clients[1].lost and servers[1].lost)
    assert clients[0].lost_by(ConnectionAborted)


# Failing


@pytest_twisted.ensureDeferred
async def test_refused() -> None:
    refusing, factory = RefusingPort(), Probes(Probe())
    connect(factory, refusing.port)
    await failed(factory, ConnectionRefusedError)
    refusing.close()


@pytest_twisted.ensureDeferred
async def test_unknown_name() -> None:
    factory = Probes(Probe())
    connect(factory, 1, host="no-such-name.invalid")
    await failed(factory, DNSLookupError)


@pytest_twisted.ensureDeferred
async def test_too_late(black_hole: int) -> None:
    factory = Probes(Probe())
    connect(factory, black_hole, timeout=0.05)
    await failed(factory, TimeoutError)


@pytest_twisted.ensureDeferred
async def test_no_such_unix_socket(tmp_path: Path) -> None:
    factory = Probes(Probe())
    global_reactor().connectUNIX(str(tmp_path / "none"), factory)
    await failed(factory, ConnectError)


@pytest_twisted.ensureDeferred
async def test_a_factory_that_wants_no_protocol(listener: socket.socket) -> None:
    factory = Probes()
    connect(factory, listener.getsockname()[1])
    await until(lambda: "clientConnectionLost" in factory.told)
    peer, _ = listener.accept()
    assert peer.recv(1) == b""
    peer.close()
    assert factory.told == ["buildProtocol", "clientConnectionLost"]


@pytest_twisted.ensureDeferred
async def test_a_factory_that_raises(listener: socket.socket, logged_errors: list[LogEvent]) -> None:
    def raise_it() -> None:
        raise ZeroDivisionError

    factory = Probes(build=raise_it)
    connect(factory, listener.getsockname()[1])
    await until(lambda: "clientConnectionFailed" in factory.told)
    peer, _ = listener.accept()
    await turns()
    assert peer.recv(1) == b""
    peer.close()
    assert factory.told == ["buildProtocol", "clientConnectionFailed"]
    assert factory.reason.check(ConnectError)
    assert [event["log_failure"].type for event in logged_errors] == [ZeroDivisionError]
    logged_errors.clear()


@pytest_twisted.ensureDeferred
async def test_a_factory_that_raises_twice(listener: socket.socket, logged_errors: list[LogEvent]) -> None:
    def raise_it(*args: object) -> None:
        raise ZeroDivisionError

    factory = Probes(build=raise_it)
    factory.clientConnectionFailed = raise_it  # type: ignore[assignment, method-assign]
    connect(factory, listener.getsockname()[1])
    await until(lambda: len(logged_errors) == 2)
    peer, _ = listener.accept()
    await turns()
    peer.setblocking(False)
    assert peer.recv(1) == b""
    peer.close()
    logged_errors.clear()


# Given up

GIVE_UP = [lambda connector: connector.disconnect(), lambda connector: connector.stopConnecting()]


@pytest.mark.parametrize("give_up", GIVE_UP, ids=["disconnect", "stopConnecting"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest_twisted.ensureDeferred
async def test_before_resolution(host: str, give_up: Callable[[Any], object], listener: socket.socket) -> None:
    factory = Probes(Probe())
    give_up(connect(factory, listener.getsockname()[1], host=host))
    await failed(factory, UserError)


@pytest.mark.parametrize("give_up", GIVE_UP, ids=["disconnect", "stopConnecting"])
@pytest_twisted.ensureDeferred
async def test_while_the_peer_does_not_answer(give_up: Callable[[Any], object], black_hole: int) -> None:
    factory = Probes(Probe())
    connector = connect(factory, black_hole)
    await turns(10)
    assert not factory.told
    give_up(connector)
    await failed(factory, UserError)


@pytest.mark.parametrize("moment", ["in the same turn", "in the next"])
@pytest.mark.parametrize("give_up", GIVE_UP, ids=["disconnect", "stopConnecting"])
@pytest_twisted.ensureDeferred
async def test_between_connected_and_connection_made(
    give_up: Callable[[Any], object], moment: str, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel has the connection, libuv does not have it yet."""
    done = TcpClient._connectDone

    def done_and_given_up(client: TcpClient) -> None:
        connector = client.connector
        done(client)
        if moment == "in the same turn":
            give_up(connector)
        else:
            global_reactor().loop.call_soon(give_up, connector)

    factory = Probes(Probe())
    monkeypatch.setattr(TcpClient, "_connectDone", done_and_given_up)
    connect(factory, listener.getsockname()[1])
    await failed(factory, UserError)
    peer, _ = listener.accept()
    assert peer.recv(1) == b""
    peer.close()


@pytest.mark.parametrize("how", ["times out", "the reactor stops"])
@pytest_twisted.ensureDeferred
async def test_ended_between_connected_and_connection_made(
    how: str, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = TcpClient._connectDone
    opening: list[Any] = []

    def done_and_ended(client: TcpClient) -> None:
        connector = client.connector
        done(client)
        (stream,) = global_reactor().streams
        opening.append(stream)
        if how == "times out":
            connector.timeoutID.func(*connector.timeoutID.args)
        else:
            stream.connectionLost(Failure(ConnectionAborted()))

    factory = Probes(Probe())
    monkeypatch.setattr(TcpClient, "_connectDone", done_and_ended)
    connect(factory, listener.getsockname()[1])
    await failed(factory, TimeoutError if how == "times out" else ConnectError)
    await until(lambda: opening[0].fileno() == -1)
    listener.accept()[0].close()


@pytest_twisted.ensureDeferred
async def test_the_peer_ends_it_before_connection_made(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = TcpClient._connectDone

    def done_and_ended(client: TcpClient) -> None:
        done(client)
        listener.accept()[0].close()

    probe = Probe()
    factory = Probes(probe)
    monkeypatch.setattr(TcpClient, "_connectDone", done_and_ended)
    connect(factory, listener.getsockname()[1])
    await until(lambda: "clientConnectionLost" in factory.told)
    assert probe.told == ["connectionMade", "connectionLost"]
    assert probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_given_up_by_the_protocol_at_once(listener: socket.socket) -> None:
    connectors: list[Any] = []
    probe = Probe(connectionMade=lambda probe: connectors[0].disconnect())
    factory = Probes(probe)
    connectors.append(connect(factory, listener.getsockname()[1]))
    await until(lambda: "clientConnectionLost" in factory.told)
    assert probe.told == ["connectionMade", "connectionLost"] and probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_connected_over_a_unix_socket(tmp_path: Path) -> None:
    server, client = Probe(), Probe()
    path = str(tmp_path / "socket")
    port = global_reactor().listenUNIX(path, Probes(server))
    connector = global_reactor().connectUNIX(path, Probes(client))
    await until(lambda: client.made and server.made)
    assert client.transport.getPeer().name == path.encode()
    client.transport.write(b"hello")
    await until(lambda: server.received == b"hello")
    connector.disconnect()
    await until(lambda: client.lost and server.lost)
    await port.stopListening()
