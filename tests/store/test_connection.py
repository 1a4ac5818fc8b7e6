"""A connection logs in, keeps answers apart, and is made again: on a clock, over a transport in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from gwproxy.store.connection import CONNECT_TIMEOUT, LONGEST_PAUSE, Connection, Question
from gwproxy.store.protocol import encode

LOGIN = ((b"AUTH", b"pass-word"), (b"PING",))
TIMEOUT = 0.05


class TurnByTurn(Clock):
    """Runs what is due when a turn begins, as a reactor does; what that asks for comes in the next one."""

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        for call in [call for call in self.calls if call.getTime() <= self.rightNow]:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class Wire:
    """A transport that keeps what is written."""

    disconnecting = False

    def __init__(self) -> None:
        self.written = b""
        self.aborting = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abortConnection(self) -> None:
        self.aborting = True


@implementer(IStreamClientEndpoint)
class Endpoint:
    """The test decides what becomes of each try."""

    def __init__(self) -> None:
        self.tries: list[tuple[Any, Deferred[Any]]] = []
        self.cancelled = 0

    def connect(self, factory: Any) -> Deferred[Any]:
        def cancel(_: Deferred[Any]) -> None:
            self.cancelled += 1

        attempt: Deferred[Any] = Deferred(cancel)
        self.tries.append((factory, attempt))
        return attempt

    def accept(self) -> tuple[Any, Wire]:
        factory, attempt = self.tries[-1]
        protocol, transport = factory.buildProtocol(None), Wire()
        protocol.makeConnection(transport)
        attempt.callback(protocol)
        return protocol, transport


class Told:
    """An Owner that takes down."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def ready(self, connection: Connection) -> None:
        self.events.append("ready")

    def answered(self, connection: Connection, question: Question, reply: Any) -> None:
        self.events.append((question.source, reply))

    def lost(self, connection: Connection, questions: Sequence[Question], why: str) -> None:
        self.events.append((why, [question.source for question in questions]))

    def unreachable(self, connection: Connection, why: str) -> None:
        self.events.append(f"unreachable: {why}")


class Played:
    """A connection and all that is around it."""

    def __init__(self) -> None:
        self.clock = TurnByTurn()
        self.endpoint = Endpoint()
        self.told = Told()
        self.connection = Connection(lambda: self.endpoint, LOGIN, TIMEOUT, self.clock, self.told)
        self.connection.start()

    def log_in(self) -> tuple[Any, Wire]:
        protocol, transport = self.endpoint.accept()
        transport.written = b""
        protocol.dataReceived(b"+OK\r\n+PONG\r\n")
        self.told.events.clear()
        return protocol, transport

    def ask(self, name: bytes) -> Question:
        question = Question(self.clock.seconds() + TIMEOUT, name, ())
        self.connection.ask(name, question)
        return question

    def retries(self) -> bool:
        """Whether it connects again, within the longest pause."""
        tries = len(self.endpoint.tries)
        self.clock.pump([0.5] * int(LONGEST_PAUSE * 1.2 / 0.5 + 1))
        return len(self.endpoint.tries) > tries


def test_it_is_ready_when_the_whole_login_was_answered() -> None:
    played = Played()
    protocol, transport = played.endpoint.accept()
    assert transport.written == b"".join(map(encode, LOGIN))
    protocol.dataReceived(b"+OK\r\n")
    assert played.told.events == []
    protocol.dataReceived(b"+PONG\r\n")
    assert played.told.events == ["ready"]
    assert played.clock.getDelayedCalls() == []


def test_answers_come_in_the_order_of_the_questions() -> None:
    played = Played()
    protocol, transport = played.log_in()
    played.ask(b"a")
    played.ask(b"b")
    assert transport.written == b"ab"
    assert played.connection.load == 2
    protocol.dataReceived(b":1\r\n:2\r\n")
    assert played.told.events == [(b"a", 1), (b"b", 2)]
    assert played.connection.load == 0
    played.clock.advance(TIMEOUT)
    assert played.clock.getDelayedCalls() == []


def test_a_late_answer_is_nobodys() -> None:
    played = Played()
    protocol, transport = played.log_in()
    played.ask(b"a")
    played.clock.advance(0.03)
    played.ask(b"b")
    played.clock.pump([0.02, 0])
    assert transport.aborting
    assert played.told.events == [("timeout", [b"a", b"b"])]
    protocol.dataReceived(b":1\r\n:2\r\n")
    protocol.connectionLost(Failure(ConnectionDone()))
    assert len(played.told.events) == 1
    assert played.retries()
    again, _ = played.endpoint.accept()
    played.told.events.clear()
    protocol.dataReceived(b":1\r\n:2\r\n")
    assert played.told.events == []
    again.dataReceived(b"+OK\r\n+PONG\r\n")
    played.ask(b"c")
    protocol.dataReceived(b":2\r\n")
    again.dataReceived(b":3\r\n")
    assert played.told.events == ["ready", (b"c", 3)]


def test_the_deadline_is_that_of_each_question() -> None:
    played = Played()
    protocol, transport = played.log_in()
    for name in (b"a", b"b", b"c"):
        played.ask(name)
        played.clock.advance(0.04)
        protocol.dataReceived(b":1\r\n")
    assert not transport.aborting
    played.ask(b"d")
    played.clock.pump([0.049, 0])
    assert not transport.aborting
    played.clock.pump([0.002, 0])
    assert transport.aborting


def test_an_answer_that_waited_to_be_read_while_we_were_busy_is_not_late() -> None:
    """The timers of a turn come before its sockets."""
    played = Played()
    protocol, transport = played.log_in()
    played.ask(b"a")
    played.clock.advance(10)
    protocol.dataReceived(b":1\r\n")
    played.clock.advance(0)
    assert not transport.aborting
    assert played.told.events == [(b"a", 1)]


def test_a_refused_login_is_told_without_the_password() -> None:
    played = Played()
    protocol, transport = played.endpoint.accept()
    protocol.dataReceived(b"-ERR unknown command `AUTH`, with args beginning with: `pass-word`\r\n")
    assert played.told.events == ["unreachable: AUTH was refused: ERR"]
    assert transport.aborting
    assert played.retries()


def test_a_server_that_says_nothing_is_given_up() -> None:
    played = Played()
    _, transport = played.endpoint.accept()
    played.clock.advance(CONNECT_TIMEOUT)
    assert transport.aborting
    assert played.told.events == ["unreachable: timeout"]
    assert played.retries()


def test_one_that_does_not_even_connect_too() -> None:
    played = Played()
    played.clock.advance(CONNECT_TIMEOUT)
    assert played.endpoint.cancelled == 1
    assert played.told.events == ["unreachable: timeout"]
    assert played.retries()


def test_pauses_between_tries_grow_up_to_a_bound() -> None:
    played = Played()
    starts = []
    for _ in range(12):
        tries = len(played.endpoint.tries)
        played.endpoint.tries[-1][1].errback(Failure(ConnectionRefusedError()))
        began = played.clock.seconds()
        while len(played.endpoint.tries) == tries:
            played.clock.advance(0.01)
        starts.append(played.clock.seconds() - began)
    assert starts[0] < 0.13
    assert 0.8 * LONGEST_PAUSE <= starts[-1] <= 1.2 * LONGEST_PAUSE + 0.01


def test_a_lost_connection_is_made_again_at_once_when_it_was_good() -> None:
    played = Played()
    protocol, _ = played.log_in()
    played.ask(b"a")
    protocol.connectionLost(Failure(ConnectionDone()))
    assert played.told.events == [("Connection was closed cleanly.", [b"a"])]
    played.clock.advance(0.13)
    assert len(played.endpoint.tries) == 2


def test_an_answer_without_a_question_ends_it() -> None:
    played = Played()
    protocol, transport = played.log_in()
    protocol.dataReceived(b":1\r\n")
    assert transport.aborting
    assert played.told.events == [("an answer that nobody asked for", [])]


@pytest.mark.parametrize("when", ["connecting", "logging in", "ready", "asked", "between"])
def test_stopped_it_leaves_nothing(when: str) -> None:
    played = Played()
    transport = None
    if when == "between":
        played.endpoint.tries[-1][1].errback(Failure(ConnectionRefusedError()))
    elif when == "logging in":
        _, transport = played.endpoint.accept()
    elif when != "connecting":
        _, transport = played.log_in()
    if when == "asked":
        played.ask(b"a")
    played.told.events.clear()
    played.connection.stop()
    assert played.clock.getDelayedCalls() == []
    assert transport is None or transport.aborting
    assert played.endpoint.cancelled == (when == "connecting")
    assert played.told.events == {"ready": [("stopped", [])], "asked": [("stopped", [b"a"])]}.get(when, [])


def test_what_connects_after_the_stop_is_closed() -> None:
    played = Played()
    factory, attempt = played.endpoint.tries[-1]
    played.connection.stop()
    protocol, transport = factory.buildProtocol(None), Wire()
    protocol.makeConnection(transport)
    assert transport.aborting
    assert not isinstance(attempt.result, Failure)  # the cancellation was taken care of


def test_an_endpoint_that_cannot_be_made_is_tried_again() -> None:
    clock, told = Clock(), Told()

    def broken() -> IStreamClientEndpoint:
        raise FileNotFoundError

    Connection(broken, LOGIN, TIMEOUT, clock, told).start()
    clock.advance(0.13)
    assert told.events == ["unreachable: FileNotFoundError"] * 2
