"""The head of a response: what this hop adds and how the body is framed, for every kind of client and answer."""

from __future__ import annotations

import re

import pytest

from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


def ask(flow: Flow, answer: bytes, *, method: bytes = b"GET", minor: int = 1, more: bytes = b"") -> bytes:
    """All that a client gets, as it comes."""
    flow.client >> b"%b / HTTP/1.%d\r\nHost: a\r\n%b\r\n" % (method, minor, more)
    flow.upstream >> answer
    if b"Content-Length" not in answer and b"chunked" not in answer and not flow.upstream.is_gone:
        flow.upstream.shuts()
    return flow.client.take_raw()


def fields(response: bytes, name: bytes) -> list[bytes]:
    head = response.partition(b"\r\n\r\n")[0] + b"\r\n"
    return re.findall(rb"(?im)^%b: ([^\r\n]*)\r\n" % re.escape(name), head)


def test_what_the_upstream_says_passes_in_order_and_in_case(flow: Flow) -> None:
    got = ask(
        flow, b"HTTP/1.1 200 Fine\r\nx-b: 1\r\nSet-Cookie: a\r\nX-A: \xe9\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n"
    )
    assert got.startswith(b"HTTP/1.1 200 Fine\r\nx-b: 1\r\nSet-Cookie: a\r\nX-A: \xe9\r\nSet-Cookie: b\r\n")


def test_what_ends_at_this_hop_does_not(flow: Flow) -> None:
    got = ask(
        flow,
        b"HTTP/1.1 200 OK\r\nConnection: x-a, keep-alive\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: x\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
    )
    for name in (b"Connection", b"X-A", b"Keep-Alive", b"Proxy-Authenticate", b"Upgrade"):
        assert fields(got, name) == []


def test_one_date_whoever_it_is_from(flow: Flow) -> None:
    assert fields(ask(flow, b"HTTP/1.1 200 OK\r\ndate: %b\r\nContent-Length: 0\r\n\r\n" % DATE), b"date") == [DATE]
    [own] = fields(ask(flow, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), b"date")
    assert re.fullmatch(rb"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", own)


def test_server(make_flow: MakeFlow) -> None:
    answer = b"HTTP/1.1 200 OK\r\nServer: theirs\r\nContent-Length: 0\r\n\r\n"
    assert fields(ask(make_flow(), answer), b"server") == [b"theirs"]
    assert fields(ask(make_flow(gateway="server_header = own"), answer), b"server") == [b"gwproxy"]


def test_via(flow: Flow) -> None:
    assert fields(ask(flow, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), b"via") == [b"1.1 gwproxy"]
    answer = b"HTTP/1.0 200 OK\r\nVia: 1.1 a\r\nVia: 1.1 b\r\nContent-Length: 0\r\n\r\n"
    assert fields(ask(flow, answer), b"via") == [b"1.1 a, 1.1 b, 1.0 gwproxy"]


def test_own_replies_have_no_via_and_an_id_all_the_same(make_flow: MakeFlow) -> None:
    flow = make_flow(more="[route:own]\npath = /own\nrespond = 200 own\n")
    flow.client >> b"GET /own HTTP/1.1\r\nHost: a\r\n\r\n"
    got = flow.client.take_raw()
    assert fields(got, b"via") == []
    assert fields(got, b"x-request-id") == [flow.last["id"].encode()]


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nok"
KEEP = b"Connection: keep-alive\r\n"


@pytest.mark.parametrize(
    ("answer", "minor", "more", "framing", "body", "closes"),
    [
        (LENGTH, 1, b"", b"Content-Length: 2\r\n", b"ok", False),
        (LENGTH, 1, b"Connection: close\r\n", b"Content-Length: 2\r\nConnection: close\r\n", b"ok", True),
        (LENGTH, 0, b"", b"Content-Length: 2\r\nConnection: close\r\n", b"ok", True),
        (LENGTH, 0, KEEP, b"Content-Length: 2\r\nConnection: keep-alive\r\n", b"ok", False),
        (CHUNKED, 1, b"", b"Transfer-Encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n", False),
        (CHUNKED, 0, KEEP, b"Connection: close\r\n", b"ok", True),
        (UNTIL_CLOSE, 1, b"", b"Transfer-Encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n", False),
        (UNTIL_CLOSE, 0, b"", b"Connection: close\r\n", b"ok", True),
    ],
)
def test_framing(answer: bytes, minor: int, more: bytes, framing: bytes, body: bytes, closes: bool, flow: Flow) -> None:
    got = ask(flow, answer, minor=minor, more=more)
    head, _, rest = got.partition(b"\r\n\r\n")
    assert (head + b"\r\n").endswith(b"\r\n" + framing)
    assert rest == body
    assert flow.client.is_gone is closes


@pytest.mark.parametrize(
    ("answer", "method", "framing"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HEAD", [b"9"]),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HEAD", []),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET", []),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", b"GET", []),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"GET", [b"9"]),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", b"GET", []),
        (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", b"GET", [b"0"]),
    ],
)
def test_answers_without_a_body(answer: bytes, method: bytes, framing: list[bytes], flow: Flow) -> None:
    """CORRECTNESS M1, M2."""
    flow.client >> b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method
    flow.upstream >> answer
    got = flow.client.take_raw()
    assert fields(got, b"content-length") == framing
    assert fields(got, b"transfer-encoding") == []
    assert got.endswith(b"\r\n\r\n")
    assert not flow.client.is_gone and not flow.upstream.is_gone


def test_a_status_without_a_name(flow: Flow) -> None:
    assert ask(flow, b"HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n").startswith(b"HTTP/1.1 299 \r\n")


def test_announced_trailers_are_announced(flow: Flow) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Content-Length\r\n\r\n0\r\nX-Sum: 1\r\n\r\n"
    )
    got = ask(flow, answer)
    assert [value.lower() for value in fields(got, b"trailer")] == [b"x-sum"]
    assert got.endswith(b"0\r\nX-Sum: 1\r\n\r\n")
    # HTTP/1.0 has no trailers.
    got = ask(flow, answer, minor=0)
    assert fields(got, b"trailer") == [] and b"X-Sum: 1" not in got
