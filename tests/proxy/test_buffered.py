"""A body that is held: who gets it when, what is counted, when the client is paused. In the gateway: tests/flow."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from twisted.internet.defer import CancelledError

from gwproxy.errors import BodyTooLarge
from gwproxy.filters.api import Reply
from gwproxy.http.headers import Headers
from gwproxy.proxy.buffered import BodyRefused, BufferedBody


class Client:
    """The downstream of an exchange, and the exchange: what is asked of them."""

    def __init__(self) -> None:
        self.downstream = self
        self.bytes_in = 0
        self.filter_name = "bound"
        self.did: list[Any] = []
        self.reply: Reply | None = None

    def judge_body(self) -> Reply | None:
        if self.bytes_in == 13:
            raise ZeroDivisionError
        return self.reply

    def pause_body(self) -> None:
        self.did.append("pause")

    def resume_body(self) -> None:
        self.did.append("resume")

    def start_body(self, sink: object) -> None:
        self.did.append(sink)


class Sink:
    def __init__(self) -> None:
        self.got: list[Any] = []

    def body_held(self, data: bytes) -> None:
        self.got.append(data)

    def body_data(self, data: bytes) -> None:
        raise AssertionError("counted twice")

    def body_end(self, trailers: Headers) -> None:
        self.got.append(trailers)


@pytest.fixture
def client() -> Any:
    return Client()


@pytest.fixture
def body(client: Any) -> BufferedBody:
    return BufferedBody(client)


def outcome(deferred: Any) -> Any:
    """What it fired with, an exception as itself."""
    found: list[Any] = []
    deferred.addCallbacks(found.append, lambda failure: found.append(failure.value))
    return found[0] if found else None


def test_it_is_whole(client: Any, body: BufferedBody) -> None:
    waiting = body.read(5)
    body.body_data(b"ab")
    body.body_data(b"cde")
    assert not waiting.called
    body.body_end([(b"X", b"1")])
    assert outcome(waiting) == b"abcde"
    assert (client.bytes_in, client.did, body.complete) == (5, [], True)
    for _ in range(2):  # for each attempt
        sink = Sink()
        body.pass_on(sink)
        assert sink.got == [b"abcde", [(b"X", b"1")]]
    assert outcome(body.read(5)) == b"abcde"
    assert isinstance(outcome(body.read(4)), BodyTooLarge)


def test_nothing_is_passed_on_of_an_empty_one(body: BufferedBody) -> None:
    body.body_end([])
    sink = Sink()
    body.pass_on(sink)
    assert sink.got == [[]]


def test_it_is_too_large(client: Any, body: BufferedBody) -> None:
    waiting = body.read(3)
    body.body_data(b"ab")
    body.body_data(b"cd")
    assert isinstance(outcome(waiting), BodyTooLarge)
    assert client.did == ["pause"]
    body.body_data(b"e")  # was on its way
    sink = Sink()
    body.pass_on(sink)
    assert (sink.got, client.did, client.bytes_in) == ([b"abcde"], ["pause", "resume", sink], 5)
    again = Sink()
    body.pass_on(again)
    assert again.got == []  # what was given away is not held any more


def test_another_asks_for_more(client: Any, body: BufferedBody) -> None:
    body.read(1).addErrback(lambda failure: None)
    body.body_data(b"ab")
    assert isinstance(outcome(body.read(1)), BodyTooLarge)
    waiting = body.read(10)
    assert client.did == ["pause", "resume"]
    body.body_data(b"c")
    body.body_end([])
    assert outcome(waiting) == b"abc"


def test_it_is_given_up(client: Any, body: BufferedBody) -> None:
    waiting = body.read(10)
    body.body_data(b"ab")
    waiting.cancel()
    assert isinstance(outcome(waiting), CancelledError)
    assert client.did == ["pause"]
    body.body_end([])
    sink = Sink()
    body.pass_on(sink)
    assert sink.got == [b"ab", []]


def test_who_set_a_bound_is_heard_first(client: Any, body: BufferedBody) -> None:
    client.reply = Reply(413, detail="body_limit")
    waiting = body.read(1)
    body.body_data(b"ab")
    refused = outcome(waiting)
    assert isinstance(refused, BodyRefused)
    assert (refused.reply, refused.filter_name, refused.detail) == (client.reply, "bound", "body_limit")
    assert client.did == ["pause"]


def test_who_set_a_bound_fails(client: Any, body: BufferedBody) -> None:
    waiting = body.read(100)
    body.body_data(b"x" * 13)
    assert isinstance(outcome(waiting), ZeroDivisionError)
    assert client.did == ["pause"]


def test_one_at_a_time(body: BufferedBody) -> None:
    body.read(1)
    with pytest.raises(RuntimeError):
        body.read(1)


def test_small_pieces_take_their_size(client: Any, body: BufferedBody) -> None:
    waiting = body.read(20_000)
    tracemalloc.start()
    for _ in range(10_000):
        body.body_data(bytes(2))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 40_000
    body.body_end([])
    assert outcome(waiting) == bytes(20_000)
