"""Filters that wait, and all that can happen meanwhile."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from gwproxy.filters.api import Exchange, Reply
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.scripted import Scripted, Waiting, marks
from tests.flow.kit.wire import BUFFER

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


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


def test_the_routes_timeout_covers_a_filter_that_waits(make_flow: MakeFlow) -> None:
    waiting = Waiting()
    flow = make_flow(route="timeout = 5s", filters={"waits": waiting})
    flow.client >> GET
    flow.wait(4.9)
    flow.client << b""
    flow.wait(0.2)
    flow.client.refused(504, "route_timeout", closes=False)
    assert flow.dials == 0


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


def test_a_filter_may_take_longer_than_a_head(make_flow: MakeFlow) -> None:
    waiting = Waiting()
    flow = make_flow(listen="header_timeout = 1s", filters={"waits": waiting})
    for piece in (GET[:10], GET[10:]):
        flow.client >> piece
    flow.wait(2)
    flow.client << b""
    waiting.decides()
    flow.upstream >> OK
    flow.client << OK


def test_a_filter_may_take_longer_than_the_route_before_had(make_flow: MakeFlow) -> None:
    """Its own route's time has not begun."""
    waiting = Waiting()
    quick = "[route:quick]\npath = /quick\nupstream = service\ntimeout = 1s\n"
    flow = make_flow(filters={"waits": waiting}, route="timeout = 60s", more=quick)
    flow.client >> GET.replace(b"/ ", b"/quick ", 1)
    flow.upstream >> OK
    flow.client << OK
    flow.client >> POST >> b"body"
    flow.wait(2)
    flow.client << b""
    waiting.decides()
    flow.upstream >> OK
    flow.client << OK


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


def test_a_verdict_that_comes_too_late_changes_nothing(make_flow: MakeFlow) -> None:
    """A filter need not be able to cancel what it waits for."""
    verdict: Deferred[None] = Deferred()
    flow = make_flow(filters={"waits": Scripted(request=lambda exchange: verdict)})
    flow.client >> GET
    flow.client.resets()
    verdict.callback(None)
    assert flow.dials == 0
    flow.logged(status=499, reason="client_gone")


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
