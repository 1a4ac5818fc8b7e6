"""Filters in a whole gateway: replies, edits, defects in each hook, and what the client sees of them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import LogEvent, eventAsText

from gwproxy.filters.api import Exchange, Reply
from gwproxy.http.headers import set_header
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.scripted import Scripted, breaks, marks, replies

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_all_hooks_in_their_order(make_flow: MakeFlow) -> None:
    flow = make_flow(filters={"one": marks(b"one"), "two": marks(b"two")})
    flow.client >> GET
    flow.upstream << (
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Request: one\r\nX-Request: two\r\nX-Attempt: one\r\nX-Attempt: two\r\n\r\n"
    )
    flow.upstream >> OK
    flow.client << b"HTTP/1.1 200 OK\r\nX-Response: two\r\nX-Response: one\r\nContent-Length: 2\r\n\r\nok"


def test_a_reply_ends_it_and_those_outside_see_it(make_flow: MakeFlow) -> None:
    outer, inner = marks(b"outer"), Scripted()
    flow = make_flow(filters={"outer": outer, "denies": replies(), "inner": inner})
    flow.client >> GET
    fields = flow.client.refused(401, "no_token")
    assert (fields[b"x-why"], fields[b"x-response"]) == (b"no", b"outer")
    assert flow.dials == 0
    assert (outer.statuses, inner.asked) == ([401], [])
    line = flow.logged(status=401, reason="no_token", by="gateway")
    assert (line["filter"], line["tries"]) == ("denies", 0)


def test_a_reply_with_a_body_of_its_own(make_flow: MakeFlow) -> None:
    flow = make_flow(filters={"answers": Scripted(request=lambda exchange: Reply(200, [], b"here"))})
    flow.client >> GET
    flow.client << (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\r\nhere")
    flow.client >> GET.replace(b"GET", b"HEAD")
    flow.client << b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\r\n"


def test_a_reply_to_a_body_that_still_comes(make_flow: MakeFlow) -> None:
    """CORRECTNESS B3: the client gets its answer though it still sends, and the connection ends with it."""
    flow = make_flow(filters={"denies": replies()})
    flow.client >> POST + b"bo"
    flow.client.refused(401, "no_token", closes=True)
    flow.client >> b"dy" + GET
    flow.client << b""
    assert flow.client.wire.shut and not flow.client.is_gone
    flow.client.shuts()
    assert flow.client.was_closed
    assert len(flow.log) == 1


def test_a_reply_to_a_body_that_is_here_keeps_the_connection(make_flow: MakeFlow) -> None:
    flow = make_flow(filters={"denies": replies()})
    flow.client >> POST + b"body" + POST + b"body"
    assert flow.client.take().count(b"HTTP/1.1 401 Unauthorized") == 2
    assert not flow.client.is_gone


@pytest.mark.parametrize("hook", ["attempt", "response"])
def test_a_defect_while_a_body_comes(hook: str, make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    flow = make_flow(filters={"broken": Scripted(**{hook: breaks})})
    flow.client >> POST + b"bo"
    upstream = flow.upstream
    if hook == "response":
        upstream >> OK
    assert upstream.is_gone
    flow.client.refused(500, "internal", closes=True)
    flow.client >> b"dy"
    flow.client.shuts()
    assert flow.client.was_closed
    assert len(logged_errors) == 1
    logged_errors.clear()


@pytest.mark.parametrize("hook", ["request", "attempt", "response"])
def test_a_defect_is_a_500_that_those_outside_see(
    hook: str, make_flow: MakeFlow, logged_errors: list[LogEvent]
) -> None:
    broken = Scripted(**{hook: breaks})
    outer = marks(b"outer")
    flow = make_flow(filters={"outer": outer, "broken": broken})
    flow.client >> GET
    if hook != "request":
        upstream = flow.upstream
        if hook == "response":
            upstream >> OK
        assert upstream.is_gone
    fields = flow.client.refused(500, "internal")
    assert fields[b"x-response"] == (b"outer")
    assert flow.logged(status=500, reason="internal", by="gateway")["filter"] == "broken"
    assert len(outer.told) == len(broken.told) == 1
    [event] = logged_errors
    assert "broken" in eventAsText(event)
    logged_errors.clear()
    # The connection is as good as before.
    assert not flow.client.is_gone


def test_a_defect_in_on_done_harms_nobody(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    outer = Scripted()
    flow = make_flow(filters={"outer": outer, "broken": Scripted(done=breaks)})
    flow.client >> GET
    flow.upstream >> OK
    flow.client << OK
    assert len(outer.told) == 1
    flow.logged(status=200, reason=None)
    assert len(logged_errors) == 1
    logged_errors.clear()


@pytest.mark.parametrize(
    "broken",
    [
        Scripted(response=lambda exchange: exchange.response_headers.append((b"X-A", "text"))),  # type: ignore[arg-type]
        Scripted(response=lambda exchange: setattr(exchange, "status", "200")),
        Scripted(request=lambda exchange: Reply(200, [], "text")),  # type: ignore[arg-type]
        Scripted(request=lambda exchange: Reply(200, [("X-A", b"1")], b"")),  # type: ignore[list-item]
    ],
    ids=["a field", "a status", "a body", "a name"],
)
def test_what_cannot_be_written_is_a_defect(
    broken: Scripted, make_flow: MakeFlow, logged_errors: list[LogEvent]
) -> None:
    outer = Scripted()
    flow = make_flow(filters={"outer": outer, "broken": broken})
    flow.client >> GET
    if flow.dials:
        flow.upstream >> OK
    flow.client.refused(500, "internal")
    assert len(flow.log) == len(outer.told) == len(logged_errors) == 1
    logged_errors.clear()


def _unwritable(exchange: Exchange) -> None:
    name: Any = "X-Text"
    if exchange.path == b"/bad":
        exchange.outgoing.headers.append((name, b"v"))


def test_what_cannot_be_sent_is_a_defect(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    flow = make_flow(filters={"edits": Scripted(attempt=_unwritable)})
    flow.client >> GET.replace(b"/ ", b"/bad ", 1)
    assert flow.upstream.was_reset
    flow.client.refused(500, "internal")
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_what_cannot_be_sent_harms_no_other_exchange(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    """It gets its connection in the moment in which the other's response ends."""
    flow = make_flow(filters={"edits": Scripted(attempt=_unwritable)}, upstream="max_connections = 1")
    good, bad = flow.connect() >> GET, flow.connect() >> GET.replace(b"/ ", b"/bad ", 1)
    flow.upstream >> OK
    good << OK
    bad.refused(500, "internal")
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_two_defects_in_one_response(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    flow = make_flow(filters={"outer": marks(b"outer"), "one": Scripted(response=breaks), "two": replies()})
    flow.client >> GET
    assert flow.client.refused(500, "internal")[b"x-response"] == b"outer"
    assert len(logged_errors) == 1
    logged_errors.clear()
    both = make_flow(filters={"outer": Scripted(response=breaks), "inner": Scripted(response=breaks)})
    both.client >> GET
    both.upstream >> OK
    both.client.refused(500, "internal")
    assert len(logged_errors) == 2
    logged_errors.clear()


def test_response_hooks_on_error_pages(make_flow: MakeFlow) -> None:
    flow = make_flow(filters={"marks": marks(b"marks")}, upstream="retries = 0")
    flow.client >> GET
    flow.refuse()
    assert flow.client.refused(502, "connect_failed")[b"x-response"] == b"marks"
    flow.logged(status=502, reason="connect_failed", by="gateway")


def test_a_response_filter_edits_status_and_headers(make_flow: MakeFlow) -> None:
    def response(exchange: Exchange) -> None:
        exchange.status = 418
        set_header(exchange.response_headers, b"X-From", b"filter")

    flow = make_flow(filters={"edits": Scripted(response=response)})
    flow.client >> GET
    flow.upstream >> b"HTTP/1.1 200 OK\r\nX-From: upstream\r\nContent-Length: 2\r\n\r\nok"
    got = flow.client.take()
    assert got.startswith(b"HTTP/1.1 418 ")
    assert got.endswith(b"X-From: filter\r\nContent-Length: 2\r\n\r\nok")
    assert flow.last["status"] == 418


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_takes_the_body_away(status: int, make_flow: MakeFlow) -> None:
    """What follows a 204 would be the next response."""

    def response(exchange: Exchange) -> None:
        exchange.status = status

    flow = make_flow(filters={"edits": Scripted(response=response)})
    flow.client >> GET * 2
    flow.upstream >> OK
    head, _, rest = flow.client.take().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert rest == b""
    flow.upstream >> OK
    assert flow.client.take().startswith(b"HTTP/1.1 %d " % status)


def test_attempts_start_from_the_untouched_request(make_flow: MakeFlow) -> None:
    flow = make_flow(filters={"marks": marks(b"m")}, servers="http://192.0.2.10:80, http://192.0.2.11:80")
    flow.client >> GET
    flow.refuse()
    flow.upstream << b"GET / HTTP/1.1\r\nHost: a\r\nX-Request: m\r\nX-Attempt: m\r\n\r\n"
    flow.upstream >> OK
    assert flow.last["tries"] == 2


def test_filters_of_a_route_that_answers_itself(make_flow: MakeFlow) -> None:
    flow = make_flow(
        filters={"marks": marks(b"m")}, more="[route:own]\npath = /own\nrespond = 200 own\nfilters = marks\n"
    )
    flow.client >> b"GET /own HTTP/1.1\r\nHost: a\r\n\r\n"
    assert b"X-Response: m\r\n" in flow.client.take()
    assert flow.last["reason"] == "respond"


def test_nobody_is_asked_where_nothing_matches(make_flow: MakeFlow) -> None:
    asked = Scripted()
    flow = make_flow(route="methods = GET\nhost = a", filters={"asked": asked})
    flow.client >> b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
    flow.client.refused(404, "no_route")
    flow.client >> b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert flow.client.refused(405, "method")[b"allow"] == b"GET, HEAD"
    assert asked.asked == []
