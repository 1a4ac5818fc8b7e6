"""One client connection, with a site that does what a test says. With the whole gateway behind it: tests/flow."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from gwproxy.config.model import ListenOptions
from gwproxy.edge.body import HELD
from gwproxy.edge.channel import IN_A_ROW
from gwproxy.edge.listener import Listener
from gwproxy.http.headers import Headers
from gwproxy.http.trusted import TrustedProxies
from tests.flow.kit.peer import Peer
from tests.flow.kit.wire import BUFFER, FIN, Wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"


class Talk:
    """Stands for an exchange: it writes down what its connection tells it, and answers when the test says so."""

    def __init__(self, channel: Any, request: Any) -> None:
        self.channel = channel
        self.request = request
        self.head = request.head
        self.committed = False
        self.finished = False
        self.told: list[Any] = []
        self.body = b""
        self.trailers: Headers | None = None

    def answers(self, data: bytes = b"answer", keep_alive: bool | None = None) -> None:
        self.channel.write(data)
        self.finished = True
        kept = self.head.keep_alive and self.channel.body_complete() if keep_alive is None else keep_alive
        self.channel.response_done(kept)

    def fail(self, error: Any) -> None:
        self.told.append(error)
        self.finished = True
        self.channel.write(b"%d" % error.status)
        self.channel.response_done(False)

    def client_lost(self, error: Any = None) -> None:
        self.told.append("lost" if error is None else error)
        self.finished = True
        self.channel.abort()

    def timed_out(self) -> None:
        self.told.append("timed out")

    def pause_response(self) -> None:
        self.told.append("pause")

    def resume_response(self) -> None:
        self.told.append("resume")

    def body_data(self, data: bytes) -> None:
        self.body += data

    def body_end(self, trailers: Headers) -> None:
        self.trailers = trailers


class Site:
    """Collects requests, and refusals with their errors."""

    settings = SimpleNamespace(trusted=TrustedProxies())

    def __init__(self) -> None:
        self.talks: list[Talk] = []
        self.refusals: list[Any] = []
        self.at_once: Callable[[Talk], None] | None = None

    def request_received(self, request: Any) -> None:
        talk = Talk(request.channel, request)
        request.channel.exchange = talk
        self.talks.append(talk)
        if self.at_once is not None:
            self.at_once(talk)

    def request_refused(self, request: Any, error: Any) -> None:
        talk = Talk(request.channel, request)
        request.channel.exchange = talk
        self.refusals.append(error.reason)
        talk.answers(b"refused", False)


class Stage:
    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.site = Site()
        site: Any = self.site
        reactor: Any = self.clock
        self.listener = Listener(ListenOptions(name="http", endpoint="tcp:0", **options), site, reactor)
        address = IPv4Address("TCP", "192.0.2.7", 4000)
        self.channel: Any = self.listener.buildProtocol(address)
        self.client = Peer(self.clock, Wire(self.clock, self.channel, address, address))
        self.client.wire.open()

    @property
    def talk(self) -> Talk:
        return self.site.talks[-1]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_request_and_its_answer(stage: Stage) -> None:
    stage.client >> GET
    assert stage.talk.request.head.method == b"GET"
    assert repr(stage.channel) == "<EdgeChannel 192.0.2.7 wait requests=1>"
    assert stage.channel.body_complete()
    stage.talk.answers()
    stage.client << b"answer"
    assert repr(stage.channel) == "<EdgeChannel 192.0.2.7 head requests=1>"
    stage.client >> GET
    stage.talk.answers(keep_alive=False)
    stage.client << b"answer"
    assert stage.client.was_closed
    assert stage.listener.connections == 0


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_head_and_a_body_in_pieces(size: int, stage: Stage) -> None:
    data = POST + b"body"
    for at in range(0, len(data), size):
        stage.client >> data[at : at + size]
        if stage.site.talks:
            stage.channel.start_body(stage.talk)
    assert (stage.talk.body, stage.talk.trailers, len(stage.site.talks)) == (b"body", [], 1)
    stage.talk.answers()
    assert not stage.client.is_gone


def test_one_at_a_time(stage: Stage) -> None:
    stage.client >> GET * 2
    assert len(stage.site.talks) == 1
    stage.talk.answers(b"one")
    assert len(stage.site.talks) == 2
    stage.talk.answers(b"two")
    stage.client << b"onetwo"


def test_who_pipelines_faster_than_it_is_answered_waits() -> None:
    stage = Stage()
    stage.site.at_once = Talk.answers
    many = HELD // len(GET) + IN_A_ROW + 1
    stage.client.wire.deliver(GET * many)
    stage.client.wire.deliver(GET)
    assert stage.client.wire.held_back == len(GET)
    stage.client.turn()
    assert len(stage.site.talks) == many + 1


@pytest.mark.parametrize("begun", [b"GET / HTTP/1.1\r\nX: " + b"x" * HELD, b"\r\n" * HELD], ids=["head", "empty lines"])
def test_a_long_beginning_that_came_early_is_read_on(begun: bytes) -> None:
    stage = Stage(max_header_size=4 * HELD)
    stage.client >> GET
    stage.client >> begun
    assert stage.client.is_paused
    stage.talk.answers()
    assert not stage.client.is_paused


def test_so_many_in_a_row_and_then_others_have_their_turn() -> None:
    stage = Stage()
    stage.site.at_once = Talk.answers
    stage.channel.dataReceived(GET * (IN_A_ROW + 3))
    assert len(stage.site.talks) == IN_A_ROW
    stage.client.turn()
    assert len(stage.site.talks) == IN_A_ROW + 3
    stage.client << b"answer" * (IN_A_ROW + 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"nonsense\r\n\r\n", "bad_request"),
        (b"\x16\x03\x01", "bad_request"),
        (b"GET / HTTP/1.1\r\n\r\n", "bad_host"),
        (b"GET /../ HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"),
        (GET[:-2] + b"X: " + b"a" * 40000, "head_too_large"),
    ],
)
def test_what_is_refused_ends_the_connection(data: bytes, reason: str, stage: Stage) -> None:
    stage.client >> data
    assert stage.site.refusals == [reason]
    stage.client << b"refused"
    # It may still send: its answer must not be destroyed by a reset (B2).
    assert stage.client.wire.shut and not stage.client.is_gone
    stage.client >> GET
    assert not stage.site.talks
    stage.client.shuts()
    assert stage.client.was_closed


def test_a_refused_body_in_the_first_piece_reaches_nobody(stage: Stage) -> None:
    stage.client >> b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    assert (stage.site.refusals, stage.site.talks) == (["bad_chunk"], [])


def test_a_body_that_goes_wrong_is_the_exchanges(stage: Stage) -> None:
    stage.client >> b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    stage.client >> b"zz\r\n"
    assert [error.reason for error in stage.talk.told] == ["bad_chunk"]
    assert not stage.talk.head.keep_alive


def test_an_unwanted_body_that_is_here_is_dropped(stage: Stage) -> None:
    stage.client >> POST + b"bo"
    assert not stage.channel.body_at_hand()
    stage.client >> b"dy"
    assert stage.channel.body_at_hand()
    stage.talk.answers()
    stage.client >> GET
    assert len(stage.site.talks) == 2


def test_reading_stops_while_a_body_is_held(stage: Stage) -> None:
    stage.client >> POST.replace(b"4", b"%d" % (3 * HELD))
    stage.client >> b"x" * (HELD - 1)
    assert not stage.client.is_paused
    stage.client >> b"x"
    assert stage.client.is_paused
    stage.channel.start_body(stage.talk)
    assert not stage.client.is_paused and len(stage.talk.body) == HELD
    stage.channel.pause_body()
    assert stage.client.is_paused
    stage.channel.resume_body()
    assert not stage.client.is_paused
    stage.client.resets()


def test_reading_stops_while_much_is_pipelined(stage: Stage) -> None:
    stage.client >> GET
    stage.client >> b"x" * HELD
    assert stage.client.is_paused
    stage.client.resets()
    assert stage.talk.told == ["lost"]


def test_a_slow_reader_pauses_the_response(stage: Stage) -> None:
    stage.client >> GET
    stage.client.stops_reading()
    stage.channel.write(b"x" * (BUFFER + 1))
    assert stage.talk.told == ["pause"] and stage.channel.write_paused
    stage.client.reads_on()
    assert stage.talk.told == ["pause", "resume"]
    stage.talk.answers()


def test_a_client_that_pipelines_and_does_not_read_is_not_served_without_end() -> None:
    stage = Stage()
    stage.site.at_once = lambda talk: talk.answers(b"x" * BUFFER)
    stage.client.stops_reading()
    stage.client >> GET * 50
    for _ in range(10):
        stage.client.turn()
    assert len(stage.site.talks) <= 3
    stage.client.reads_on()
    for _ in range(60):
        stage.client.turn()
    assert len(stage.site.talks) == 50


@pytest.mark.parametrize("sent", [b"", b"GET /"])
def test_a_client_that_goes_without_a_request(sent: bytes, stage: Stage) -> None:
    if sent:
        stage.client >> sent
    stage.client.resets()
    assert not stage.site.talks and not stage.site.refusals
    assert stage.listener.connections == 0 and not stage.clock.getDelayedCalls()


def test_a_client_that_goes_with_one(stage: Stage) -> None:
    stage.client >> GET
    stage.client.resets()
    assert stage.talk.told == ["lost"]
    assert not stage.clock.getDelayedCalls()


def test_a_fin_in_the_body_is_the_end(stage: Stage) -> None:
    stage.client >> POST + b"bo"
    stage.client.shuts()
    assert [error.reason for error in stage.talk.told] == ["client_gone"]
    assert stage.client.was_reset


def test_a_fin_behind_the_request_is_not(stage: Stage) -> None:
    stage.client >> GET
    stage.client.shuts()
    assert not stage.talk.told and not stage.talk.head.keep_alive
    stage.talk.answers()
    stage.client << b"answer"
    assert stage.client.was_closed


def test_breaking_off_sends_what_is_written_first(stage: Stage) -> None:
    stage.client >> GET
    stage.channel.write(b"half")
    stage.channel.break_off()
    stage.client << b"half"
    assert stage.client.was_reset


def test_draining(stage: Stage) -> None:
    busy = Stage()
    busy.client >> GET
    for each in (stage, busy):
        each.listener.drain()
    assert stage.client.was_closed and not busy.client.is_gone
    assert not busy.talk.head.keep_alive
    busy.listener.abort_all()
    assert [error.reason for error in busy.talk.told] == ["draining"]


def test_the_end_of_a_drain_cuts_who_serves_nothing(stage: Stage) -> None:
    stage.client >> GET[:5]
    stage.listener.drain()
    assert not stage.client.is_gone, "its request has begun"
    stage.listener.abort_all()
    assert stage.client.was_reset


def test_one_connection_too_many_is_answered_at_once() -> None:
    stage = Stage(max_connections=1)
    address = IPv4Address("TCP", "192.0.2.8", 1)
    channel: Any = stage.listener.buildProtocol(address)
    client = Peer(stage.clock, Wire(stage.clock, channel, address, address))
    client.wire.open()
    assert stage.site.refusals == ["overload"]
    client << b"refused"
    client.shuts()
    assert client.is_gone and stage.listener.connections == 1


def test_who_sends_no_more_is_not_lingered_on(stage: Stage) -> None:
    """Nothing of its is unread: there is nothing to wait for."""
    stage.client >> GET + b"nonsense\r\n\r\n"
    stage.client.shuts()
    stage.talk.answers(b"answer")
    stage.client << b"answerrefused"
    assert stage.client.was_closed


def test_a_fin_does_not_make_a_broken_answer_an_end_in_order(stage: Stage) -> None:
    stage.client >> GET
    stage.channel.write(b"half")
    stage.channel.break_off()
    stage.client.wire.deliver(FIN)
    stage.client << b"half"
    assert stage.client.was_reset


def test_a_lost_connections_own_write_is_not_called_any_more(stage: Stage) -> None:
    def closed(data: bytes) -> None:
        raise RuntimeError("the handler is closed")

    stage.channel.write = closed
    stage.client.resets()
    stage.channel.write(b"late")
