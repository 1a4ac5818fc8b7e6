"""The pace of an upstream connection: back-pressure both ways, and each deadline."""

from __future__ import annotations

from typing import Any

import pytest

from gwproxy.errors import ResponseTimeout, UpstreamClosed, UpstreamStalled
from gwproxy.upstream import protocol
from tests.upstream.net import Net, Recorder, Waiting, Wire

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 2\r\n\r\nok"
BEGUN = OK + b"Content-Length: 9\r\n\r\nok"


class Paced(Net):
    """A server with short times, and one connection to it in use."""

    def __init__(self) -> None:
        super().__init__(response_timeout=10.0, idle_timeout=5.0, keepalive_timeout=3.0)
        self.pool.wait(Waiting())
        self.wire = self.accept()
        self.connection: Any = self.wire.protocol

    def ask(self, length: int | None = None) -> Recorder:
        receiver = Recorder()
        self.connection.send(b"POST", b"/", [], b"", length, False, receiver)
        self.connection.flush()
        return receiver


@pytest.fixture
def net() -> Paced:
    return Paced()


@pytest.fixture
def unsent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the kernel says is not sent yet: the last number."""
    numbers = [0]
    monkeypatch.setattr(protocol, "unsent", lambda transport: numbers[-1])
    return numbers


def assert_failed(receiver: Recorder, wire: Wire, error: type[Exception]) -> None:
    assert type(receiver.error) is error
    assert wire.disconnected
    wire.lose()


# Deadlines


def test_b1_no_response_head_in_time(net: Paced) -> None:
    receiver = net.ask()
    net.advance(9.9)
    assert not receiver.over
    net.advance(0.2)
    assert_failed(receiver, net.wire, ResponseTimeout)


@pytest.mark.parametrize("begun", [b"HTTP/1.1 2", b"HTTP/1.1 103 x\r\n\r\n"])
def test_b1_k8_a_head_that_trickles_has_the_same_time(net: Paced, begun: bytes) -> None:
    receiver = net.ask()
    net.advance(9)
    net.connection.dataReceived(begun)
    net.advance(1.1)
    assert_failed(receiver, net.wire, ResponseTimeout)


def test_k9_the_time_for_the_head_begins_when_the_request_is_sent(net: Paced) -> None:
    receiver = net.ask(length=2)
    net.advance(100)  # a slow client
    net.connection.send_body(b"ab")
    net.advance(100)
    net.connection.end_body([])
    net.advance(9.9)
    assert not receiver.over
    net.advance(0.2)
    assert_failed(receiver, net.wire, ResponseTimeout)


def test_b4_no_byte_of_the_body_for_idle_timeout(net: Paced) -> None:
    receiver = net.ask()
    net.connection.dataReceived(BEGUN)
    for _ in range(3):
        net.advance(4.9)
        net.connection.dataReceived(b"x")
    net.advance(4.9)
    assert not receiver.over
    net.advance(0.2)
    assert_failed(receiver, net.wire, UpstreamStalled)


def test_b4_the_head_is_the_first_byte(net: Paced) -> None:
    receiver = net.ask()
    net.advance(9)
    net.connection.dataReceived(OK + b"\r\n")
    net.advance(4.9)
    assert not receiver.over
    net.advance(0.2)
    assert_failed(receiver, net.wire, UpstreamStalled)


def test_an_early_response_during_an_upload_has_idle_timeout_too(net: Paced) -> None:
    receiver = net.ask(length=5)
    net.connection.dataReceived(BEGUN)
    net.connection.send_body(b"hello")
    net.connection.end_body([])
    net.advance(4.9)
    assert not receiver.over
    net.advance(0.2)
    assert_failed(receiver, net.wire, UpstreamStalled)


def test_an_exchange_both_ways_is_alive_as_long_as_either_moves(net: Paced) -> None:
    receiver = net.ask(length=100)
    net.connection.dataReceived(BEGUN)
    for _ in range(5):
        net.advance(4.9)
        net.connection.send_body(b"x")
    assert receiver.error is None
    net.advance(5.1)
    assert_failed(receiver, net.wire, UpstreamStalled)


def test_a_finished_exchange_leaves_only_the_idle_deadline(net: Paced) -> None:
    receiver = net.ask()
    net.connection.dataReceived(WHOLE)
    assert receiver.trailers == []
    net.advance(2.9)
    assert not net.wire.disconnected
    net.advance(0.2)
    assert net.wire.disconnected


def test_the_idle_deadline_is_not_the_next_exchanges(net: Paced) -> None:
    net.ask()
    net.connection.dataReceived(WHOLE)
    net.advance(2)
    assert net.pool.take() is net.connection
    receiver = net.ask(length=1)
    net.advance(50)
    assert not receiver.over and not net.wire.disconnected


@pytest.mark.parametrize("length", [None, 3])
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1", BEGUN])
def test_nothing_stays_in_the_reactor_of_a_connection_that_is_closed(
    net: Paced, begun: bytes, length: int | None
) -> None:
    net.ask(length)
    if begun:
        net.connection.dataReceived(begun)
    net.connection.close()
    assert not net.reactor.getDelayedCalls()
    net.wire.lose()
    assert not net.reactor.getDelayedCalls()
    assert net.pool.open == 0


def test_nothing_stays_in_the_reactor_of_a_connection_that_is_lost(net: Paced) -> None:
    net.ask()
    net.wire.lose()
    assert not net.reactor.getDelayedCalls()


def test_b4_the_transport_paces_the_connection(net: Paced) -> None:
    assert (net.wire.producer, net.wire.streaming) == (net.connection, True)


# The client is slow


def test_b4_a_slow_client_pauses_the_server(net: Paced) -> None:
    receiver = net.ask()
    net.connection.dataReceived(BEGUN)
    net.connection.pause_response()
    net.connection.pause_response()
    assert net.wire.producerState == "paused"
    net.advance(1000)  # how long it may be so is the client's side's business
    assert not receiver.over
    net.connection.resume_response()
    net.connection.resume_response()
    assert net.wire.producerState == "producing"
    net.advance(4.9)
    assert not receiver.over
    net.advance(0.2)
    assert_failed(receiver, net.wire, UpstreamStalled)


def test_b4_the_end_of_a_response_ends_its_pause(net: Paced) -> None:
    receiver = net.ask()
    net.connection.dataReceived(BEGUN)
    net.connection.pause_response()
    net.connection.dataReceived(b"1234567")  # what the transport had read already
    assert receiver.trailers == []
    assert net.wire.producerState == "producing"
    assert net.pool.idle == [net.connection]
    net.advance(3.1)
    assert net.wire.disconnected


def test_pauses_after_the_loss_do_nothing(net: Paced) -> None:
    receiver = net.ask()
    net.connection.dataReceived(BEGUN)
    net.connection.pause_response()
    net.wire.disconnecting = True  # a lost transport refuses to be paused and resumed
    net.wire.lose()
    assert receiver.error is not None
    net.connection.resume_response()
    net.connection.pause_response()


# The server is slow


def test_b4_a_server_that_takes_nothing_pauses_the_client(net: Paced, unsent: list[int]) -> None:
    receiver = net.ask(length=5)
    net.connection.pauseProducing()
    assert receiver.uploading == ["pause"]
    net.advance(4)
    net.connection.resumeProducing()
    net.connection.resumeProducing()
    assert receiver.uploading == ["pause", "resume"]
    net.advance(1000)
    assert not receiver.over  # now it is the client that is slow


def test_c4_a_server_that_takes_no_byte_for_idle_timeout(net: Paced, unsent: list[int]) -> None:
    receiver = net.ask(length=5)
    unsent.append(100)
    net.connection.pauseProducing()
    net.advance(4.9)
    assert not receiver.over
    net.advance(0.2)
    assert_failed(receiver, net.wire, UpstreamStalled)


def test_c4_a_server_that_takes_a_little_is_slow_and_not_stalled(net: Paced, unsent: list[int]) -> None:
    receiver = net.ask(length=5)
    unsent.append(100)
    net.connection.pauseProducing()
    for number in (90, 80):
        unsent.append(number)
        net.advance(5.1)
        assert not receiver.over
    net.advance(5.1)
    assert_failed(receiver, net.wire, UpstreamStalled)


def test_c4_where_the_kernel_does_not_tell_it_is_stalled(net: Paced, unsent: list[int]) -> None:
    receiver = net.ask(length=5)
    net.connection.pauseProducing()
    net.advance(5.1)
    assert_failed(receiver, net.wire, UpstreamStalled)


def test_c4_a_request_that_is_not_taken_whole_is_no_late_response(net: Paced, unsent: list[int]) -> None:
    receiver = net.ask(length=5)
    unsent.append(100)
    net.connection.send_body(b"hello")
    net.connection.pauseProducing()
    net.connection.end_body([])
    unsent.append(50)
    net.advance(5.1)
    assert not receiver.over
    net.connection.resumeProducing()
    net.advance(9.9)
    assert not receiver.over
    net.advance(0.2)
    assert_failed(receiver, net.wire, ResponseTimeout)


def test_c4_a_large_head_that_is_not_taken(net: Paced, unsent: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The transport says so while the head is written."""
    receiver = Recorder()
    monkeypatch.setattr(net.connection, "_write", lambda data: net.connection.pauseProducing())
    net.connection.send(b"GET", b"/", [], b"", None, False, receiver)
    assert receiver.uploading == ["pause"]
    net.advance(5.1)
    assert_failed(receiver, net.wire, UpstreamStalled)


def test_b4_a_server_that_cannot_answer_because_the_client_reads_nothing_is_not_stalled(
    net: Paced, unsent: list[int]
) -> None:
    receiver = net.ask(length=5)
    unsent.append(100)
    net.connection.pauseProducing()
    net.connection.dataReceived(BEGUN)
    net.connection.pause_response()
    net.advance(1000)
    assert not receiver.over
    net.connection.resume_response()
    net.advance(5.1)
    assert_failed(receiver, net.wire, UpstreamStalled)


def test_b4_a_client_slow_to_take_informational_responses_does_not_hide_a_stalled_upload(
    net: Paced, unsent: list[int]
) -> None:
    receiver = net.ask(length=5)
    unsent.append(100)
    net.connection.pauseProducing()
    net.connection.pause_response()
    net.connection.resume_response()
    net.advance(5.1)
    assert_failed(receiver, net.wire, UpstreamStalled)


def test_b2_a_response_that_ends_before_its_request_was_taken(net: Paced, unsent: list[int]) -> None:
    receiver = net.ask(length=5)
    net.connection.send_body(b"hello")
    net.connection.end_body([])
    net.connection.pauseProducing()
    net.connection.dataReceived(WHOLE)
    assert receiver.trailers == []
    assert net.wire.disconnected
    net.connection.resumeProducing()
    assert receiver.uploading == ["pause"]


def test_the_transport_may_pause_an_idle_connection(net: Paced, unsent: list[int]) -> None:
    net.connection.pauseProducing()
    net.connection.resumeProducing()


def test_the_receiver_is_told_of_a_loss_while_both_ways_are_paused(net: Paced, unsent: list[int]) -> None:
    receiver = net.ask(length=5)
    net.connection.pauseProducing()
    net.connection.pause_response()
    net.wire.lose()
    assert type(receiver.error) is UpstreamClosed


def test_k2_a_lost_connection_is_not_alive(net: Paced) -> None:
    assert net.connection.looks_alive()
    net.wire.lose()
    assert not net.connection.looks_alive()


def test_b10_small_writes_are_not_held_back() -> None:
    asked: list[bool] = []

    class Tcp(Wire):
        def setTcpNoDelay(self, enabled: bool) -> None:
            asked.append(enabled)

    net = Net()
    net.pool.wait(Waiting())
    connection = net.reactor.tcpClients[0][2].buildProtocol(None)
    connection.makeConnection(Tcp())
    assert asked == [True]
