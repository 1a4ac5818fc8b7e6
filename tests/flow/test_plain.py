"""Requests and answers as they mostly are: one exchange, several over one connection, several at once."""

from __future__ import annotations

import pytest

from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow

GET = b"GET /a?b=%20c HTTP/1.1\r\nHost: a.test\r\nX-A: 1\r\n\r\n"
SENT = b"GET /a?b=%20c HTTP/1.1\r\nHost: a.test\r\nX-A: 1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_an_exchange(flow: Flow) -> None:
    flow.client >> GET
    assert flow.generation.in_flight == 1
    flow.upstream << SENT
    flow.upstream >> OK
    flow.client << OK
    line = flow.logged(status=200, reason=None, by="upstream")
    assert (line["tries"], line["bytes_out"], line["server"]) == (1, 2, "192.0.2.10:80")
    assert flow.servers[0].outcomes == {"ok": 1}


def test_both_connections_are_used_again(flow: Flow) -> None:
    for number in range(3):
        flow.client >> GET
        flow.upstream << SENT
        flow.upstream >> OK
        flow.client << OK
        assert len(flow.log) == number + 1
    assert (len(flow.clients), len(flow.upstreams)) == (1, 1)
    assert not flow.client.is_gone


def test_pipelined_requests_are_answered_one_at_a_time(flow: Flow) -> None:
    flow.client >> GET * 3
    for _ in range(3):
        assert flow.generation.in_flight == 1
        flow.upstream << SENT
        flow.upstream >> OK
        flow.client << OK
    assert len(flow.log) == 3


def test_pipelined_requests_that_are_answered_at_once_let_others_have_their_turn(make_flow: MakeFlow) -> None:
    flow = make_flow(more="[route:own]\npath = /own\nrespond = 200 own\n")
    flow.client >> b"GET /own HTTP/1.1\r\nHost: a\r\n\r\n" * 100
    assert flow.client.take_raw().count(b"\r\n\r\nown") == 100


def test_a_head_in_single_bytes(flow: Flow) -> None:
    for byte in GET:
        flow.client >> bytes([byte])
    flow.upstream << SENT
    for byte in OK:
        flow.upstream >> bytes([byte])
    flow.client << OK


def test_clients_side_by_side(flow: Flow) -> None:
    one, other = flow.connect(), flow.connect()
    one >> GET
    first = flow.accept()
    other >> GET
    second = flow.accept()
    second >> OK
    other << OK
    one << b""
    first >> OK
    one << OK


def test_a_connection_that_ended_badly_is_not_used_again(flow: Flow) -> None:
    flow.client >> GET
    flow.upstream >> OK + b"more than it said"
    flow.client << OK
    assert flow.upstream.is_gone
    flow.client >> GET
    assert flow.dials == 1
    flow.upstream >> OK


@pytest.mark.parametrize("own", [b"Connection: close", b"Connection: x, Close"])
def test_the_client_closes(flow: Flow, own: bytes) -> None:
    flow.client >> GET[:-2] + own + b"\r\n\r\n"
    flow.upstream << SENT
    flow.upstream >> OK
    flow.client << OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert flow.client.was_closed
    assert not flow.upstream.is_gone


def test_the_upstream_closes(flow: Flow) -> None:
    flow.client >> GET
    flow.upstream >> OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    flow.client << OK
    assert flow.upstream.is_gone and not flow.client.is_gone


def test_http_1_0(flow: Flow) -> None:
    flow.client >> b"GET / HTTP/1.0\r\n\r\n"
    flow.upstream << b"GET / HTTP/1.1\r\nHost: 192.0.2.10\r\n\r\n"
    flow.upstream >> b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    flow.client << b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"
    assert flow.client.was_closed


def test_an_answer_until_the_close(flow: Flow) -> None:
    flow.client >> GET
    flow.upstream >> b"HTTP/1.0 200 OK\r\n\r\nsome"
    flow.client << b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"
    flow.upstream.shuts()
    flow.client << b"0\r\n\r\n"
    assert not flow.client.is_gone
