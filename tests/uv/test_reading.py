"""What the peer sends is delivered whole, in order, and only to who wants it now."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone

from tests.uv.net import PLENTY, HalfProbe, Probe, global_reactor, served, turns, until


def pause(probe: Any, *args: object) -> None:
    probe.transport.pauseProducing()


@pytest_twisted.ensureDeferred
async def test_paused_from_the_beginning() -> None:
    """Bytes and the end are there before connectionMade() pauses; neither is delivered until resumeProducing()."""
    probe = HalfProbe(connectionMade=pause)
    async with served(probe, made=False, first=b"hello") as peer:
        peer.half_close()
        await until(lambda: probe.made)
        await turns()
        assert probe.told == ["connectionMade"]
        probe.transport.resumeProducing()
        assert probe.told == ["connectionMade"], "not from within"
        await until(lambda: "readConnectionLost" in probe.told)
        assert probe.told == ["connectionMade", "dataReceived", "readConnectionLost"]
        assert probe.received == b"hello"


@pytest_twisted.ensureDeferred
async def test_paused_from_the_beginning_and_no_end_but_data_later() -> None:
    probe = Probe(connectionMade=pause)
    async with served(probe, first=b"hello ") as peer:
        peer.send(b"world")
        await turns()
        assert not probe.received and not probe.transport.reading
        probe.transport.resumeProducing()
        await until(lambda: probe.received == b"hello world")
        peer.send(b"!")
        await until(lambda: probe.received == b"hello world!")


@pytest_twisted.ensureDeferred
async def test_what_connectionMade_puts_off_comes_before_the_first_byte() -> None:  # Twisted's name
    """As a ClientCreator's Deferred, behind which the one waits who puts commands to the protocol."""

    def put_off(probe: Any) -> None:
        global_reactor().callLater(0, probe.told.append, "put off")

    probe = Probe(connectionMade=put_off)
    async with served(probe, made=False, first=b"hello"):
        await until(lambda: probe.received)
    assert probe.told[:3] == ["connectionMade", "put off", "dataReceived"]


@pytest_twisted.ensureDeferred
async def test_only_the_end_is_held() -> None:
    probe = Probe(connectionMade=pause)
    async with served(probe, made=False) as peer:
        peer.half_close()
        await until(lambda: probe.made)
        await turns()
        assert not probe.lost
        probe.transport.resumeProducing()
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)


@pytest_twisted.ensureDeferred
async def test_resumed_before_the_turn_is_over() -> None:
    def resume_soon(probe: Any) -> None:
        probe.transport.pauseProducing()
        global_reactor().callLater(0, probe.transport.resumeProducing)
        probe.transport.resumeProducing()
        probe.transport.pauseProducing()

    probe = Probe(connectionMade=resume_soon)
    async with served(probe, first=b"hello"):
        await until(lambda: probe.received == b"hello")


@pytest_twisted.ensureDeferred
async def test_another_protocol_takes_over_while_bytes_are_held() -> None:
    """As startTLS() by a Deferred that fires then."""
    other = Probe()
    other.told.append("connectionMade")

    def replace(probe: Any) -> None:
        def take_over() -> None:
            probe.transport.protocol = other
            probe.transport.deliver_straight()

        probe.transport.pauseProducing()
        probe.transport.deliver_straight()
        probe.transport._loop.call_soon(take_over)

    probe = Probe(connectionMade=replace)
    async with served(probe, first=b"hello") as peer:
        await turns()
        assert not probe.received and not other.received
        probe.transport.resumeProducing()
        await until(lambda: other.received == b"hello")
        peer.send(b" world")
        await until(lambda: other.received == b"hello world")


@pytest.mark.parametrize("write_first", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_write_that_fails_does_not_let_newer_bytes_pass_held_ones(write_first: bool) -> None:
    probe = Probe(connectionMade=pause)
    async with served(probe, first=b"hello ") as peer:
        await turns()
        peer.send(b"world")
        peer.reset()
        if write_first:
            probe.transport.write(b"x")
        probe.transport.resumeProducing()
        probe.transport.write(b"x")
        await until(lambda: probe.lost)
    assert probe.received == b"hello world"


@pytest_twisted.ensureDeferred
async def test_a_pause_within_dataReceived_stops_at_once() -> None:
    probe = Probe(dataReceived=pause)
    async with served(probe) as peer:
        peer.socket.setblocking(False)
        sent = peer.socket.send(PLENTY)
        assert sent > 1 << 18, "that is one read"
        await until(lambda: probe.received)
        await turns()
        first = len(probe.received)
        assert probe.told == ["connectionMade", "dataReceived"] and first < sent
        probe.transport.resumeProducing()
        await until(lambda: len(probe.received) > first)
        await turns()
        assert probe.told.count("dataReceived") == 2
        probe.does.clear()
        probe.transport.resumeProducing()
        await until(lambda: len(probe.received) == sent)
    assert probe.received == PLENTY[:sent]


@pytest.mark.parametrize("straight", [False, True])
@pytest_twisted.ensureDeferred
async def test_which_dataReceived_is_called(straight: bool) -> None:
    """Protocols replace theirs as they go; who promises not to is called without a look."""
    got: list[bytes] = []
    probe: Any = Probe()
    async with served(probe) as peer:
        if straight:
            probe.transport.deliver_straight()
        probe.dataReceived = got.append
        peer.send(b"a")
        await until(lambda: got or probe.received)
        assert (got == [b"a"]) == (not straight)


@pytest_twisted.ensureDeferred
async def test_another_protocol_undoes_that() -> None:
    probe, other = Probe(), Probe()
    async with served(probe) as peer:
        probe.transport.deliver_straight()
        probe.transport.protocol = other
        other.told.append("connectionMade")
        peer.send(b"a")
        await until(lambda: other.received)
        assert not probe.received


@pytest_twisted.ensureDeferred
async def test_stopProducing_closes_as_Twisteds_does() -> None:
    probe = Probe()
    async with served(probe) as peer:
        probe.transport.write(b"bye")
        probe.transport.stopProducing()
        assert await peer.ending() == "fin"
        assert peer.received == b"bye"
        await until(lambda: probe.lost)
    assert probe.lost_by(ConnectionDone)


# Any order of things against a model: what is delivered is a prefix of what was sent, nothing comes while paused, and
# all of it at the end.

STEPS = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 200_000)),
    st.tuples(st.just("end"), st.none()),
    st.tuples(st.sampled_from(["pause", "resume", "straight", "turn", "pause when it comes", "toggle"]), st.none()),
)


@settings(max_examples=60)
@given(steps=st.lists(STEPS, max_size=25), paused_first=st.booleans(), first=st.integers(0, 1000))
@pytest_twisted.ensureDeferred
async def test_pauses_lose_and_reorder_nothing(steps: list[tuple[str, Any]], paused_first: bool, first: int) -> None:
    await _play(steps, paused_first, first)


class _Checked(HalfProbe):
    """Fails when something comes while it is paused."""

    paused = False
    pause_next = False

    def pause(self, paused: bool) -> None:
        self.paused = paused
        (self.transport.pauseProducing if paused else self.transport.resumeProducing)()

    def dataReceived(self, data: bytes) -> None:
        assert not self.paused, "delivered while paused"
        super().dataReceived(data)
        if self.pause_next:
            self.pause_next = False
            self.pause(True)

    def readConnectionLost(self) -> None:
        assert not self.paused, "ended while paused"
        super().readConnectionLost()


async def _play(steps: list[tuple[str, Any]], paused_first: bool, first: int) -> None:
    probe = _Checked(connectionMade=lambda probe: probe.pause(paused_first))
    sent = bytearray(PLENTY[:first])
    async with served(probe, first=bytes(sent)) as peer:
        for step, size in steps:
            if step == "send":
                data = PLENTY[len(sent) : len(sent) + size]
                try:
                    sent += data[: peer.socket.send(data)]
                except (BlockingIOError, BrokenPipeError):  # enough for now, or ended
                    pass
            elif step == "end":
                peer.half_close()
            elif step == "straight":
                probe.transport.deliver_straight()
            elif step == "turn":
                await turns(1)
            elif step == "pause when it comes":
                probe.pause_next = True
            elif step == "toggle":
                probe.pause(not probe.paused)
                probe.pause(not probe.paused)
            else:
                probe.pause(step == "pause")
            assert sent.startswith(probe.received)
        probe.pause_next = False
        if ("end", None) not in steps:
            peer.half_close()
        probe.pause(False)
        await until(lambda: "readConnectionLost" in probe.told)
        assert probe.received == sent and probe.told.count("readConnectionLost") == 1


@pytest.mark.parametrize("first", [b"hello", b""])
@pytest_twisted.ensureDeferred
async def test_nothing_held_is_delivered_after_an_abort(first: bytes) -> None:
    """Neither bytes nor, without any, the peer's end."""

    def put_off(probe: Any) -> None:
        global_reactor().callLater(0, probe.transport.abortConnection)

    probe = HalfProbe(connectionMade=put_off)
    async with served(probe, made=False, first=first) as peer:
        if not first:
            peer.half_close()
        await until(lambda: probe.lost)
    assert probe.told == ["connectionMade", "connectionLost"]


@pytest_twisted.ensureDeferred
async def test_nothing_held_is_delivered_after_a_resume_and_an_abort() -> None:
    probe = Probe(connectionMade=pause)
    async with served(probe, first=b"hello"):
        await turns()
        probe.transport.resumeProducing()
        probe.transport.abortConnection()
        await until(lambda: probe.lost)
    assert probe.told == ["connectionMade", "connectionLost"]
