"""One upstream connection: how a response is read, and when the connection may be used again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost

from gwproxy.errors import BadResponse, GatewayError, UpstreamBroken, UpstreamClosed
from gwproxy.http.headers import Headers
from gwproxy.upstream.protocol import MAX_INFORMATIONAL
from tests.upstream.net import Net, Recorder, Waiting, Wire, ask, connected

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 2\r\n\r\nok"


def exchange(net: Net, *pieces: bytes, method: bytes = b"GET") -> tuple[Recorder, Wire]:
    """A request, and a response in pieces."""
    wire = connected(net)
    receiver = ask(wire, method)
    for piece in pieces:
        wire.protocol.dataReceived(piece)
    return receiver, wire


def is_idle(net: Net, wire: Wire) -> bool:
    """Whether the connection is kept for the next exchange."""
    assert (wire.protocol in net.pool.idle) is not wire.disconnected
    return wire.protocol in net.pool.idle


def assert_failed(receiver: Recorder, wire: Wire, error: type[GatewayError]) -> None:
    """It failed so, the connection is closed, and its loss is told to nobody again."""
    assert type(receiver.error) is error
    assert wire.disconnected
    wire.lose()


# The response


BODIES: list[tuple[bytes, bytes, Headers]] = [
    (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", []),
    (OK + b"Content-Length: 0\r\n\r\n", b"", []),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello", []),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", b"hello", [(b"X-Sum", b"1")]),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"", []),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b"", []),
    (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + WHOLE, b"ok", []),
]


@given(st.sampled_from(BODIES), st.lists(st.integers(1, 20), max_size=60))
def test_any_cut_of_a_response_gives_the_same(response: tuple[bytes, bytes, Headers], sizes: list[int]) -> None:
    data, body, trailers = response
    net = Net()
    wire = connected(net)
    receiver = ask(wire)
    for size in sizes:
        if size < len(data):
            assert not receiver.over
            wire.protocol.dataReceived(data[:size])
            data = data[size:]
    assert not receiver.over
    wire.protocol.dataReceived(data)
    assert (receiver.body, receiver.trailers, receiver.error) == (body, trailers, None)
    assert is_idle(net, wire)


@pytest.mark.parametrize(
    ("lines", "length"), [(b"Content-Length: 5\r\n", 5), (b"Transfer-Encoding: chunked\r\n", None), (b"", None)]
)
def test_b10_the_head_is_told_before_there_is_any_body(lines: bytes, length: int | None) -> None:
    receiver, wire = exchange(Net(), OK + lines + b"\r\n")
    assert receiver.head is not None and receiver.head.status == 200
    assert (receiver.length, receiver.body, receiver.over, receiver.flushes) == (length, b"", False, 1)
    assert not wire.disconnected


def test_b10_each_read_is_passed_on_at_once() -> None:
    receiver, wire = exchange(Net(), OK + b"\r\n")
    for piece in (b"data: 1\n\n", b"data: 2\n\n"):
        wire.protocol.dataReceived(piece)
        assert receiver.body.endswith(piece)
    assert receiver.flushes == 3


def test_m6_a_body_without_length_ends_with_the_connection() -> None:
    receiver, wire = exchange(Net(), b"HTTP/1.0 200 OK\r\n\r\nhe", b"llo")
    assert not receiver.over
    wire.lose(ConnectionDone())
    assert (receiver.body, receiver.trailers) == (b"hello", [])


def test_m6_b2_a_body_without_length_that_ends_in_a_reset_is_broken() -> None:
    receiver, wire = exchange(Net(), OK + b"\r\nhello")
    wire.lose(ConnectionLost())
    assert type(receiver.error) is UpstreamBroken
    assert receiver.trailers is None


@pytest.mark.parametrize("reason", [ConnectionDone, ConnectionLost])
@pytest.mark.parametrize(
    "lines", [b"Content-Length: 6\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
)
def test_m6_b2_a_body_that_breaks_off_is_broken(lines: bytes, reason: type[Exception]) -> None:
    receiver, wire = exchange(Net(), OK + lines)
    wire.lose(reason())
    assert receiver.body == b"hello"
    assert type(receiver.error) is UpstreamBroken


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 103 x\r\n\r\n"])
@pytest.mark.parametrize("reason", [ConnectionDone, ConnectionLost])
def test_b1_a_close_before_the_head(begun: bytes, reason: type[Exception]) -> None:
    receiver, wire = exchange(Net(), *([begun] if begun else []))
    wire.lose(reason())
    assert type(receiver.error) is UpstreamClosed
    assert wire.protocol.received_any is bool(begun)
    assert repr(wire.protocol) == "<UpstreamConnection lost exchanges=1>"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_m2_statuses_without_body(status: bytes) -> None:
    net = Net()
    receiver, wire = exchange(net, b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n")
    assert (receiver.length, receiver.trailers) == (0, [])
    assert receiver.head is not None and receiver.head.content_length == 5
    assert is_idle(net, wire)


def test_m1_a_head_response_has_no_body() -> None:
    net = Net()
    receiver, wire = exchange(net, OK + b"Content-Length: 5\r\n\r\n", method=b"HEAD")
    assert (receiver.length, receiver.trailers) == (0, [])
    assert is_idle(net, wire)


@pytest.mark.parametrize(
    ("response", "method"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"HEAD"),
        (b"HTTP/1.1 204 No Content\r\n\r\nx", b"GET"),
        (WHOLE + b"HTTP/1.1 200 OK\r\n\r\n", b"GET"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", b"GET"),
        (OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nok", b"GET"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"GET"),
    ],
)
def test_f8_m1_after_excess_bytes_or_a_close_it_is_not_used_again(response: bytes, method: bytes) -> None:
    receiver, wire = exchange(Net(), response, method=method)
    assert receiver.trailers == [] and receiver.error is None
    assert wire.disconnected
    wire.lose()


def test_f8_excess_bytes_in_a_later_read() -> None:
    receiver, wire = exchange(Net(), OK + b"Content-Length: 4\r\n\r\nok", b"okHTTP/1.1 200 OK\r\n\r\n")
    assert (receiver.body, receiver.trailers) == (b"okok", [])
    assert wire.disconnected


def test_f8_what_comes_unasked_closes_an_idle_connection() -> None:
    net = Net()
    _, wire = exchange(net, WHOLE)
    assert is_idle(net, wire)
    wire.protocol.dataReceived(WHOLE)
    assert wire.disconnected
    assert net.pool.take() is None


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 999 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        OK + b"A : b\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"A: " + b"b" * 2000,
        OK + b"A: " + b"b" * 2000 + b"\r\n\r\n",
        OK + b"A: b\r\n" * 20 + b"\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nnot a chunk",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 103 x\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ],
)
def test_b3_e5_f8_f9_h10_what_is_no_response(response: bytes) -> None:
    receiver, wire = exchange(Net(max_response_header_size=1024, max_response_headers=10), response)
    assert receiver.head is None
    assert_failed(receiver, wire, BadResponse)


@pytest.mark.parametrize("response", [OK + b"A : b\r\n\r\n", OK + b"A: " + b"b" * 2000 + b"\r\n\r\n"])
def test_b3_the_same_in_pieces(response: bytes) -> None:
    wire = connected(Net(max_response_header_size=1024))
    receiver = ask(wire)
    for at in range(0, len(response), 16):
        if not receiver.over:
            wire.protocol.dataReceived(response[at : at + 16])
    assert_failed(receiver, wire, BadResponse)


def test_f8_a_bad_chunk_after_the_head_was_passed_on_breaks_the_response() -> None:
    receiver, wire = exchange(Net(), OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"x\r\n")
    assert receiver.body == b"hello"
    assert_failed(receiver, wire, UpstreamBroken)


def test_e4_informational_responses_are_told_one_by_one_and_bounded() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    receiver, wire = exchange(Net(), hints * MAX_INFORMATIONAL)
    assert [head.status for head in receiver.informational] == [103] * MAX_INFORMATIONAL
    assert receiver.error is None
    wire.protocol.dataReceived(hints)
    assert_failed(receiver, wire, BadResponse)


def test_e4_the_bound_is_for_one_exchange() -> None:
    hints = b"HTTP/1.1 102 Processing\r\n\r\n" * MAX_INFORMATIONAL
    _, wire = exchange(Net(), hints + WHOLE)
    second = ask(wire)
    wire.protocol.dataReceived(hints + WHOLE)
    assert second.trailers == []


# One exchange after the other


def test_k1_it_carries_one_exchange_after_the_other() -> None:
    net = Net()
    first, wire = exchange(net, WHOLE)
    assert repr(wire.protocol) == "<UpstreamConnection idle exchanges=1>"
    assert net.pool.take() is wire.protocol
    second = ask(wire)
    assert wire.protocol.exchanges == 2
    assert not wire.protocol.received_any
    assert repr(wire.protocol) == "<UpstreamConnection busy exchanges=2>"
    wire.protocol.dataReceived(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
    assert (first.body, second.body) == (b"ok", b"x")
    assert is_idle(net, wire)


def test_the_next_in_the_queue_is_served_as_the_response_ends() -> None:
    net = Net(max_connections=1)
    wire = connected(net)
    second = Recorder()

    class Next(Waiting):
        def connection_ready(self, connection: Any) -> None:
            ask(wire, receiver=second)

    net.pool.wait(Next())
    first = ask(wire)
    wire.protocol.dataReceived(WHOLE)
    assert first.trailers == []
    assert second.head is None and not second.over
    wire.protocol.dataReceived(OK + b"Content-Length: 1\r\n\r\nx")
    assert (second.body, second.trailers) == (b"x", [])


def test_b2_an_early_response_is_told_whole_and_the_connection_is_not_used_again() -> None:
    wire = connected(Net())
    receiver = ask(wire, b"POST", length=100)
    wire.protocol.send_body(b"x")
    wire.protocol.dataReceived(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    assert (receiver.body, receiver.trailers) == (b"no", [])
    assert wire.disconnected


def test_b2_an_upload_may_end_after_the_response_has_begun() -> None:
    net = Net()
    wire = connected(net)
    receiver = ask(wire, b"POST", length=1)
    wire.protocol.dataReceived(OK + b"Content-Length: 2\r\n\r\n")
    wire.protocol.send_body(b"x")
    wire.protocol.end_body([])
    wire.protocol.dataReceived(b"ok")
    assert receiver.trailers == []
    assert is_idle(net, wire)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 103 Early\r\n\r\n" + WHOLE,
        WHOLE,
        OK + b"Content-Length: 9\r\n\r\nok",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"\r\nok",
    ],
)
@pytest.mark.parametrize("when", ["response_informational", "response_head", "response_data"])
def test_b5_k6_a_receiver_that_gives_up_hears_nothing_more(response: bytes, when: str) -> None:
    wire = connected(Net())
    told: list[str] = []

    class GivesUp(Recorder):
        def _tell(self) -> None:
            super()._tell()
            assert not told, "nothing may come after it gave up"

    receiver = GivesUp()
    before = getattr(receiver, when)

    def give_up(*args: Any) -> None:
        before(*args)
        told.append(when)
        wire.protocol.close()

    setattr(receiver, when, give_up)
    ask(wire, receiver=receiver)
    wire.protocol.dataReceived(response)
    if when == "response_informational" and not receiver.informational:
        return
    assert told and wire.disconnected
    wire.protocol.dataReceived(b"more")
    wire.lose()
