"""Bodies both ways, from the first byte, with whoever is slow: back-pressure in every combination."""

from __future__ import annotations

import pytest

from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow
from tests.flow.kit.wire import BUFFER

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PIECE = b"x" * (BUFFER + 1)
SIZE = 8 * len(PIECE)
CHUNK = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)

# How a body of eight pieces comes, on either side: its framing field, a piece, its end.
COUNTED = (b"Content-Length: %d" % SIZE, PIECE, b"")
CHUNKED = (b"Transfer-Encoding: chunked", CHUNK, b"0\r\n\r\n")
Framing = tuple[bytes, bytes, bytes]
framings = pytest.mark.parametrize("framing", [COUNTED, CHUNKED], ids=["counted", "chunked"])


def post(field: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n"


def ok(field: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n"


@framings
def test_an_upload_streams(framing: Framing, flow: Flow) -> None:
    field, piece, end = framing
    flow.client >> post(field)
    flow.upstream << post(field)
    for _ in range(8):
        flow.client >> piece
        flow.upstream << piece
    if end:
        flow.client >> end
        flow.upstream << end
    flow.upstream >> OK
    flow.client << OK
    assert flow.last["bytes_in"] == SIZE


@framings
def test_a_download_streams(framing: Framing, flow: Flow) -> None:
    field, piece, end = framing
    flow.client >> GET
    flow.upstream >> ok(field)
    flow.client << ok(field)
    for _ in range(8):
        flow.upstream >> piece
        flow.client << piece
    if end:
        flow.upstream >> end
        flow.client << end
    assert flow.last["bytes_out"] == SIZE


@framings
def test_a_server_that_does_not_read_pauses_the_client(framing: Framing, flow: Flow) -> None:
    field, piece, end = framing
    flow.client >> post(field)
    flow.upstream << post(field)
    flow.upstream.stops_reading()
    flow.client >> piece
    assert flow.client.is_paused
    for _ in range(7):
        flow.client >> piece
    flow.client >> (end or b"\r\n")
    assert flow.client.wire.held_back == 7 * len(piece) + len(end or b"\r\n")
    assert len(flow.upstream.wire.unsent) == len(piece)
    flow.upstream.reads_on()
    assert not flow.client.is_paused
    flow.upstream << piece * 8 + end
    flow.upstream >> OK
    flow.client << OK


@framings
def test_a_client_that_does_not_read_pauses_the_server(framing: Framing, flow: Flow) -> None:
    field, piece, end = framing
    flow.client >> GET
    flow.upstream >> ok(field)
    flow.client << ok(field)
    flow.client.stops_reading()
    for _ in range(8):
        flow.upstream >> piece
    assert flow.upstream.is_paused
    assert flow.upstream.wire.held_back == 7 * len(piece)
    assert len(flow.client.wire.unsent) == len(piece)
    if end:
        flow.upstream >> end
    flow.client.reads_on()
    flow.client << piece * 8 + end
    assert not flow.upstream.is_gone and not flow.upstream.is_paused


def test_both_are_slow_and_neither_waits_for_the_other(flow: Flow) -> None:
    """An echo: the response begins while the request still comes."""
    field, piece, _ = COUNTED
    flow.client >> post(field) + piece
    flow.upstream << post(field) + piece
    flow.upstream >> ok(field) + piece
    # Whether the request will be read to its end is not known when the head goes out.
    flow.client << ok(field + b"\r\nConnection: close") + piece
    flow.client.stops_reading()
    flow.upstream.stops_reading()
    flow.client >> piece >> piece
    flow.upstream >> piece >> piece
    assert flow.client.is_paused and flow.upstream.is_paused
    flow.client.reads_on()
    assert not flow.upstream.is_paused and flow.client.is_paused
    flow.client << piece * 2
    flow.upstream.reads_on()
    assert not flow.client.is_paused
    flow.upstream << piece * 2
    flow.client >> piece * 5
    flow.upstream << piece * 5
    flow.upstream >> piece * 5
    flow.client << piece * 5
    flow.logged(status=200, reason=None)
    assert flow.client.was_closed and not flow.upstream.is_gone


def test_a_body_that_nobody_takes_yet_is_held_and_no_more_is_read(flow: Flow) -> None:
    field, piece, _ = COUNTED
    flow.client >> post(field)
    assert flow.dials == 1
    flow.client >> piece
    assert flow.client.is_paused
    for _ in range(7):
        flow.client >> piece
    assert flow.client.wire.held_back == 7 * len(piece)
    flow.upstream << post(field) + piece * 8
    flow.upstream >> OK
    flow.client << OK


def test_pipelined_bytes_are_not_read_without_end(flow: Flow) -> None:
    flow.client >> GET
    for _ in range(4):
        flow.client >> GET * 4000
    assert flow.client.is_paused
    flow.upstream >> OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    flow.client << OK
    flow.client.resets()


def test_a_pipelined_request_behind_a_paused_body(flow: Flow) -> None:
    """Reading goes on with the next request though the sink of the one before asked it to wait."""
    field, piece, _ = COUNTED
    flow.client >> post(field) + piece
    flow.upstream.stops_reading()
    for _ in range(7):
        flow.client >> piece
    flow.client >> GET
    flow.upstream.reads_on()
    flow.upstream.take()
    flow.upstream >> OK
    flow.client << OK
    flow.upstream << GET
    flow.upstream >> OK
    flow.client << OK


def test_a_body_and_the_next_request_in_one_piece(flow: Flow) -> None:
    flow.client >> post(b"Content-Length: 4") + b"body" + post(CHUNKED[0]) + b"2\r\nab\r\n0\r\n\r\n" + GET
    flow.upstream << post(b"Content-Length: 4") + b"body"
    flow.upstream >> OK
    flow.upstream << post(CHUNKED[0]) + b"2\r\nab\r\n0\r\n\r\n"
    flow.upstream >> OK
    flow.upstream << GET
    flow.upstream >> OK
    flow.client << OK * 3


def test_trailers_both_ways(flow: Flow) -> None:
    flow.client >> post(CHUNKED[0] + b"\r\nTrailer: X-Sum") + b"1\r\na\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n"
    assert flow.upstream.take().endswith(b"1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n")
    flow.upstream >> ok(CHUNKED[0] + b"\r\nTrailer: X-Sum") + b"1\r\na\r\n0\r\nX-Sum: 2\r\nSet-Cookie: a=b\r\n\r\n"
    assert flow.client.take().endswith(b"1\r\na\r\n0\r\nX-Sum: 2\r\n\r\n")


def test_a_body_over_the_limit_ends_it_mid_stream(make_flow: MakeFlow) -> None:
    flow = make_flow(route="max_body = 10")
    flow.client >> post(CHUNKED[0]) + b"a\r\n0123456789\r\n"
    flow.upstream << post(CHUNKED[0]) + b"a\r\n0123456789\r\n"
    flow.client >> b"1\r\nx\r\n"
    flow.upstream << b""
    assert flow.upstream.was_reset
    flow.client.refused(413, "body_too_large", closes=True)
    flow.logged(status=413, reason="body_too_large")


def test_a_declared_body_over_the_limit_never_reaches_a_server(make_flow: MakeFlow) -> None:
    flow = make_flow(route="max_body = 10")
    flow.client >> post(b"Content-Length: 11") + b"0123456789"
    flow.client.refused(413, "body_too_large", closes=True)
    assert flow.dials == 0
    assert flow.client.wire.shut


@pytest.mark.parametrize("rest", [b"zz\r\n", b"3\r\nabcX", b"0\r\nno colon\r\n\r\n"])
def test_a_broken_chunk_after_the_head_went_upstream(rest: bytes, flow: Flow) -> None:
    flow.client >> post(CHUNKED[0]) + b"1\r\na\r\n"
    flow.upstream << post(CHUNKED[0]) + b"1\r\na\r\n"
    flow.client >> rest
    assert flow.upstream.was_reset
    flow.client.refused(400, "bad_chunk", closes=True)
    flow.logged(status=400, reason="bad_chunk")


def test_a_broken_chunk_in_the_first_piece_reaches_no_server(flow: Flow) -> None:
    flow.client >> post(CHUNKED[0]) + b"zz\r\n"
    flow.client.refused(400, "bad_chunk", closes=True)
    assert flow.dials == 0


# Answers that come before the body has


def test_an_early_answer_reaches_a_client_that_still_sends(flow: Flow) -> None:
    field, piece, _ = COUNTED
    flow.client >> post(field) + piece
    flow.upstream << post(field) + piece
    flow.upstream >> b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"
    flow.client << b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    assert flow.upstream.is_gone, "it could never carry another exchange"
    assert flow.client.wire.shut and not flow.client.is_gone
    # The client sends on, and is read, and then ends.
    flow.client >> piece >> piece
    assert flow.client.wire.held_back == 0
    flow.client.shuts()
    assert flow.client.was_closed
    flow.logged(status=401, reason=None)


def test_an_early_answer_while_the_server_holds_the_upload_up(flow: Flow) -> None:
    field, piece, _ = COUNTED
    flow.client >> post(field)
    flow.upstream << post(field)
    flow.upstream.stops_reading()
    flow.client >> piece >> piece
    assert flow.client.is_paused
    flow.upstream >> OK
    flow.client << OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert flow.upstream.is_gone
    assert not flow.client.is_paused and flow.client.wire.held_back == 0
    flow.client.shuts()
    assert flow.client.was_closed


def test_a_client_that_sends_for_ever_after_an_early_answer_is_cut(flow: Flow) -> None:
    field, piece, _ = COUNTED
    flow.client >> post(field)
    flow.upstream >> OK
    flow.client << OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    for _ in range(70):
        if flow.client.is_gone:
            break
        flow.client >> piece
    assert flow.client.was_reset


def test_a_client_that_does_not_end_after_an_early_answer_is_cut_in_time(flow: Flow) -> None:
    flow.client >> post(COUNTED[0])
    flow.upstream >> OK
    flow.wait(4.9)
    assert not flow.client.is_gone
    flow.wait(0.2)
    assert flow.client.was_reset


def test_an_early_answer_of_which_the_body_takes_longer_than_the_upload(flow: Flow) -> None:
    flow.client >> post(b"Content-Length: 4") + b"bo"
    flow.upstream >> ok(b"Content-Length: 4") + b"an"
    flow.client >> b"dy"
    flow.upstream >> b"sw"
    flow.upstream << post(b"Content-Length: 4") + b"body"
    flow.client << ok(b"Content-Length: 4\r\nConnection: close") + b"answ"
    assert flow.client.was_closed and not flow.upstream.is_gone


def test_our_own_answer_takes_a_body_that_is_there_already(make_flow: MakeFlow) -> None:
    flow = make_flow(more="[route:own]\npath = /own\nrespond = 200 own\n")
    flow.client >> post(b"Content-Length: 4").replace(b"/ ", b"/own ") + b"body" + GET
    assert flow.client.take().endswith(b"\r\n\r\nown")
    flow.upstream << GET
    flow.upstream >> OK
    flow.client << OK


# What ends otherwise


@framings
def test_a_response_that_breaks_off_never_ends_clean(framing: Framing, flow: Flow) -> None:
    field, piece, _ = framing
    flow.client >> GET
    flow.upstream >> ok(field) + piece
    flow.upstream.resets()
    flow.client << ok(field) + piece
    assert flow.client.was_reset
    flow.logged(status=200, reason="upstream_broken", by="upstream")


def test_a_response_until_the_close_that_is_reset(flow: Flow) -> None:
    flow.client >> GET
    flow.upstream >> b"HTTP/1.1 200 OK\r\n\r\nsome"
    flow.upstream.resets()
    flow.client << ok(CHUNKED[0]) + b"4\r\nsome\r\n"
    assert flow.client.was_reset
    flow.logged(status=200, reason="upstream_broken")


def test_a_short_response_is_broken(flow: Flow) -> None:
    flow.client >> GET
    flow.upstream >> ok(b"Content-Length: 3") + b"ab"
    flow.upstream.shuts()
    assert flow.client.was_reset
    flow.logged(status=200, reason="upstream_broken")


def test_a_bad_chunk_in_a_response(flow: Flow) -> None:
    flow.client >> GET
    flow.upstream >> ok(CHUNKED[0])
    flow.client << ok(CHUNKED[0])
    flow.upstream >> b"zz\r\n"
    flow.client << b""
    assert flow.client.was_reset and flow.upstream.is_gone
    flow.logged(status=200, reason="upstream_broken")
