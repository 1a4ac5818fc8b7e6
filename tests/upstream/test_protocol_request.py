"""What an upstream connection writes: head, framing and body of a request."""

from __future__ import annotations

import pytest

from tests.upstream.net import Net, Recorder, ask, connected


@pytest.mark.parametrize(
    ("length", "chunked", "framing"),
    [
        (None, False, b""),
        (0, False, b"Content-Length: 0\r\n"),
        (5, False, b"Content-Length: 5\r\n"),
        (None, True, b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_f11_m5_the_framing_is_made_here(length: int | None, chunked: bool, framing: bytes) -> None:
    wire = connected(Net())
    ask(wire, b"foo", headers=[(b"Host", b"h"), (b"x-A", b"1"), (b"X-a", b"2")], length=length, chunked=chunked)
    assert wire.take() == b"foo /a?b HTTP/1.1\r\nHost: h\r\nx-A: 1\r\nX-a: 2\r\nVia: v\r\n" + framing + b"\r\n"


def test_b1_a_counted_body_is_written_as_it_comes() -> None:
    wire = connected(Net())
    ask(wire, b"POST", length=5)
    wire.take()
    wire.protocol.send_body(b"he")
    assert wire.take() == b"he"
    wire.protocol.send_body(b"llo")
    assert wire.take() == b"llo"
    wire.protocol.end_body([])
    assert wire.take() == b""


def test_b9_a_chunked_body_stays_one() -> None:
    wire = connected(Net())
    ask(wire, b"POST", chunked=True)
    wire.take()
    wire.protocol.send_body(b"hello")
    assert wire.take() == b"5\r\nhello\r\n"
    wire.protocol.end_body([(b"X-Sum", b"1")])
    assert wire.take() == b"0\r\nX-Sum: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("length", "chunked", "body"), [(5, False, b"hello"), (None, True, b"5\r\nhello\r\n0\r\n\r\n")]
)
def test_what_is_there_of_the_body_leaves_with_the_head(length: int | None, chunked: bool, body: bytes) -> None:
    wire = connected(Net())
    wire.protocol.send(b"POST", b"/", [(b"Host", b"h")], b"", length, chunked, Recorder())
    wire.protocol.send_body(b"hello")
    wire.protocol.end_body([])
    assert wire.take() == b""
    wire.protocol.flush()
    assert wire.take().endswith(b"\r\n\r\n" + body)
    wire.protocol.flush()
    assert wire.take() == b""


def test_b7_of_a_request_that_was_given_up_nothing_leaves() -> None:
    wire = connected(Net())
    wire.protocol.send(b"POST", b"/", [], b"", 5, False, Recorder())
    wire.protocol.close()
    wire.protocol.flush()
    assert wire.take() == b""
    assert wire.disconnected
