"""What goes wrong between the gateway and its servers: other attempts, and what the client is told."""

from __future__ import annotations

import pytest
from twisted.internet.error import TimeoutError

from gwproxy.config import ConfigErrors
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TWO = "http://192.0.2.10:80, http://192.0.2.11:80"


def test_a_refused_connection_is_tried_elsewhere(make_flow: MakeFlow) -> None:
    flow = make_flow(servers=TWO)
    flow.client >> POST + b"body"
    first = flow.refuse()
    flow.upstream << POST + b"body"
    flow.upstream >> OK
    flow.client << OK
    line = flow.logged(status=200, reason=None)
    assert line["tries"] == 2
    assert line["server"] != f"{first}:80"
    assert sorted(outcome for server in flow.servers for outcome in server.outcomes) == ["connect_failed", "ok"]


@pytest.mark.parametrize(
    ("failure", "status", "reason"), [(None, 502, "connect_failed"), (TimeoutError(), 504, "connect_timeout")]
)
def test_no_server_can_be_reached(failure: Exception | None, status: int, reason: str, make_flow: MakeFlow) -> None:
    flow = make_flow(servers=TWO)
    flow.client >> GET
    assert {flow.refuse(failure), flow.refuse(failure)} == {"192.0.2.10", "192.0.2.11"}
    assert flow.dials == 0
    flow.client.refused(status, reason)
    assert flow.logged(status=status, reason=reason, by="gateway")["tries"] == 2


def test_no_more_attempts_than_are_allowed(make_flow: MakeFlow) -> None:
    flow = make_flow(servers=TWO + ", http://192.0.2.12:80", upstream="retries = 0")
    flow.client >> GET
    flow.refuse()
    assert flow.dials == 0
    flow.client.refused(502, "connect_failed")


def test_a_server_that_closes_before_its_answer_is_left_for_another(make_flow: MakeFlow) -> None:
    flow = make_flow(servers=TWO)
    flow.client >> GET
    flow.upstream << GET
    flow.upstream.resets()
    flow.upstream << GET
    flow.upstream >> OK
    flow.client << OK
    assert flow.last["tries"] == 2


@pytest.mark.parametrize("request_text", [POST + b"body", b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"])
def test_what_may_have_had_an_effect_is_not_sent_twice(request_text: bytes, make_flow: MakeFlow) -> None:
    flow = make_flow(servers=TWO)
    flow.client >> request_text
    flow.upstream << request_text
    flow.upstream.resets()
    assert flow.dials == 0
    flow.client.refused(502, "upstream_closed")
    flow.logged(status=502, reason="upstream_closed")


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin"])
def test_an_answer_that_has_begun_is_not_asked_for_again_once_it_is_passed_on(
    beginning: bytes, make_flow: MakeFlow
) -> None:
    flow = make_flow(servers=TWO)
    flow.client >> GET
    flow.upstream >> beginning
    flow.upstream.resets()
    if b"begin" in beginning:
        assert flow.dials == 0
        assert flow.client.was_reset
    else:
        flow.upstream >> OK
        flow.client << OK


def test_an_idle_connection_that_closes_when_it_is_used(flow: Flow) -> None:
    """CORRECTNESS K1: tried once more over a new connection, and that is no retry."""
    flow.client >> GET
    flow.upstream >> OK
    flow.client << OK
    flow.client >> GET
    flow.upstream << GET * 2
    flow.upstream.shuts()
    flow.upstream << GET
    flow.upstream >> OK
    flow.client << OK
    assert len(flow.upstreams) == 2
    # And over the new one, a retry is left.
    assert flow.last["status"] == 200


def test_the_try_after_that_takes_no_idle_connection_either(flow: Flow) -> None:
    """They have rested as long: a server that closed one has closed them all."""
    one, other = flow.connect(), flow.connect()
    one >> GET
    other >> GET
    for _ in range(2):
        flow.accept()
    for upstream in flow.upstreams:
        upstream >> OK
    assert flow.servers[0].idle == 2
    one >> GET
    flow.upstreams[1].shuts()
    assert flow.dials == 1
    flow.upstream >> OK
    assert one.take().count(b"HTTP/1.1 200 OK") == 2


def test_an_idle_connection_that_closes_is_forgotten(flow: Flow) -> None:
    flow.client >> GET
    flow.upstream >> OK
    flow.upstream.shuts()
    flow.client >> GET
    assert flow.dials == 1
    flow.upstream >> OK


def test_what_a_server_says_unasked_is_no_answer(flow: Flow) -> None:
    flow.client >> GET
    flow.upstream >> OK
    flow.client << OK
    flow.upstream >> OK
    assert flow.upstream.was_reset
    flow.client << b""
    flow.client >> GET
    flow.upstream << GET
    flow.upstream >> OK
    flow.client << OK


BAD = {
    "not http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "a bad first chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "too large a head": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 2000 + b"\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 2000,
    "1xx without end": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9,
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_response(name: str, make_flow: MakeFlow) -> None:
    flow = make_flow(servers=TWO, upstream="max_response_header_size = 1k")
    flow.client >> GET
    flow.upstream >> BAD[name]
    assert flow.dials == 0
    if name == "1xx without end":
        assert flow.client.take_raw().count(b"HTTP/1.1 103 Early Hints\r\n") == 8
    else:
        flow.client.refused(502, "bad_response")
    assert flow.upstreams[0].was_reset
    flow.logged(status=502, reason="bad_response")


def test_early_hints_pass_and_leave_the_answer_as_it_is(flow: Flow) -> None:
    flow.client >> GET
    flow.upstream >> b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    flow.client << b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    flow.upstream >> OK
    flow.client << OK


def test_expect_is_passed_on_and_so_is_what_the_server_says(flow: Flow) -> None:
    flow.client >> POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    assert b"Expect: 100-continue\r\n" in flow.upstream.take()
    flow.client << b""
    flow.upstream >> b"HTTP/1.1 100 Continue\r\n\r\n"
    flow.client << b"HTTP/1.1 100 Continue\r\n\r\n"
    flow.client >> b"body"
    flow.upstream << b"body"
    flow.upstream >> OK
    flow.client << OK


# The pool


def test_requests_wait_for_a_connection_in_order(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="max_connections = 1")
    one, two, three = flow.connect(), flow.connect(), flow.connect()
    for client in (one, two, three):
        client >> GET
    assert (flow.dials, flow.servers[0].active, flow.servers[0].pool.waiting) == (1, 3, 3)
    for client in (one, two, three):
        flow.upstream << GET
        flow.upstream >> OK
        client << OK
    assert len(flow.upstreams) == 1


def test_the_queue_is_bounded(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="max_connections = 1\nqueue = 1")
    one, two, three = flow.connect(), flow.connect(), flow.connect()
    for client in (one, two, three):
        client >> GET
    assert three.refused(503, "queue_full")[b"retry-after"] == b"1"
    for client in (one, two):
        flow.upstream >> OK
        client << OK


def test_one_waits_no_longer_than_queue_timeout(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="max_connections = 1\nqueue_timeout = 2s")
    one, two = flow.connect(), flow.connect()
    one >> GET
    upstream = flow.upstream
    flow.wait(1)
    two >> GET
    flow.wait(1.9)
    two << b""
    flow.wait(0.2)
    two.refused(503, "queue_timeout")
    upstream >> OK
    one << OK
    # The connection is idle, for the next.
    two >> GET
    upstream >> OK
    two << OK


def test_who_leaves_the_queue_is_not_served(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="max_connections = 1")
    one, two, three = flow.connect(), flow.connect(), flow.connect()
    for client in (one, two, three):
        client >> GET
    two.resets()
    upstream = flow.upstream
    for client in (one, three):
        upstream << GET
        upstream >> OK
        client << OK
    assert [line["status"] for line in flow.log] == [499, 200, 200]


def test_a_lost_connection_makes_room_for_one_who_waits(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="max_connections = 1\nretries = 0")
    one, two = flow.connect(), flow.connect()
    one >> GET
    two >> GET
    flow.upstream.resets()
    one.refused(502, "upstream_closed")
    flow.upstream << GET
    flow.upstream >> OK
    two << OK


def test_an_idle_connection_is_kept_for_so_long(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="keepalive_timeout = 1s")
    flow.client >> GET
    flow.upstream >> OK
    flow.wait(0.9)
    assert not flow.upstream.is_gone
    flow.wait(0.2)
    assert flow.upstream.is_gone


def test_so_many_idle_connections_are_kept(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="keepalive = 1")
    clients = [flow.connect() for _ in range(3)]
    for client in clients:
        client >> GET
    while flow.dials:
        flow.accept()
    for upstream in flow.upstreams:
        upstream >> OK
    assert [upstream.is_gone for upstream in flow.upstreams] == [False, True, True]


# What a route may refuse


def test_what_the_route_does_not_take(make_flow: MakeFlow) -> None:
    flow = make_flow(route="encoded_slashes = reject")
    flow.client >> b"GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n"
    flow.client.refused(400, "bad_target")
    # What follows an upgrade that was refused may be anything.
    upgrading = flow.connect()
    upgrading >> GET.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    upgrading.refused(403, "upgrade", closes=True)
    flow.connect()
    flow.client >> GET.replace(b"\r\n\r\n", b"\r\nVia: 1.1 gwproxy, 1.1 gwproxy, 1.1 other, 1.1 GWPROXY\r\n\r\n")
    flow.client.refused(508, "loop")
    flow.client >> GET.replace(b"\r\n\r\n", b"\r\nVia: 1.1 gwproxy, 1.1 gwproxy\r\n\r\n")
    flow.upstream >> OK
    flow.client << OK
    assert [line["tries"] for line in flow.log] == [0, 0, 0, 1]


def test_a_gateway_that_cannot_be_built(make_flow: MakeFlow) -> None:
    with pytest.raises(ConfigErrors, match="takes the same requests"):
        make_flow(more="[route:again]\npath = /\nrespond = 200\n")
