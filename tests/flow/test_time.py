"""Every time limit, by the clock: who is too slow, what they are told, and who is left alone."""

from __future__ import annotations

from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow
from tests.flow.kit.wire import BUFFER

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (4 * BUFFER, b"x" * (BUFFER + 1))


# Heads


def test_a_head_that_drips(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="header_timeout = 2s")
    for byte in b"GET / HTTP/1.1\r\nX: ":
        flow.client >> bytes([byte])
        flow.wait(0.1)
    flow.wait(0.2)
    flow.client.refused(408, "header_timeout", closes=True)
    flow.logged(status=408, reason="header_timeout")


def test_a_client_that_says_nothing_is_closed(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="header_timeout = 2s")
    client = flow.client
    flow.wait(1.9)
    assert not client.is_gone
    flow.wait(0.2)
    client << b""
    assert client.was_closed
    assert not flow.log


def test_empty_lines_are_no_request_and_gain_no_time(make_flow: MakeFlow) -> None:
    """RFC 9112 section 2.2."""
    flow = make_flow(listen="header_timeout = 2s")
    for _ in range(19):
        flow.client >> b"\r\n"
        flow.wait(0.1)
    flow.client << b""
    flow.wait(0.2)
    flow.client.refused(408, "header_timeout", closes=True)


def test_the_second_head_has_as_long_as_the_first(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="header_timeout = 2s")
    flow.client >> GET
    flow.upstream >> OK
    flow.client << OK
    flow.wait(3)
    flow.client >> GET[:-2]
    flow.wait(1.9)
    flow.client >> GET[-2:]
    flow.upstream >> OK
    flow.client << OK
    flow.client >> GET[:-2]
    flow.wait(2.1)
    flow.client.refused(408, "header_timeout", closes=True)


def test_an_idle_client_is_closed(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="idle_timeout = 5s")
    flow.client >> GET
    flow.upstream >> OK
    flow.client << OK
    flow.wait(4.9)
    assert not flow.client.is_gone
    flow.wait(0.2)
    assert flow.client.was_closed
    assert len(flow.log) == 1


# Request bodies


def test_a_body_that_comes_too_slowly(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="idle_timeout = 1s\nmin_body_rate = 100")
    flow.client >> POST
    upstream = flow.upstream
    for _ in range(3):
        flow.client >> b"x" * 100
        flow.wait(1.001)
    assert not flow.log
    flow.client >> b"x" * 99
    flow.wait(1.001)
    assert upstream.was_reset
    flow.client.refused(408, "body_timeout", closes=True)
    flow.logged(status=408, reason="body_timeout")


def test_a_body_that_the_server_holds_up_is_not_the_clients_fault(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="idle_timeout = 1s", upstream="idle_timeout = 10s")
    size = BUFFER + 10
    flow.client >> b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
    flow.upstream.stops_reading()
    flow.client >> b"x" * (size - 1)
    assert flow.client.is_paused
    flow.wait(5)
    assert not flow.log
    flow.upstream.reads_on()
    flow.client >> b"x"
    flow.upstream >> OK
    flow.client << OK


def test_a_server_that_takes_nothing_of_a_body(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="idle_timeout = 2s")
    size = 2 * BUFFER
    flow.client >> b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
    flow.upstream.stops_reading()
    flow.client >> b"x" * (BUFFER + 1)
    flow.wait(2.1)
    assert flow.upstream.is_gone
    flow.client.refused(504, "upstream_stalled", closes=True)
    flow.logged(status=504, reason="upstream_stalled")


# Answers


def test_no_answer_in_response_timeout(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="response_timeout = 2s")
    flow.client >> GET
    upstream = flow.upstream
    flow.wait(1.9)
    flow.client << b""
    flow.wait(0.2)
    assert upstream.was_reset
    flow.client.refused(504, "response_timeout")
    flow.logged(status=504, reason="response_timeout")


def test_response_timeout_runs_from_the_end_of_the_request(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="response_timeout = 2s")
    flow.client >> POST
    upstream = flow.upstream
    flow.wait(3)
    flow.client >> b"x" * 4000
    flow.wait(1.9)
    upstream >> OK
    flow.client << OK


def test_the_routes_timeout_covers_all_attempts(make_flow: MakeFlow) -> None:
    flow = make_flow(servers="http://192.0.2.10:80, http://192.0.2.11:80", route="timeout = 3s")
    flow.client >> GET
    flow.upstream << GET
    flow.wait(2)
    flow.upstream.resets()
    second = flow.upstream
    flow.wait(0.9)
    flow.client << b""
    flow.wait(0.2)
    assert second.was_reset
    flow.client.refused(504, "route_timeout")
    assert flow.logged(status=504, reason="route_timeout")["tries"] == 2


def test_the_routes_timeout_runs_from_the_end_of_the_request(make_flow: MakeFlow) -> None:
    """CORRECTNESS K9: how long an upload takes is not the route's business."""
    flow = make_flow(route="timeout = 3s")
    flow.client >> POST
    upstream = flow.upstream
    flow.wait(10)
    assert not flow.log
    flow.client >> b"x" * 4000
    flow.wait(2.9)
    assert not flow.log
    flow.wait(0.2)
    assert upstream.was_reset
    flow.client.refused(504, "route_timeout")


def test_an_early_answer_takes_the_time_that_it_takes(make_flow: MakeFlow) -> None:
    flow = make_flow(route="timeout = 3s")
    flow.client >> POST
    flow.upstream >> HALF
    flow.client >> b"x" * 4000
    flow.wait(10)
    flow.upstream >> b"lf"
    flow.logged(status=200, reason=None)


def test_the_routes_timeout_runs_while_a_connection_is_made(make_flow: MakeFlow) -> None:
    flow = make_flow(route="timeout = 3s")
    flow.client >> GET
    flow.wait(3.1)
    flow.client.refused(504, "route_timeout")
    # The connection that nobody waits for any more serves the next.
    flow.client >> GET
    upstream = flow.accept()
    upstream << GET
    upstream >> OK
    flow.client << OK


def test_the_routes_timeout_does_not_cut_an_answer_that_has_begun(make_flow: MakeFlow) -> None:
    flow = make_flow(route="timeout = 3s")
    flow.client >> GET
    flow.upstream >> HALF
    flow.wait(10)
    flow.upstream >> b"lf"
    flow.client << HALF + b"lf"


def test_an_answer_that_stalls(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="idle_timeout = 2s")
    flow.client >> GET
    flow.upstream >> HALF
    flow.wait(1.9)
    assert not flow.client.is_gone
    flow.wait(0.2)
    assert flow.client.was_reset and flow.upstream.is_gone
    flow.logged(status=200, reason="upstream_stalled")


def test_a_server_that_is_made_to_wait_does_not_stall(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="idle_timeout = 20s", upstream="idle_timeout = 2s")
    flow.client >> GET
    flow.upstream << GET
    flow.client.stops_reading()
    flow.upstream >> LARGE
    assert flow.upstream.is_paused
    flow.wait(10)
    assert not flow.log
    flow.client.reads_on()
    # From here it has its time again.
    flow.wait(1.9)
    assert not flow.client.is_gone
    flow.wait(0.2)
    assert flow.client.was_reset
    flow.logged(status=200, reason="upstream_stalled")


def test_a_client_that_reads_nothing(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="idle_timeout = 2s")
    flow.client >> GET
    flow.upstream << GET
    flow.client.stops_reading()
    flow.upstream >> LARGE
    flow.wait(1.9)
    assert not flow.client.is_gone
    flow.wait(0.2)
    assert flow.client.was_reset and flow.upstream.is_gone
    flow.logged(status=499, reason="client_stalled")


def test_a_client_that_reads_again_in_time(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="idle_timeout = 2s")
    flow.client >> GET
    flow.upstream << GET
    flow.client.stops_reading()
    flow.upstream >> LARGE
    flow.wait(1.9)
    flow.client.reads_on()
    flow.wait(5)
    assert not flow.client.is_gone
    flow.upstream >> b"x" * (4 * BUFFER - BUFFER - 1)
    assert len(flow.client.take()) > 4 * BUFFER
    flow.logged(status=200, reason=None)


def test_a_client_that_does_not_take_the_end(make_flow: MakeFlow) -> None:
    """The answer is written whole and the connection is to be closed: not before the client had its time."""
    flow = make_flow(listen="idle_timeout = 2s")
    flow.client >> GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    flow.upstream << GET
    flow.client.stops_reading()
    flow.upstream >> OK
    flow.wait(9)
    assert not flow.client.is_gone
    flow.wait(2)
    assert flow.client.was_reset
    flow.logged(status=200, reason=None)


# Bounds on connections


def test_so_many_requests_a_connection(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="keepalive_requests = 2")
    flow.client >> GET
    flow.upstream >> OK
    flow.client << OK
    flow.client >> GET
    flow.upstream >> OK
    flow.client << OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert flow.client.was_closed


def test_so_old_a_connection(make_flow: MakeFlow) -> None:
    flow = make_flow(listen="keepalive_max_age = 10s")
    flow.client >> GET
    flow.upstream >> OK
    flow.client << OK
    flow.wait(10)
    flow.client >> GET
    flow.upstream >> OK
    flow.client << OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert flow.client.was_closed


def test_time_leaves_no_timers(flow: Flow) -> None:
    """One timer a connection, moved and not made anew."""
    for _ in range(50):
        flow.client >> GET
        flow.upstream >> OK
    assert len(flow.clock.getDelayedCalls()) <= 2
