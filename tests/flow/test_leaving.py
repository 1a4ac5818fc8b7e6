"""The client goes, in every state; and the gateway does, in every state."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow
from tests.flow.kit.scripted import Scripted
from tests.flow.kit.wire import BUFFER

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSING_OK = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"


def connecting(flow: Flow) -> None:
    flow.client >> GET


def queued(flow: Flow) -> None:
    flow.connect() >> GET
    flow.accept()
    flow.connect() >> GET


def uploading(flow: Flow) -> None:
    flow.client >> POST + b"bo"
    flow.accept()


def uploading_chunks(flow: Flow) -> None:
    flow.client >> CHUNKED
    flow.accept()


def upload_paused(flow: Flow) -> None:
    flow.client >> b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (2 * BUFFER)
    flow.accept().stops_reading()
    flow.client >> b"x" * (BUFFER + 1)
    assert flow.client.is_paused


def waiting_for_the_answer(flow: Flow) -> None:
    flow.client >> POST + b"body"
    flow.accept()


def retrying(flow: Flow) -> None:
    flow.client >> GET
    flow.accept().resets()


def with_half_an_answer_head(flow: Flow) -> None:
    flow.client >> GET
    flow.accept() >> HALF[:20]


def downloading(flow: Flow) -> None:
    flow.client >> GET
    flow.accept() >> HALF


def download_paused(flow: Flow) -> None:
    flow.client >> GET
    upstream = flow.accept()
    flow.client.stops_reading()
    upstream >> b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (4 * BUFFER, b"x" * (BUFFER + 1))
    assert upstream.is_paused


def answered_early(flow: Flow) -> None:
    flow.client >> POST
    flow.accept() >> HALF


STATES = [
    connecting,
    queued,
    uploading,
    uploading_chunks,
    upload_paused,
    waiting_for_the_answer,
    retrying,
    with_half_an_answer_head,
    downloading,
    download_paused,
    answered_early,
]
states = pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
State = Callable[[Flow], None]


def make(make_flow: MakeFlow, state: State) -> Flow:
    return make_flow(
        servers="http://192.0.2.10:80, http://192.0.2.11:80" if state is retrying else "http://192.0.2.10:80",
        upstream="max_connections = 1\nretries = 3",
        filters={"counts": Scripted()},
    )


@states
def test_the_client_goes(state: State, make_flow: MakeFlow) -> None:
    flow = make(make_flow, state)
    state(flow)
    flow.client.resets()
    line = flow.last
    assert (line["status"], line["reason"]) == (499, "client_gone")
    if state is queued:
        assert not flow.upstreams[0].is_gone
        flow.upstreams[0] >> OK
        flow.clients[0] << OK
    else:
        assert all(upstream.is_gone for upstream in flow.upstreams), "its request must end upstream, and not as whole"
    for upstream in flow.upstreams:
        assert b"\r\n0\r\n\r\n" not in upstream.take_raw()
    # Room is left for the next.
    client = flow.connect()
    client >> GET
    flow.upstream >> OK
    client << OK


@states
def test_the_drain_ends(state: State, make_flow: MakeFlow) -> None:
    """CORRECTNESS K10: what is in flight when the time is over is cut; where no answer has begun, with a word."""
    flow = make(make_flow, state)
    state(flow)
    client = flow.client
    if state is download_paused:
        client.reads_on()
    flow.listener.drain()
    assert flow.generation.in_flight
    flow.listener.abort_all()
    assert flow.generation.in_flight == 0
    assert {line["reason"] for line in flow.log} == {"draining"}
    if state in (downloading, download_paused, answered_early):
        assert client.was_reset
    else:
        client.refused(503, "draining", closes=True)


@states
def test_the_client_sends_its_fin(state: State, make_flow: MakeFlow) -> None:
    """With its request whole it may still want the answer (CORRECTNESS B6); before that it cannot."""
    flow = make(make_flow, state)
    state(flow)
    flow.client.shuts()
    if state in (uploading, uploading_chunks, answered_early):
        assert flow.last["reason"] == "client_gone"
        assert flow.client.is_gone and flow.upstream.is_gone
        return
    if state is upload_paused:
        # The FIN stands behind bytes that are not read.
        flow.upstream.reads_on()
        assert flow.last["reason"] == "client_gone"
        return
    assert not flow.log and not flow.client.is_gone
    if state is queued:
        flow.upstream >> OK
    if state is download_paused:
        flow.client.reads_on()
        flow.upstream >> b"x" * (3 * BUFFER - 1)
    else:
        rests: dict[State, bytes] = {with_half_an_answer_head: HALF[20:] + b"lf", downloading: b"lf"}
        flow.upstream >> rests.get(state, OK)
    assert flow.client.was_closed
    assert flow.last["status"] == 200


def test_all_requests_before_a_fin_are_answered(flow: Flow) -> None:
    flow.client >> GET * 2
    flow.client.shuts()
    for _ in range(2):
        flow.upstream >> OK
    assert flow.client.take().count(b"HTTP/1.1 200 OK") == 2
    assert flow.client.was_closed


def test_half_a_request_before_a_fin_holds_nothing_open(flow: Flow) -> None:
    flow.client >> GET + b"GET /half HTT"
    flow.client.shuts()
    flow.upstream >> OK
    assert flow.client.take().count(b"HTTP/1.1 200 OK") == 1
    assert flow.client.was_closed


def test_a_client_that_has_sent_its_fin_is_asked_whether_it_listens(flow: Flow) -> None:
    flow.client >> GET
    upstream = flow.upstream
    flow.client.shuts()
    flow.wait(0.1)
    flow.client << b"HTTP/1.1 102 Processing\r\n\r\n"
    flow.wait(50)
    flow.client << b""
    upstream >> OK
    flow.client << CLOSING_OK


def test_an_http_1_0_client_is_not_asked(flow: Flow) -> None:
    flow.client >> b"GET / HTTP/1.0\r\n\r\n"
    flow.upstream.take_raw()
    flow.client.shuts()
    flow.wait(1)
    flow.client << b""
    flow.upstream >> OK
    flow.client << CLOSING_OK
    assert flow.client.was_closed


@pytest.mark.parametrize("said", [b"", b"GET / HT", GET])
def test_a_client_that_goes_between_requests_is_no_event(said: bytes, flow: Flow) -> None:
    client = flow.client
    if said == GET:
        client >> GET
        flow.upstream >> OK
        client << OK
    elif said:
        client >> said
    lines = len(flow.log)
    client.shuts()
    assert client.was_closed
    assert len(flow.log) == lines


# Drain


def test_a_drain_closes_idle_connections_and_lets_the_others_finish(flow: Flow) -> None:
    idle, busy, new = flow.connect(), flow.connect(), flow.connect()
    idle >> GET
    flow.upstream >> OK
    idle << OK
    busy >> GET
    emptied: list[bool] = []
    flow.listener.drain()
    flow.generation.when_empty(lambda: emptied.append(True))
    assert idle.was_closed and new.was_closed and not busy.is_gone
    assert not emptied
    flow.upstream >> OK
    busy << CLOSING_OK
    assert emptied == [True]
    assert busy.was_closed


def test_requests_in_a_drain_are_the_last_of_their_connection(flow: Flow) -> None:
    flow.client >> GET[:10]
    flow.listener.drain()
    flow.client >> GET[10:]
    flow.upstream >> OK
    flow.client << CLOSING_OK
    assert flow.client.was_closed


# Room


def test_one_connection_too_many(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="max_connections = 2")
    one, two, three = flow.connect(), flow.connect(), flow.connect()
    three.refused(503, "overload", closes=True)
    three.shuts()
    assert three.is_gone and not one.is_gone and not two.is_gone
    flow.logged(status=503, reason="overload")
    one.resets()
    four = flow.connect()
    four >> GET
    flow.upstream >> OK
    four << OK


def test_clients_of_one_address(make_flow: MakeFlow) -> None:
    from twisted.internet.address import IPv4Address

    flow = make_flow(listen="max_connections_per_address = 1")
    flow.connect()
    flow.connect().refused(503, "overload", closes=True)
    other = flow.connect(IPv4Address("TCP", "192.0.2.8", 1))
    other >> GET
    flow.upstream >> OK
    other << OK
    flow.clients[0].resets()
    again = flow.connect()
    again >> GET
    flow.upstream >> OK
    again << OK
