"""Bounds that filters set on request bodies: passed before, while and after somebody else looks at the body."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import LogEvent

from gwproxy.filters import body_limit
from gwproxy.filters.api import Exchange
from gwproxy.testing import Surroundings, build_filter
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow
from tests.flow.kit.scripted import Reads, Scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def post(*fields: bytes) -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: a", *fields, b"", b""])


COUNTED = post(b"Content-Length: 6")
CHUNKED = post(b"Transfer-Encoding: chunked")


def reading(make_flow: MakeFlow, *filters: object, **parts: Any) -> Flow:
    return make_flow(filters={f"f{number}": each for number, each in enumerate(filters)}, **parts)


def limit(size: int, mode: str = "enforce") -> tuple[Any, Surroundings]:
    around = Surroundings()
    built = build_filter(body_limit, {"max": str(size), "mode": mode}, name="small", around=around)
    return built, around


def test_a_bound_is_passed_on_the_way_to_the_server(make_flow: MakeFlow) -> None:
    small, around = limit(5)
    flow = reading(make_flow, small)
    flow.client >> CHUNKED + b"5\r\nabcde\r\n"
    flow.upstream << CHUNKED + b"5\r\nabcde\r\n"
    flow.client >> b"1\r\nf\r\n"
    assert flow.upstream.was_reset
    flow.client.refused(413, "body_limit", closes=True)
    line = flow.logged(status=413, reason="body_limit", by="gateway")
    assert (line["filter"], line["bytes_in"]) == ("small", 6)
    assert around.decisions("small") == {("deny", "enforce"): 1}


def test_a_bound_is_passed_when_the_response_has_begun(make_flow: MakeFlow) -> None:
    small, around = limit(5)
    flow = reading(make_flow, small)
    flow.client >> CHUNKED + b"5\r\nabcde\r\n"
    flow.upstream << CHUNKED + b"5\r\nabcde\r\n"
    flow.upstream >> OK[:-1]
    assert flow.client.take().endswith(b"\r\n\r\no")
    flow.client >> b"1\r\nf\r\n"
    assert flow.upstream.was_reset and flow.client.was_reset
    line = flow.logged(status=200, reason="body_too_large")
    assert line["filter"] == "small"
    assert around.decisions("small") == {("deny", "enforce"): 1}


def test_a_declared_length_never_reaches_a_server(make_flow: MakeFlow) -> None:
    small, _ = limit(5)
    flow = reading(make_flow, small)
    flow.client >> post(b"Content-Length: 6", b"Expect: 100-continue")
    flow.client.refused(413, "body_limit", closes=True)
    assert flow.dials == 0
    assert flow.logged(status=413, reason="body_limit")["bytes_in"] == 0


@pytest.mark.parametrize("head", [COUNTED, CHUNKED])
def test_a_bound_in_shadow_mode(head: bytes, make_flow: MakeFlow) -> None:
    small, around = limit(5, "shadow")
    wire = b"abcdef" if head is COUNTED else b"6\r\nabcdef\r\n0\r\n\r\n"
    flow = reading(make_flow, small)
    flow.client >> head + wire
    flow.upstream << head + wire
    flow.upstream >> OK
    flow.client << OK
    flow.logged(status=200, reason=None)
    assert around.decisions("small") == {("deny", "shadow"): 1}


@pytest.mark.parametrize("first", ["limit", "read"])
@pytest.mark.parametrize("at_once", [False, True])
def test_a_bound_is_passed_while_the_body_is_read(first: str, at_once: bool, make_flow: MakeFlow) -> None:
    """Whichever of the two filters stands first; on_done of each runs, which the kit sees to."""
    small, around = limit(5)
    reads = Reads()
    pairs = [("small", small), ("reads", reads)]
    flow = make_flow(filters=dict(pairs if first == "limit" else reversed(pairs)))
    flow.client >> (CHUNKED + b"6\r\nabcdef\r\n0\r\n\r\n" if at_once else CHUNKED)
    if not at_once:
        flow.client >> b"6\r\nabcdef\r\n0\r\n\r\n"
    flow.client.refused(413, "body_limit", closes=first == "limit" and not at_once)
    assert flow.dials == 0
    assert flow.logged(status=413, reason="body_limit")["filter"] == "small"
    assert around.decisions("small") == {("deny", "enforce"): 1}
    assert (reads.bodies == [b"abcdef"]) == (first == "read")


def test_a_bound_in_shadow_mode_while_the_body_is_read(make_flow: MakeFlow) -> None:
    small, around = limit(5, "shadow")
    reads = Reads()
    flow = reading(make_flow, small, reads)
    flow.client >> CHUNKED + b"6\r\nabcdef\r\n"
    flow.client >> b"1\r\ng\r\n0\r\n\r\n"
    flow.upstream << CHUNKED + b"7\r\nabcdefg\r\n0\r\n\r\n"
    flow.upstream >> OK
    assert reads.bodies == [b"abcdefg"]
    assert around.decisions("small") == {("deny", "shadow"): 1}


def test_who_swallows_a_bounds_answer_does_not_lift_it(make_flow: MakeFlow) -> None:
    class Swallows(Reads):
        def _fail(self, failure: Any) -> Any:
            return None

    small, _ = limit(5)
    flow = reading(make_flow, small, Swallows())
    flow.client >> CHUNKED + b"6\r\nabcdef\r\n"
    flow.client.refused(413, "body_limit", closes=True)
    assert flow.dials == 0


@pytest.mark.parametrize("before", [True, False])
def test_a_bound_that_breaks(before: bool, make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    def breaks(exchange: Exchange) -> None:
        raise ZeroDivisionError

    flow = reading(make_flow, Scripted(request=lambda exchange: exchange.limit_body(5, breaks)), *[Reads()] * before)
    flow.client >> CHUNKED
    if not before:
        assert flow.upstream.take()
    flow.client >> b"6\r\nabcdef\r\n"
    flow.client.refused(500, "internal", closes=True)
    assert len(logged_errors) == 1
    logged_errors.clear()
