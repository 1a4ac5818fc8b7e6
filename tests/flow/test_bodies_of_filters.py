"""Filters that read request bodies, or bound them, in the whole gateway: what comes of the body, client and log."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from gwproxy.errors import BodyTooLarge
from gwproxy.filters import json_body
from gwproxy.filters.api import Exchange, Reply
from gwproxy.testing import Surroundings, build_filter
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow
from tests.flow.kit.scripted import Reads, Scripted, Waiting

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def post(*fields: bytes) -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: a", *fields, b"", b""])


COUNTED = post(b"Content-Length: 6")
CHUNKED = post(b"Transfer-Encoding: chunked")


def reading(make_flow: MakeFlow, *filters: object, **parts: Any) -> Flow:
    return make_flow(filters={f"f{number}": each for number, each in enumerate(filters)}, **parts)


# A body that is read whole


@pytest.mark.parametrize(
    ("head", "pieces", "wire"),
    [
        (COUNTED, [b"abc", b"def"], b"abcdef"),
        (CHUNKED, [b"3\r\nabc\r\n", b"3\r\nde", b"f\r\n0\r\n\r\n"], b"6\r\nabcdef\r\n0\r\n\r\n"),
    ],
)
def test_it_goes_upstream_when_it_is_whole(head: bytes, pieces: list[bytes], wire: bytes, make_flow: MakeFlow) -> None:
    reads = Reads()
    flow = reading(make_flow, reads)
    flow.client >> head
    for piece in pieces:
        assert flow.dials == 0
        flow.client >> piece
    flow.upstream << head + wire
    flow.upstream >> OK
    flow.client << OK
    assert reads.bodies == [b"abcdef"]
    assert flow.logged(status=200, reason=None)["bytes_in"] == 6
    assert flow.watch.finished[0].buffered is None  # not held while the response comes


def test_it_came_with_its_head(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads())
    flow.client >> COUNTED + b"abcdef"
    flow.upstream << COUNTED + b"abcdef"
    flow.upstream >> OK
    flow.client << OK


def test_trailers_are_kept(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads())
    (
        flow.client
        >> post(b"Transfer-Encoding: chunked", b"Trailer: X-Sum") + b"1\r\na\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n"
    )
    assert flow.upstream.take().endswith(b"1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n")
    flow.upstream >> OK


@pytest.mark.parametrize("head", [post(b"Content-Length: 0"), GET])
def test_no_body_is_an_empty_one(head: bytes, make_flow: MakeFlow) -> None:
    reads = Reads()
    flow = reading(make_flow, reads)
    flow.client >> head
    flow.upstream << head
    flow.upstream >> OK
    assert reads.bodies == [b""]


def test_an_empty_body_in_chunks(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads())
    flow.client >> CHUNKED + b"0\r\n\r\n"
    flow.upstream << CHUNKED + b"0\r\n\r\n"
    flow.upstream >> OK


def test_two_filters_read_the_same_body(make_flow: MakeFlow) -> None:
    first, second = Reads(), Reads(6)
    flow = reading(make_flow, first, Waiting(), second)
    flow.client >> COUNTED + b"abcdef"
    flow.filters["f1"].decides()  # type: ignore[attr-defined]
    flow.upstream << COUNTED + b"abcdef"
    flow.upstream >> OK
    assert first.bodies == second.bodies == [b"abcdef"]
    assert flow.last["bytes_in"] == 6


def test_the_second_allows_less(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads(), Reads(5))
    flow.client >> CHUNKED + b"6\r\nabcdef\r\n0\r\n\r\n"
    flow.client.refused(413, "body_too_large")
    assert flow.dials == 0
    assert flow.last["filter"] == "f1"


def test_a_route_that_answers_by_itself_may_have_read_it(make_flow: MakeFlow) -> None:
    reads = Reads()
    flow = make_flow(filters={"reads": reads}, more="[route:here]\npath = /here\nrespond = 200 here\nfilters = reads")
    flow.client >> COUNTED.replace(b" / ", b" /here ") + b"abc"
    flow.client << b""
    flow.client >> b"def" + GET
    assert flow.client.take().endswith(b"\r\n\r\nhere")
    flow.upstream << GET
    flow.upstream >> OK
    flow.client << OK
    assert reads.bodies == [b"abcdef", b""]


def test_a_request_behind_it(make_flow: MakeFlow) -> None:
    """Also when the body was refused: it was read whole, so the connection goes on."""
    flow = reading(make_flow, Reads(verdict=Reply(400, detail="no")))
    flow.client >> CHUNKED + b"6\r\nabcdef\r\n0\r\n\r\n" + COUNTED + b"abc"
    flow.client.refused(400, "no")
    flow.client >> b"def" + COUNTED
    flow.client.refused(400, "no")
    flow.client >> b"abcdef"
    flow.client.refused(400, "no")
    assert not flow.client.is_gone
    assert [line["bytes_in"] for line in flow.log] == [6, 6, 6]


# Expect: 100-continue


def test_the_gateway_asks_for_it_once_and_nobody_else_does(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads(), Reads())
    flow.client >> post(b"Content-Length: 6", b"Expect: 100-continue")
    flow.client << CONTINUE
    flow.client >> b"abcdef"
    flow.upstream << COUNTED + b"abcdef"
    flow.upstream >> CONTINUE
    flow.upstream >> OK
    flow.client << OK


def test_nothing_is_asked_for_when_it_is_there(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads())
    flow.client >> post(b"Content-Length: 6", b"Expect: 100-continue") + b"abcdef"
    flow.client << b""
    flow.upstream << COUNTED + b"abcdef"
    flow.upstream >> OK


def test_what_is_declared_too_large_is_not_asked_for(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads(5))
    flow.client >> post(b"Content-Length: 6", b"Expect: 100-continue")
    flow.client.refused(413, "body_too_large", closes=True)


def test_what_is_given_back_is_not_asked_for_again(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads(3, lenient=True))
    flow.client >> post(b"Transfer-Encoding: chunked", b"Expect: 100-continue")
    flow.client << CONTINUE
    flow.client >> b"4\r\nabcd\r\n"
    flow.upstream << CHUNKED + b"4\r\nabcd\r\n"
    flow.upstream >> CONTINUE
    flow.client >> b"0\r\n\r\n"
    flow.upstream << b"0\r\n\r\n"
    flow.upstream >> OK
    flow.client << OK


def test_a_declared_one_that_is_not_read_is_asked_for_by_the_server(make_flow: MakeFlow) -> None:
    head = post(b"Content-Length: 6", b"Expect: 100-continue")
    flow = reading(make_flow, Reads(5, lenient=True))
    flow.client >> head
    flow.client << b""
    assert b"Expect: 100-continue" in flow.upstream.take()
    flow.upstream >> CONTINUE
    flow.client << CONTINUE
    flow.client >> b"abcdef"
    flow.upstream << b"abcdef"
    flow.upstream >> OK


# Too large for the filter that reads


def test_too_large_and_let_pass_it_streams_on(make_flow: MakeFlow) -> None:
    """What was held goes first; what was behind it follows, under the server's own back-pressure."""
    reads = Reads(5, lenient=True)
    waiting = Waiting()
    flow = reading(make_flow, reads, waiting)
    flow.client >> CHUNKED + b"3\r\nabc\r\n"
    flow.client >> b"3\r\ndef\r\n"
    assert reads.bodies == [BodyTooLarge]
    assert flow.client.is_paused  # nobody reads it, and it is not held without end
    flow.client >> b"2\r\ngh\r\n"
    waiting.decides()
    flow.upstream << CHUNKED + b"6\r\nabcdef\r\n2\r\ngh\r\n"
    assert not flow.client.is_paused
    flow.upstream.stops_reading()
    flow.client >> b"20000\r\n" + b"x" * 0x20000
    assert flow.client.is_paused
    flow.upstream.reads_on()
    assert not flow.client.is_paused
    flow.client >> b"\r\n0\r\n\r\n"
    flow.upstream.take()
    flow.upstream >> OK
    flow.client << OK
    assert flow.last["bytes_in"] == 8 + 0x20000


def test_too_large_in_its_last_piece(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads(5, lenient=True))
    flow.client >> CHUNKED + b"3\r\nabc\r\n"
    flow.client >> b"3\r\ndef\r\n0\r\n\r\n" + GET
    flow.upstream << CHUNKED + b"6\r\nabcdef\r\n0\r\n\r\n"
    flow.upstream >> OK
    flow.client << OK
    flow.upstream << GET
    flow.upstream >> OK
    flow.client << OK


def test_too_large_as_it_came_with_its_head(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads(5, lenient=True))
    flow.client >> CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n"
    flow.upstream << CHUNKED + b"6\r\nabcdef\r\n"
    flow.client >> b"0\r\n\r\n"
    flow.upstream << b"0\r\n\r\n"
    flow.upstream >> OK


def test_the_next_filter_may_have_it_whole(make_flow: MakeFlow) -> None:
    first, second = Reads(5, lenient=True), Reads(10)
    flow = reading(make_flow, first, second)
    flow.client >> CHUNKED + b"6\r\nabcdef\r\n"
    assert (first.bodies, second.bodies) == ([BodyTooLarge], [])
    assert not flow.client.is_paused
    flow.client >> b"1\r\ng\r\n0\r\n\r\n"
    assert second.bodies == [b"abcdefg"]
    flow.upstream << CHUNKED + b"7\r\nabcdefg\r\n0\r\n\r\n"
    flow.upstream >> OK


def test_who_wants_it_no_more_gives_it_back(make_flow: MakeFlow) -> None:
    """A filter that loses its patience cancels, and the body streams on."""
    asked: list[Deferred[bytes]] = []

    def ask(exchange: Exchange) -> Deferred[None]:
        asked.append(exchange.read_body(100))
        return asked[0].addErrback(lambda failure: None)  # type: ignore[return-value]

    flow = reading(make_flow, Scripted(request=ask))
    flow.client >> COUNTED + b"abc"
    asked[0].cancel()
    flow.upstream << COUNTED + b"abc"
    flow.client >> b"def"
    flow.upstream << b"def"
    flow.upstream >> OK
    flow.client << OK


@pytest.mark.parametrize("head", [COUNTED, CHUNKED])
def test_who_does_not_catch_it_answers_413(head: bytes, make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads(5))
    flow.client >> head + (b"abcdef" if head is COUNTED else b"6\r\nabcdef\r\n")
    flow.client.refused(413, "body_too_large", closes=head is CHUNKED)
    assert flow.dials == 0
    line = flow.logged(status=413, reason="body_too_large")
    assert (line["filter"], line["bytes_in"]) == ("f0", 0 if head is COUNTED else 6)


@pytest.mark.parametrize("lenient", [False, True])
def test_the_routes_bound_is_smaller(lenient: bool, make_flow: MakeFlow) -> None:
    reads = Reads(lenient=lenient)
    flow = reading(make_flow, reads, route="max_body = 5")
    flow.client >> CHUNKED + b"3\r\nabc\r\n"
    flow.client >> b"3\r\ndef\r\n"
    flow.client.refused(413, "body_too_large", closes=True)
    assert (reads.bodies, flow.dials) == ([BodyTooLarge], 0)
    flow.logged(status=413, reason="body_too_large")


def test_the_routes_bound_holds_for_what_streams_on(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads(3, lenient=True), route="max_body = 5")
    flow.client >> CHUNKED + b"4\r\nabcd\r\n"
    flow.upstream << CHUNKED + b"4\r\nabcd\r\n"
    flow.client >> b"2\r\nef\r\n"
    assert flow.upstream.was_reset
    flow.client.refused(413, "body_too_large", closes=True)


# What happens meanwhile


@pytest.mark.parametrize("head", [COUNTED, CHUNKED])
def test_a_client_that_stalls(head: bytes, make_flow: MakeFlow) -> None:
    reads = Reads()
    flow = reading(make_flow, reads, listen="idle_timeout = 2s")
    flow.client >> head
    flow.client >> (b"a" if head is COUNTED else b"1\r\na\r\n")
    flow.wait(2)
    flow.client.refused(408, "body_timeout", closes=True)
    flow.logged(status=408, reason="body_timeout")
    assert [getattr(each, "__name__", each) for each in reads.bodies] == ["CancelledError"]


@pytest.mark.parametrize("leave", ["resets", "shuts"])
def test_a_client_that_leaves(leave: str, make_flow: MakeFlow) -> None:
    reads = Reads()
    flow = reading(make_flow, reads)
    flow.client >> COUNTED + b"abc"
    getattr(flow.client, leave)()
    assert flow.logged(status=499, reason="client_gone")["bytes_in"] == 3
    assert [getattr(each, "__name__", each) for each in reads.bodies] == ["CancelledError"]
    assert flow.dials == 0


def test_a_broken_chunk(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads())
    flow.client >> CHUNKED + b"1\r\na\r\n"
    flow.client >> b"zz\r\n"
    flow.client.refused(400, "bad_chunk", closes=True)
    assert flow.logged(status=400, reason="bad_chunk")["bytes_in"] == 1
    assert flow.dials == 0


def test_a_filter_that_asks_twice_at_once(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    def ask(exchange: Exchange) -> Deferred[bytes]:
        exchange.read_body(100)
        return exchange.read_body(100)

    flow = reading(make_flow, Scripted(request=ask))
    flow.client >> COUNTED
    flow.client.refused(500, "internal", closes=True)
    assert len(logged_errors) == 1
    logged_errors.clear()


# With the filter that comes with the gateway


def test_json_is_refused_or_goes_on_byte_for_byte(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, build_filter(json_body, {"max_depth": "2"}, name="json"))
    head = post(b"Content-Type: application/json", b"Content-Length: 9")
    flow.client >> head + b'{ "a":1 }'
    flow.upstream << head + b'{ "a":1 }'
    flow.upstream >> OK
    flow.client << OK
    flow.client >> head + b"[[[[[]]]]"
    flow.client.refused(400, "body_not_json")
    flow.client >> head + b"[[[ 1 ]]]"
    flow.client.refused(400, "body_too_deep")
    flow.client >> post(b"Content-Type: text/plain", b"Content-Length: 9") + b"[[[ 1 ]]]"
    flow.client.refused(415, "body_type")
    assert not flow.client.is_gone
    assert [line["bytes_in"] for line in flow.log] == [9, 9, 9, 0]


def test_json_that_is_too_large_passes_in_shadow_mode(make_flow: MakeFlow) -> None:
    around = Surroundings()
    options = {"max": "5", "mode": "shadow"}
    flow = reading(make_flow, build_filter(json_body, options, name="json", around=around))
    head = post(b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    flow.client >> head
    flow.client >> b"6\r\n[1,2,3\r\n"
    flow.upstream << head + b"6\r\n[1,2,3\r\n"
    flow.client >> b"1\r\n]\r\n0\r\n\r\n"
    flow.upstream << b"1\r\n]\r\n0\r\n\r\n"
    flow.upstream >> OK
    flow.client << OK
    assert around.decisions("json") == {("deny", "shadow"): 1}
