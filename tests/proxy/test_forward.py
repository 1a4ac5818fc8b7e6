"""What a route makes of a request on its way upstream, and which attempts it makes. How they end: tests/flow."""

from __future__ import annotations

import attrs
import pytest

from gwproxy.filters.api import Traits
from gwproxy.filters.registry import FilterType
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow
from tests.flow.kit.scripted import Scripted

EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def first_lines(flow: Flow, head: bytes) -> tuple[bytes, bytes]:
    """Request line and Host as the upstream gets them."""
    flow.client >> head
    line, host, *_ = flow.upstream.take().split(b"\r\n")
    flow.upstream >> EMPTY
    flow.client.take()
    return line, host


def get(target: bytes, host: bytes = b"A.test:81") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host)


@pytest.mark.parametrize(
    ("route", "target", "sent"),
    [
        ("", b"/a%20b/%7E?x=%2f&y;z", b"/a%20b/%7E?x=%2f&y;z"),
        ("", b"/a?", b"/a?"),
        ("", b"/%252F", b"/%252F"),
        ("", b"http://other.test/a?b", b"/a?b"),
        ("", b"http://other.test", b"/"),
        ("add_prefix = /v1", b"/a", b"/v1/a"),
        ("add_prefix = /v1", b"/", b"/v1/"),
    ],
)
def test_the_target(route: str, target: bytes, sent: bytes, make_flow: MakeFlow) -> None:
    assert first_lines(make_flow(route=route), get(target))[0] == b"GET %b HTTP/1.1" % sent


@pytest.mark.parametrize(
    ("options", "target", "sent"),
    [
        ("strip_prefix = /api", b"/api/x%2Fy?z", b"/x%2Fy?z"),
        ("strip_prefix = /api", b"/api", b"/"),
        ("strip_prefix = /api", b"/%61pi/x", b"/x"),
        ("strip_prefix = /api\nadd_prefix = /v1", b"/api/x", b"/v1/x"),
        ("strip_prefix = /api\nadd_prefix = /v1", b"/api/", b"/v1/"),
    ],
)
def test_prefixes(options: str, target: bytes, sent: bytes, make_flow: MakeFlow) -> None:
    flow = make_flow(more=f"[route:api]\npath = /api\nupstream = service\n{options}\n")
    assert first_lines(flow, get(target))[0] == b"GET %b HTTP/1.1" % sent
    assert flow.last["route"] == "api"


@pytest.mark.parametrize(
    ("option", "head", "host"),
    [
        ("pass", get(b"/"), b"A.test:81"),
        ("pass", get(b"http://other.test:82/"), b"other.test:82"),
        ("pass", b"GET / HTTP/1.0\r\n\r\n", b"192.0.2.10:8001"),
        ("upstream", get(b"/"), b"192.0.2.10:8001"),
        ("inner.test", get(b"http://other.test/"), b"inner.test"),
    ],
)
def test_the_host(option: str, head: bytes, host: bytes, make_flow: MakeFlow) -> None:
    """CORRECTNESS X7, F13."""
    flow = make_flow(servers="http://192.0.2.10:8001", route=f"host_header = {option}")
    assert first_lines(flow, head)[1] == b"Host: " + host


def test_options_asterisk_reaches_no_route(flow: Flow) -> None:
    flow.client >> b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"
    assert flow.client.take().startswith(b"HTTP/1.1 204 ")
    assert flow.dials == 0


@pytest.mark.parametrize(("limit", "length", "passes"), [("10", 10, True), ("10", 11, False), ("none", 10**9, True)])
def test_max_body(limit: str, length: int, passes: bool, make_flow: MakeFlow) -> None:
    flow = make_flow(route=f"max_body = {limit}")
    flow.client >> b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length
    assert flow.dials == passes
    if passes:
        flow.client.resets()
    else:
        flow.client.refused(413, "body_too_large", closes=True)


def test_a_circle_is_found_by_the_gateways_own_name(make_flow: MakeFlow) -> None:
    """CORRECTNESS H8: a gateway of another name may stand behind this one as often as it likes."""
    flow = make_flow(gateway="via = inner")
    head = get(b"/").replace(b"\r\n\r\n", b"\r\nVia: 1.1 gwproxy, 1.1 gwproxy, 1.1 gwproxy, 1.1 inner, inner\r\n\r\n")
    first_lines(flow, head)
    flow.client >> get(b"/").replace(b"\r\n\r\n", b"\r\nVia: 1.1 inner (x), 1.1 Inner\r\nVia: 1.0 inner\r\n\r\n")
    flow.client.refused(508, "loop")


def test_a_205_has_no_body_whatever_comes(flow: Flow) -> None:
    flow.client >> get(b"/") * 2
    flow.upstream >> b"HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nno"
    flow.client << b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"
    flow.upstream >> OK
    flow.client << OK


@pytest.mark.parametrize("minor", [0, 1])
def test_interim_answers_reach_who_may_know_them(minor: int, flow: Flow) -> None:
    flow.client >> b"GET / HTTP/1.%d\r\nHost: a\r\n\r\n" % minor
    flow.upstream >> b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    flow.client << (b"HTTP/1.1 102 Processing\r\n\r\n" if minor else b"")
    flow.upstream >> OK
    flow.client.take()


def test_the_counters_of_a_server(make_flow: MakeFlow) -> None:
    flow = make_flow(upstream="retries = 0")
    flow.client >> get(b"/")
    [server] = flow.servers
    assert server.active == 1
    flow.refuse()
    assert (server.active, server.outcomes, server.up) == (0, {"connect_failed": 1}, False)
    flow.client >> get(b"/")
    flow.upstream >> OK
    assert (server.active, server.outcomes["ok"], server.up) == (0, 1, True)
    flow.client >> get(b"/")
    flow.client.resets()
    assert (server.active, server.outcomes["cancelled"]) == (0, 1)


def test_how_long_the_upstream_took(flow: Flow) -> None:
    flow.client >> get(b"/")
    upstream = flow.upstream
    flow.wait(2)
    upstream >> OK
    assert flow.last["upstream_ms"] == pytest.approx(2000, abs=1)
    assert flow.last["ms"] == pytest.approx(2000, abs=1)


@attrs.frozen
class NoOptions:
    """Of a filter that has none."""


def test_what_filters_vouch_for_comes_in_no_trailer(make_flow: MakeFlow) -> None:
    """There are servers that merge trailers into the head, and would believe it."""
    traits = Traits(vouches_for=(b"X-User-Id",), removes=(b"X-API-Key",), judges=(b"X-Jwt",))
    login = FilterType("login", "a test", NoOptions, lambda options, context: Scripted(), traits=lambda options: traits)
    flow = make_flow(filters={"login": Scripted()}, types={"login": login}, listen="underscores = keep")
    trailers = b"X-Sum: 1\r\nx-user-id: admin\r\nX_User_Id: admin\r\nX.Api.Key: k\r\nX-Jwt: forged\r\n\r\n"
    announced = b"Trailer: X-User-Id, X-Sum, X_User_Id, X-API-Key\r\n\r\n"
    (
        flow.client
        >> b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n" + announced + b"0\r\n" + trailers
    )
    sent = flow.upstream.take_raw()
    assert sent.endswith(b"\r\n\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert b"\r\nTrailer: x-sum\r\n" in sent
    flow.upstream >> OK
    flow.client << OK
