"""Commands as Redis reads them, answers as it writes them, in whatever pieces they arrive."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.testing import StringTransport

from gwproxy.store.protocol import MOST_ANSWER, encode, protocol_class


class Took:
    """A Receiver that takes down."""

    def __init__(self) -> None:
        self.replies: list[Any] = []
        self.events: list[str] = []

    def made(self, protocol: Any) -> None:
        self.events.append("made")

    def replied(self, protocol: Any, reply: Any) -> None:
        self.replies.append(reply)

    def lost(self, protocol: Any, why: str) -> None:
        self.events.append(f"lost: {why}")


def test_a_command() -> None:
    assert encode((b"EVALSHA", b"a\r\nb", b"")) == b"*3\r\n$7\r\nEVALSHA\r\n$4\r\na\r\nb\r\n$0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_answers_in_any_pieces(size: int) -> None:
    took = Took()
    protocol = protocol_class()(took)
    protocol.makeConnection(StringTransport())
    data = b"+PONG\r\n:-42\r\n*3\r\n:1\r\n:22\r\n*1\r\n:7\r\n-NOSCRIPT No matching script.\r\n"
    for start in range(0, len(data), size):
        protocol.dataReceived(data[start : start + size])
    *good, error = took.replies
    assert good == ["PONG", -42, [1, 22, [7]]]
    assert isinstance(error, Exception)
    assert str(error).startswith("NOSCRIPT")
    assert took.events == ["made"]


@pytest.mark.parametrize("endless", [b"$1000000000\r\n" + b"x" * 996, b"*1\r\n" * 250, b"+" + b"x" * 999])
def test_an_answer_has_a_bound(endless: bytes) -> None:
    took = Took()
    transport = StringTransport()
    protocol = protocol_class()(took)
    protocol.makeConnection(transport)
    sent = 0
    for _ in range(2 * MOST_ANSWER // 1000):
        protocol.dataReceived(b":1\r\n" * 250)
    assert not transport.disconnecting
    while not transport.disconnecting:
        protocol.dataReceived(endless)
        sent += len(endless)
        assert sent <= MOST_ANSWER + len(endless)
    assert set(took.replies) == {1}


def test_its_end_is_told() -> None:
    from twisted.internet.error import ConnectionDone
    from twisted.python.failure import Failure

    took = Took()
    protocol = protocol_class()(took)
    protocol.makeConnection(StringTransport())
    protocol.connectionLost(Failure(ConnectionDone()))
    assert took.events == ["made", "lost: Connection was closed cleanly."]
