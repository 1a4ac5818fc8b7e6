"""The states of an exchange, by themselves: what each event becomes in each of them. With all around it: tests/flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from gwproxy.config.model import RouteOptions
from gwproxy.errors import (
    BadResponse,
    BodyTimeout,
    ClientStalled,
    ConnectFailed,
    Draining,
    GatewayError,
    NoServer,
    Reason,
    UpstreamBroken,
)
from gwproxy.filters.api import Reply
from gwproxy.filters.chain import FilterChain
from gwproxy.http.forwarded import PeerForwarding
from gwproxy.http.request import HeadLimits, RequestHead
from gwproxy.http.target import parse_target
from gwproxy.http.trusted import TrustedProxies
from gwproxy.proxy.exchange import Exchange
from gwproxy.proxy.settings import ProxySettings
from gwproxy.routing.route import Route
from gwproxy.runtime.generation import Generation
from tests.flow.kit.scripted import Scripted


class Client:
    """A Downstream that writes down what it is told."""

    scheme = b"http"
    peer_trusted = False

    def __init__(self) -> None:
        self.peer = PeerForwarding("192.0.2.7", b"http", 8080, 4000)
        self.complete = True
        self.at_hand = False
        self.got = b""
        self.did: list[Any] = []

    def body_complete(self) -> bool:
        return self.complete

    def body_at_hand(self) -> bool:
        return self.at_hand

    def start_body(self, sink: object) -> None: ...

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...

    def limit_wait(self, seconds: float) -> None:
        self.did.append(("limit", seconds))

    def write(self, data: bytes) -> None:
        assert data
        self.got += data

    def response_begun(self) -> None: ...

    def response_done(self, keep_alive: bool) -> None:
        self.did.append(("done", keep_alive))

    def break_off(self) -> None:
        self.did.append("break_off")

    def abort(self) -> None:
        self.did.append("abort")


class Work:
    """A producer, and the action that begins it."""

    def __init__(self, begins: Callable[[Exchange], None] | None = None) -> None:
        self.did: list[str] = []
        self._begins = begins

    def begin(self, exchange: Exchange) -> None:
        exchange.producer = self
        if self._begins is not None:
            self._begins(exchange)

    def pause_response(self) -> None:
        self.did.append("pause")

    def resume_response(self) -> None:
        self.did.append("resume")

    def cancel(self) -> None:
        self.did.append("cancel")


class Stage:
    """One exchange and those around it."""

    def __init__(self, *filters: object, action: Work | None = None, raw: bytes = b"") -> None:
        self.clock = Clock()
        self.client = Client()
        self.work = action or Work()
        self.generation = Generation()
        self.finished: list[Exchange] = []
        route = Route(RouteOptions(name="r", upstream="u", timeout=30.0))
        route.action = self.work
        route.filters = FilterChain([(str(number), each) for number, each in enumerate(filters)])
        settings = ProxySettings(
            seconds=self.clock.seconds,
            observer=self,
            generation=self.generation,
            trusted=TrustedProxies(),
            via=b"gwproxy",
            own_server=False,
            error_page=lambda exchange, reply: (b"text/x", b"page %d" % reply.status),
        )
        request: Any = Request(raw or b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
        downstream: Any = self.client
        self.exchange = Exchange(request, downstream, route, settings)

    def exchange_finished(self, exchange: Exchange) -> None:
        """For the settings: the observer."""
        self.finished.append(exchange)

    def over(self) -> bool:
        """Whether all is over, and was told once."""
        assert len(self.finished) == (self.generation.in_flight == 0) == self.exchange.finished
        return self.exchange.finished


class Request:
    def __init__(self, raw: bytes) -> None:
        self.head = RequestHead()
        self.head.read(raw, HeadLimits())
        self.target = parse_target(self.head.method, self.head.target)
        self.host_name = b"h"


def committed() -> Stage:
    """One whose response head is out, and whose body is under way."""
    stage = Stage()
    stage.exchange.start()
    stage.exchange.commit(200, b"", [], 4, 4)
    stage.exchange.write(b"bo")
    stage.exchange.flush()
    return stage


def test_from_start_to_end() -> None:
    stage = Stage()
    assert repr(stage.exchange) == "<Exchange filtering b'GET' b'/a' status=0 reason=None>"
    assert stage.generation.in_flight == 1
    stage.exchange.start()
    assert stage.client.did == [("limit", 30.0)]
    assert not stage.exchange.committed
    stage.clock.advance(2)
    stage.exchange.commit(200, b"Fine", [(b"X-A", b"1")], 4, 4)
    assert stage.exchange.committed and not stage.over()
    stage.exchange.write(b"bo")
    stage.exchange.write(b"dy")
    assert stage.client.got == b"", "it leaves with the event that brought it"
    stage.exchange.flush()
    head, _, body = stage.client.got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 Fine\r\nX-A: 1\r\n") and body == b"body"
    stage.exchange.end([])
    assert stage.over()
    assert stage.client.did[1:] == [("done", True)]
    assert (stage.exchange.started, stage.exchange.ended, stage.exchange.bytes_out) == (0, 2, 4)
    assert stage.exchange.reason is None


@pytest.mark.parametrize("error", [ConnectFailed("why"), BodyTimeout(), NoServer(), BadResponse()])
def test_a_failure_before_the_commit_is_a_page(error: GatewayError) -> None:
    stage = Stage()
    stage.exchange.start()
    stage.exchange.fail(error)
    assert stage.over()
    assert stage.work.did == ["cancel"]
    assert stage.client.got.startswith(b"HTTP/1.1 %d " % error.status)
    assert stage.client.got.endswith(b"\r\n\r\npage %d" % error.status)
    assert (b"\r\nRetry-After: 1\r\n" in stage.client.got) == (error.status == 503)
    assert (stage.exchange.status, stage.exchange.reason, stage.exchange.detail) == (
        error.status,
        error.reason,
        error.detail,
    )
    assert stage.client.did[-1] == ("done", True)


@pytest.mark.parametrize(
    ("error", "status", "end"),
    [
        (UpstreamBroken(), 200, "break_off"),
        (Draining(), 200, "break_off"),
        (BodyTimeout(), 200, "abort"),
        (ClientStalled(), 499, "abort"),
    ],
)
def test_a_failure_after_it_is_an_abort(error: GatewayError, status: int, end: str) -> None:
    stage = committed()
    before = stage.client.got
    stage.exchange.fail(error)
    assert stage.over()
    assert stage.work.did == ["cancel"]
    assert stage.client.did[-1] == end
    assert stage.client.got == before
    assert (stage.exchange.status, stage.exchange.reason) == (status, error.reason)


def test_what_was_not_sent_yet_leaves_before_the_break() -> None:
    stage = Stage()
    stage.exchange.start()
    stage.exchange.commit(200, b"", [], None, None)
    stage.exchange.write(b"some")
    stage.exchange.fail(UpstreamBroken())
    assert stage.client.got.endswith(b"4\r\nsome\r\n")
    assert stage.client.did[-1] == "break_off"


@pytest.mark.parametrize("begin", [Stage, committed])
def test_a_client_that_is_gone_is_told_nothing(begin: Callable[[], Stage]) -> None:
    stage = begin()
    if begin is Stage:
        stage.exchange.start()
    before = stage.client.got
    stage.exchange.client_lost()
    assert stage.over()
    assert (stage.exchange.status, stage.exchange.reason) == (499, Reason.CLIENT_GONE)
    assert (stage.work.did, stage.client.did[-1], stage.client.got) == (["cancel"], "abort", before)


def test_after_the_end_nothing_happens_any_more() -> None:
    stage = committed()
    stage.exchange.write(b"dy")
    stage.exchange.end([])
    got, did = stage.client.got, list(stage.client.did)
    stage.exchange.fail(UpstreamBroken())
    stage.exchange.client_lost()
    stage.exchange.timed_out()
    stage.exchange.end([])
    stage.exchange.pause_response()
    stage.exchange.resume_response()
    assert (stage.client.got, stage.client.did, stage.work.did) == (got, did, [])
    assert stage.over() and stage.exchange.status == 200


def test_the_routes_timeout_is_for_the_head() -> None:
    stage = Stage()
    stage.exchange.start()
    stage.exchange.timed_out()
    assert (stage.over(), stage.exchange.reason) == (True, Reason.ROUTE_TIMEOUT)
    stage = committed()
    stage.exchange.timed_out()
    assert not stage.over()


def test_an_action_that_refuses_and_one_that_is_broken(logged_errors: list[LogEvent]) -> None:
    def refuses(exchange: Exchange) -> None:
        raise NoServer("none")

    stage = Stage(action=Work(refuses))
    stage.exchange.start()
    assert (stage.over(), stage.exchange.status) == (True, 503)

    def breaks(exchange: Exchange) -> None:
        raise ValueError("on purpose")

    stage = Stage(action=Work(breaks))
    stage.exchange.start()
    assert (stage.over(), stage.exchange.status, stage.exchange.reason) == (True, 500, Reason.INTERNAL)
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_back_pressure_goes_to_who_is_at_work() -> None:
    stage = committed()
    stage.exchange.pause_response()
    stage.exchange.resume_response()
    assert stage.work.did == ["pause", "resume"]
    other = Work()
    stage.exchange.producer = other
    stage.exchange.pause_response()
    assert (stage.work.did, other.did) == (["pause", "resume"], ["pause"])


@pytest.mark.parametrize(
    ("complete", "at_hand", "works", "kept"),
    [
        (True, False, False, True),
        (False, True, False, True),
        (False, False, False, False),
        (False, True, True, False),  # the body goes to who is at work, and is not ours to drop
    ],
)
def test_a_connection_is_kept_if_the_request_is_read_to_its_end(
    complete: bool, at_hand: bool, works: bool, kept: bool
) -> None:
    stage = Stage()
    stage.client.complete, stage.client.at_hand = complete, at_hand
    stage.exchange.start()
    if not works:
        stage.exchange.producer = None
    stage.exchange.reply(Reply(200, [], b"ok"))
    assert stage.client.did[-1] == ("done", kept)
    assert (b"\r\nConnection: close\r\n" in stage.client.got) != kept


def test_a_reply_leaves_itself_as_it_was() -> None:
    """Fixed replies serve all exchanges."""
    reply = Reply(200, [(b"X-A", b"1")], b"ok", reason=Reason.RESPOND)
    for _ in range(2):
        stage = Stage()
        stage.exchange.start()
        stage.exchange.reply(reply)
        assert stage.client.got.count(b"X-A: 1") == stage.client.got.count(b"Content-Type") == 1
    assert reply.headers == [(b"X-A", b"1")]


def test_interim_answers_come_before_the_answer_only() -> None:
    stage = Stage()
    stage.exchange.start()
    stage.exchange.informational(b"HTTP/1.1 103 Early Hints\r\n", b"Link: x\r\n")
    assert stage.client.got == b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    stage = committed()
    before = stage.client.got
    stage.exchange.informational(b"HTTP/1.1 103 Early Hints\r\n", b"")
    assert stage.client.got == before
    old = Stage(raw=b"GET / HTTP/1.0\r\n\r\n")
    old.exchange.start()
    old.exchange.informational(b"HTTP/1.1 103 Early Hints\r\n", b"")
    assert old.client.got == b""


def test_one_without_a_route_has_no_filters() -> None:
    stage = Stage()
    request: Any = stage.exchange.request
    exchange = Exchange(request, stage.exchange.downstream, None, stage.exchange.settings)
    exchange.reply(Reply(404, reason=Reason.NO_ROUTE))
    assert (exchange.finished, exchange.route_name, exchange.status) == (True, "", 404)


def test_filters_are_told_of_the_end_however_it_came() -> None:
    for end in ("reply", "fail", "client_lost", "end"):
        told = Scripted()
        stage = Stage(told)
        stage.exchange.start()
        if end == "reply":
            stage.exchange.reply(Reply(200))
        elif end == "fail":
            stage.exchange.fail(NoServer())
        elif end == "client_lost":
            stage.exchange.client_lost()
        else:
            stage.exchange.commit(200, b"", [], 0, 0)
            stage.exchange.end([])
        assert told.told == [stage.exchange], end
