"""How a connection ends: closed from this side, in every place where that can be asked for."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor, ITCPTransport
from zope.interface.verify import verifyObject

from tests.uv.net import PLENTY, HalfProbe, Probe, Told, dialled, served, turns, until, waiting_bytes


@pytest_twisted.ensureDeferred
async def test_is_the_transport_that_protocols_expect() -> None:
    probe = Probe()
    async with served(probe) as peer:
        stream = probe.transport
        verifyObject(ITCPTransport, stream)
        verifyObject(IHalfCloseableDescriptor, stream)
        assert (stream.getPeer().host, stream.getPeer().port) == peer.socket.getsockname()
        assert (stream.getHost().host, stream.getHost().port) == peer.socket.getpeername()
        assert stream.fileno() == stream.getHandle().fileno() > 0
        assert repr(stream) == f"<Probe #0 on {stream.getHost().port}>"
        assert stream.logstr == stream.logPrefix() == "Probe,0,127.0.0.1"
        stream.setTcpKeepAlive(True)
        assert stream.getTcpKeepAlive() and stream.getTcpNoDelay()
    assert repr(stream) == "<TcpStream #0, lost>"
    assert stream.fileno() == -1


# write and the closing calls, from within what the protocol is told


@pytest_twisted.ensureDeferred
async def test_write_never_calls_back() -> None:
    inside: list[str] = []

    def write(probe: Any, data: bytes) -> None:
        before = list(probe.told)
        probe.transport.write(data)
        probe.transport.writeSequence([data, data])
        probe.transport.loseConnection()
        assert probe.told == before
        inside.append("written")

    probe = Probe(dataReceived=write)
    async with served(probe) as peer:
        peer.send(b"abc")
        assert await peer.ending() == "fin"
        assert peer.received == b"abcabcabc"
    assert inside == ["written"]
    assert probe.lost_by(ConnectionDone)


@pytest.mark.parametrize("method", ["write", "writeSequence"])
@pytest_twisted.ensureDeferred
async def test_what_is_written_at_the_end_or_after_it_is_dropped(method: str) -> None:
    def write(probe: Any, reason: Any) -> None:
        transport = probe.transport
        getattr(transport, method)([b"late"] if method == "writeSequence" else b"late")
        captured(b"late")
        transport.loseConnection()
        transport.abortConnection()
        transport.loseWriteConnection()
        transport.pauseProducing()
        transport.resumeProducing()

    probe = Probe(connectionLost=write)
    async with served(probe) as peer:
        transport, captured = probe.transport, probe.transport.write
        transport.write(b"before")
        transport.loseConnection()
        assert await peer.ending() == "fin"
        await until(lambda: probe.lost)
        write_again = Probe()
        write_again.transport = transport
        transport.write(b"later still")
        transport.writeSequence([b"later still"])
        await turns()
        assert peer.received == b"before"
    assert probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_a_captured_write_called_after_the_end_says_so() -> None:
    """The one promise of Twisted's that is not kept: `write` is libuv's own, and only the attribute is replaced."""
    probe = Probe()
    async with served(probe) as peer:
        write = probe.transport.write
        probe.transport.abortConnection()
        write(b"dropped silently: it is being closed")
        await peer.ending()
        await until(lambda: probe.lost)
        await turns()
        with pytest.raises(RuntimeError, match="the handler is closed"):
            write(b"late")


@pytest.mark.parametrize("close", ["loseConnection", "abortConnection"])
@pytest.mark.parametrize("where", ["connectionMade", "dataReceived", "connectionLost"])
@pytest_twisted.ensureDeferred
async def test_closing_from_within(where: str, close: str) -> None:
    def end(probe: Any, *args: object) -> None:
        before = list(probe.told)
        getattr(probe.transport, close)()
        getattr(probe.transport, close)()
        assert probe.told == before

    probe = Probe(**{where: end})
    async with served(probe, made=False, first=b"hello") as peer:
        if where == "connectionLost":
            await until(lambda: probe.received)
            peer.half_close()
        await until(lambda: probe.lost)
        by_reset = close == "abortConnection" and where != "connectionLost"
        assert await peer.ending() == ("rst" if by_reset else "fin")
        assert probe.lost_by(ConnectionAborted if by_reset else ConnectionDone)
    expected = ["connectionMade", "dataReceived", "connectionLost"]
    if where == "connectionMade":
        expected.remove("dataReceived")
    assert probe.told == expected


@pytest.mark.parametrize("close", ["loseConnection", "abortConnection"])
@pytest.mark.parametrize("where", ["pause", "resume", "stop"])
@pytest_twisted.ensureDeferred
async def test_closing_from_within_a_producer(where: str, close: str) -> None:
    probe = Probe()
    async with served(probe) as peer:
        stream = probe.transport

        def end() -> None:
            stream.unregisterProducer()
            getattr(stream, close)()

        producer = Told(**{where: end})
        stream.registerProducer(producer, True)
        stream.write(PLENTY)
        assert producer.told == ["pause"]
        if where == "stop":
            peer.reset()
            await until(lambda: probe.lost)
            assert probe.lost_by(ConnectionLost)
        else:
            ending = await peer.ending()
            await until(lambda: probe.lost)
            if close == "loseConnection":
                assert ending == "fin" and peer.received == PLENTY
                assert probe.lost_by(ConnectionDone)
            else:
                assert ending == "rst"
                assert probe.lost_by(ConnectionAborted)
    assert producer.told == {"pause": ["pause"], "resume": ["pause", "resume"], "stop": ["pause", "stop"]}[where]


@pytest_twisted.ensureDeferred
async def test_nothing_is_delivered_after_loseConnection_in_connectionMade() -> None:  # Twisted's name
    def end(probe: Any) -> None:
        probe.transport.write(PLENTY)
        probe.transport.loseConnection()

    probe = Probe(connectionMade=end)
    async with served(probe, first=b"hello") as peer:
        await turns()
        peer.send(b"more")
        await turns()
        assert waiting_bytes(probe.transport)
        assert probe.told == ["connectionMade"]
        assert not probe.transport.reading
        # not to its end: the system makes a reset of a close on what was not read, as it does for any program
        await peer.take_bytes(1 << 20)
    assert probe.told == ["connectionMade", "connectionLost"]


@pytest_twisted.ensureDeferred
async def test_nothing_is_delivered_after_loseConnection() -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.write(PLENTY)
        probe.transport.loseConnection()
        peer.send(b"late")
        probe.transport.resumeProducing()
        await turns()
        assert probe.told == ["connectionMade"] and not probe.lost


@pytest_twisted.ensureDeferred
async def test_loseConnection_lets_what_was_written_leave() -> None:  # Twisted's name
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.write(PLENTY)
        probe.transport.loseConnection()
        probe.transport.write(b"and what is written before it has left")
        await turns()
        assert not probe.lost
        assert await peer.ending() == "fin"
        assert peer.received == PLENTY + b"and what is written before it has left"
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_abort_after_lose_ends_at_once() -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.write(PLENTY)
        probe.transport.loseConnection()
        await turns()
        assert waiting_bytes(probe.transport)
        probe.transport.abortConnection()
        assert not probe.lost
        await turns()
        assert probe.lost_by(ConnectionAborted)
        assert await peer.ending() == "rst"


@pytest_twisted.ensureDeferred
async def test_half_close_of_this_direction() -> None:
    probe = HalfProbe()
    async with dialled(probe) as peer:
        probe.transport.write(PLENTY)
        probe.transport.loseWriteConnection()
        assert "writeConnectionLost" not in probe.told
        assert await peer.ending() == "fin"
        assert peer.received == PLENTY
        await until(lambda: "writeConnectionLost" in probe.told)
        probe.transport.write(b"dropped")
        peer.send(b"still read")
        await until(lambda: probe.received == b"still read")
        assert not probe.lost
        probe.transport.loseConnection()
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_half_close_of_the_other_direction() -> None:
    probe = HalfProbe()
    async with served(probe) as peer:
        peer.send(b"the last")
        peer.half_close()
        await until(lambda: "readConnectionLost" in probe.told)
        assert probe.received == b"the last"
        probe.transport.write(b"an answer")
        await peer.take_until(lambda: peer.received == b"an answer")
        assert not probe.lost and probe.told.count("readConnectionLost") == 1
        probe.transport.loseConnection()
        assert await peer.ending() == "fin"
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_a_protocol_that_needs_both_directions_ends_with_one() -> None:
    probe = Probe()
    async with served(probe) as peer:
        peer.half_close()
        assert await peer.ending() == "fin"
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)
