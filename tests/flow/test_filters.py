"""Filters in a whole gateway: replies, waiting, defects in each hook, and what the client sees of them."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, eventAsText

from gwproxy.filters.api import Exchange, Reply
from gwproxy.http.headers import set_header
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.scripted import Scripted, Upper, Waiting, breaks
from tests.flow.kit.wire import BUFFER

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def replies(status: int = 401) -> Scripted:
    return Scripted(request=lambda exchange: Reply(status, [(b"X-Why", b"no")], detail="no_token"))


def marks(name: bytes) -> Scripted:
    """A filter that writes its name wherever it can."""

    def in_request(exchange: Exchange) -> None:
        exchange.headers.append((b"X-Request", name))

    def in_attempt(exchange: Exchange) -> None:
        exchange.outgoing.headers.append((b"X-Attempt", name))

    def in_response(exchange: Exchange) -> None:
        exchange.response_headers.append((b"X-Response", name))

    return Scripted(request=in_request, attempt=in_attempt, response=in_response)


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


def test_a_filter_waits(make_flow: MakeFlow) -> None:
    waiting = Waiting()
    flow = make_flow(filters={"waits": waiting, "then": marks(b"then")})
    flow.client >> GET
    assert flow.dials == 0
    flow.client << b""
    waiting.decides()
    flow.upstream << b"GET / HTTP/1.1\r\nHost: a\r\nX-Request: then\r\nX-Attempt: then\r\n\r\n"
    flow.upstream >> OK
    flow.client << b"HTTP/1.1 200 OK\r\nX-Response: then\r\nContent-Length: 2\r\n\r\nok"


def test_a_filter_waits_and_replies(make_flow: MakeFlow) -> None:
    waiting = Waiting()
    flow = make_flow(filters={"waits": waiting})
    flow.client >> GET * 2
    waiting.decides(Reply(403, detail="not_you"))
    flow.client.refused(403, "not_you")
    waiting.decides()
    flow.upstream >> OK
    flow.client << OK


def test_a_coroutine_waits(make_flow: MakeFlow) -> None:
    waiting: Deferred[bytes] = Deferred()

    async def request(exchange: Exchange) -> None:
        exchange.headers.append((b"X-Found", await waiting))

    flow = make_flow(filters={"waits": Scripted(request=request)})
    flow.client >> GET
    assert flow.dials == 0
    waiting.callback(b"it")
    flow.upstream << b"GET / HTTP/1.1\r\nHost: a\r\nX-Found: it\r\n\r\n"
    flow.upstream >> OK
    flow.client << OK


def test_a_body_that_comes_while_a_filter_waits_is_kept(make_flow: MakeFlow) -> None:
    waiting = Waiting()
    flow = make_flow(filters={"waits": waiting})
    flow.client >> POST
    flow.client >> b"bo"
    waiting.decides()
    flow.upstream << b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo"
    flow.client >> b"dy"
    flow.upstream << b"dy"
    flow.upstream >> OK
    flow.client << OK


def test_the_client_goes_while_a_filter_waits(make_flow: MakeFlow) -> None:
    waiting, inner = Waiting(), Scripted()
    flow = make_flow(filters={"waits": waiting, "inner": inner})
    flow.client >> GET
    flow.client.resets()
    assert (waiting.cancelled, len(waiting.told), inner.asked) == (1, 1, [])
    assert flow.dials == 0
    flow.logged(status=499, reason="client_gone")


def test_the_body_goes_wrong_while_a_filter_waits(make_flow: MakeFlow) -> None:
    waiting = Waiting()
    flow = make_flow(filters={"waits": waiting})
    flow.client >> b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n"
    flow.client >> b"nonsense\r\n"
    flow.client.refused(400, "bad_chunk", closes=True)
    assert waiting.cancelled == 1
    flow.logged(status=400, reason="bad_chunk")


def test_the_body_stalls_while_a_filter_waits(make_flow: MakeFlow) -> None:
    waiting = Waiting()
    flow = make_flow(listen="idle_timeout = 1s", filters={"waits": waiting})
    flow.client >> POST
    flow.wait(1.1)
    flow.client.refused(408, "body_timeout", closes=True)
    flow.logged(status=408, reason="body_timeout")


def test_the_drain_ends_while_a_filter_waits(make_flow: MakeFlow) -> None:
    waiting = Waiting()
    flow = make_flow(filters={"waits": waiting})
    flow.client >> GET
    flow.listener.drain()
    flow.listener.abort_all()
    assert waiting.cancelled == 1
    flow.client.refused(503, "draining", closes=True)
    assert flow.last["reason"] == "draining"


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


def test_a_large_body_waits_for_the_filter(make_flow: MakeFlow) -> None:
    waiting = Waiting()
    flow = make_flow(filters={"waits": waiting})
    size = 3 * BUFFER
    flow.client >> POST.replace(b"4", b"%d" % size)
    for _ in range(3):
        flow.client >> b"x" * BUFFER
    assert flow.client.is_paused and flow.client.wire.held_back == size - BUFFER
    waiting.decides()
    assert flow.upstream.take().endswith(b"\r\n\r\n" + b"x" * size)
    flow.upstream >> OK
    flow.client << OK


def test_a_large_body_and_a_filter_that_replies_at_last(make_flow: MakeFlow) -> None:
    waiting = Waiting()
    flow = make_flow(filters={"waits": waiting})
    flow.client >> POST.replace(b"4", b"%d" % (3 * BUFFER))
    flow.client >> b"x" * BUFFER >> b"x" * BUFFER
    assert flow.client.is_paused
    waiting.decides(Reply(403, detail="not_you"))
    flow.client.refused(403, "not_you", closes=True)
    assert not flow.client.is_paused and flow.client.wire.held_back == 0
    flow.client.shuts()


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


def test_a_verdict_that_comes_too_late_changes_nothing(make_flow: MakeFlow) -> None:
    """A filter need not be able to cancel what it waits for."""
    verdict: Deferred[None] = Deferred()
    flow = make_flow(filters={"waits": Scripted(request=lambda exchange: verdict)})
    flow.client >> GET
    flow.client.resets()
    verdict.callback(None)
    assert flow.dials == 0
    flow.logged(status=499, reason="client_gone")


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


def test_a_coroutine_with_a_defect(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    waiting: Deferred[None] = Deferred()

    async def request(exchange: Exchange) -> None:
        await waiting
        raise ValueError("on purpose")

    flow = make_flow(filters={"broken": Scripted(request=request)})
    flow.client >> GET
    waiting.callback(None)
    flow.client.refused(500, "internal")
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_a_filter_that_cancels_itself_is_a_defect(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    waiting = Waiting()
    flow = make_flow(filters={"waits": waiting})
    flow.client >> GET
    waiting.verdicts.pop().cancel()
    flow.client.refused(500, "internal")
    assert len(logged_errors) == 1
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


def adds_upper(exchange: Exchange) -> None:
    exchange.add_body_transform(Upper())


UPPER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n1\r\n!\r\n0\r\n\r\n"


def test_a_body_transform(make_flow: MakeFlow) -> None:
    flow = make_flow(filters={"upper": Scripted(response=adds_upper)})
    flow.client >> GET * 2
    for answer in (OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"):
        flow.upstream >> answer
        flow.client << UPPER
    assert flow.last["bytes_out"] == 3


def test_a_body_transform_on_a_reply(make_flow: MakeFlow) -> None:
    answers = Scripted(request=lambda exchange: Reply(200, [], b"ok"))
    flow = make_flow(filters={"upper": Scripted(response=adds_upper), "answers": answers})
    flow.client >> GET
    assert flow.client.take().endswith(b"\r\n\r\n2\r\nOK\r\n1\r\n!\r\n0\r\n\r\n")


@pytest.mark.parametrize("own", [True, False])
def test_a_body_transform_has_nothing_to_do_without_a_body(own: bool, make_flow: MakeFlow) -> None:
    answers = Scripted(request=lambda exchange: Reply(200, [], b"ok") if own else None)
    flow = make_flow(filters={"upper": Scripted(response=adds_upper), "answers": answers})
    flow.client >> GET.replace(b"GET", b"HEAD")
    if not own:
        flow.upstream >> b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    head, _, rest = flow.client.take().partition(b"\r\n\r\n")
    assert rest == b""
    assert b"Content-Length" not in head, "the length of what the transform would make is not known"
    assert not flow.client.is_gone


def test_a_body_transform_with_a_defect_aborts(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    class Breaks(Upper):
        def data(self, data: bytes) -> bytes:
            raise ValueError("on purpose")

    flow = make_flow(filters={"broken": Scripted(response=lambda exchange: exchange.add_body_transform(Breaks()))})
    flow.client >> GET
    flow.upstream >> OK
    assert flow.client.was_reset
    assert flow.upstream.is_gone
    flow.logged(status=200, reason="internal")
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_a_body_transform_that_breaks_at_the_end_aborts(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    class Breaks(Upper):
        def end(self) -> bytes:
            raise ValueError("on purpose")

    flow = make_flow(filters={"broken": Scripted(response=lambda exchange: exchange.add_body_transform(Breaks()))})
    flow.client >> GET
    flow.upstream >> OK
    assert flow.client.was_reset
    flow.logged(status=200, reason="internal")
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_transforms_run_in_the_order_of_the_hooks(make_flow: MakeFlow) -> None:
    class Brackets:
        def data(self, data: bytes) -> bytes:
            return b"[" + data + b"]"

        def end(self) -> bytes:
            return b"end"

    outer = Scripted(response=lambda exchange: exchange.add_body_transform(Brackets()))
    flow = make_flow(filters={"outer": outer, "upper": Scripted(response=adds_upper)})
    flow.client >> GET
    flow.upstream >> OK
    flow.client << (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n[OK]\r\n6\r\n[!]end\r\n0\r\n\r\n")


def test_no_transform_survives_the_response_it_was_made_for(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    """The error page that takes the place of a response is not that response."""
    flow = make_flow(
        filters={"broken": Scripted(response=breaks), "upper": Scripted(response=adds_upper)},
    )
    flow.client >> GET
    flow.upstream >> OK
    flow.client.refused(500, "internal")
    logged_errors.clear()


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
