"""The request head that goes upstream: what this hop says, and that nobody else can say it."""

from __future__ import annotations

import re

import pytest

from gwproxy.filters.api import Exchange
from gwproxy.http.headers import set_header
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow
from tests.flow.kit.scripted import Scripted

TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


def sent(flow: Flow, *lines: bytes, method: bytes = b"GET", body: bytes = b"") -> dict[bytes, list[bytes]]:
    """What goes upstream for a request with these fields: values by name in lower case."""
    head = b"".join(line + b"\r\n" for line in lines)
    flow.client >> b"%b / HTTP/1.1\r\nHost: a.test:8080\r\n%b\r\n%b" % (method, head, body)
    got = flow.upstream.take_raw().partition(b"\r\n\r\n")[0]
    flow.upstream >> EMPTY
    flow.client.take_raw()
    found: dict[bytes, list[bytes]] = {}
    for line in got.split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        found.setdefault(name.lower(), []).append(value)
    return found


FORGED = (
    b"X-Forwarded-For: 6.6.6.6",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: evil",
    b"X-Forwarded-Port: 1",
    b"X-Real-IP: 6.6.6.6",
    b"Forwarded: for=6.6.6.6",
)


def test_who_is_not_trusted_says_nothing_about_the_client(flow: Flow) -> None:
    found = sent(flow, *FORGED)
    assert found[b"x-forwarded-for"] == [b"192.0.2.7"]
    assert found[b"x-forwarded-proto"] == [b"http"]
    assert found[b"x-forwarded-host"] == [b"a.test:8080"]
    assert found[b"x-real-ip"] == [b"192.0.2.7"]
    assert not any(b"6.6.6.6" in value or b"evil" in value for values in found.values() for value in values)


def test_the_host_beside_an_absolute_target_is_told_to_nobody(flow: Flow) -> None:
    """Who may ask for one host could else name another to whoever makes links of X-Forwarded-Host."""
    flow.client >> b"GET http://a.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"
    got = flow.upstream.take_raw()
    assert got.count(b"a.test") == 3 and b"evil" not in got
    flow.upstream >> EMPTY
    # The same fields again are remembered, and mean something else without that target.
    flow.client >> b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n"
    got = flow.upstream.take_raw()
    assert got.count(b"evil.test") == 3 and b"a.test" not in got
    flow.upstream >> EMPTY


def test_who_is_trusted_is_appended_to(make_flow: MakeFlow) -> None:
    flow = make_flow(gateway="trusted_proxies = 192.0.2.0/24")
    found = sent(flow, b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: outer")
    assert found[b"x-forwarded-for"] == [b"6.6.6.6, 192.0.2.7"]
    assert (found[b"x-forwarded-proto"], found[b"x-forwarded-host"]) == ([b"https"], [b"outer"])
    assert flow.last["client"] == "6.6.6.6"


@pytest.mark.parametrize(
    "name", [b"X-Forwarded-For", b"X-Request-ID", b"Via", b"traceparent", b"X-Forwarded-Proto", b"Host"]
)
def test_nobody_can_have_our_fields_removed(name: bytes, flow: Flow) -> None:
    """CORRECTNESS H3: hop-by-hop fields are gone before ours are added."""
    assert name.lower() in sent(flow, b"Connection: " + name + b", close, keep-alive")


def test_via(flow: Flow) -> None:
    assert sent(flow)[b"via"] == [b"1.1 gwproxy"]
    assert sent(flow, b"Via: 1.0 a", b"Via: 1.1 b")[b"via"] == [b"1.0 a, 1.1 b, 1.1 gwproxy"]


def test_ids_begin_here(flow: Flow) -> None:
    found = sent(flow, b"X-Request-ID: theirs")
    [request_id], [trace] = found[b"x-request-id"], found[b"traceparent"]
    assert re.fullmatch(rb"[0-9a-f]{32}", request_id)
    assert re.fullmatch(rb"00-%b-(?!0{16})[0-9a-f]{16}-00" % request_id, trace)
    assert (flow.last["id"], flow.last["trace"]) == (request_id.decode(), request_id.decode())


def test_a_trace_goes_on(flow: Flow) -> None:
    found = sent(flow, b"traceparent: " + TRACEPARENT, b"tracestate: a=1", b"tracestate: b=2")
    assert (found[b"traceparent"], found[b"tracestate"]) == ([TRACEPARENT], [b"a=1,b=2"])
    assert flow.last["trace"] == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("bad", [b"nonsense", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01"])
def test_a_state_without_its_trace_ends_here(bad: bytes, flow: Flow) -> None:
    found = sent(flow, b"traceparent: " + bad, b"tracestate: a=1")
    assert b"tracestate" not in found
    assert bad not in found[b"traceparent"]


def test_a_request_id_is_taken_from_who_is_trusted(make_flow: MakeFlow) -> None:
    flow = make_flow(gateway="trusted_proxies = 192.0.2.0/24")
    assert sent(flow, b"X-Request-ID: theirs")[b"x-request-id"] == [b"theirs"]
    assert flow.last["id"] == "theirs"
    for bad in (b"x" * 129, b"a b", b"\xe9"):
        assert sent(flow, b"X-Request-ID: " + bad)[b"x-request-id"] != [bad]


def test_te_and_only_its_trailers(flow: Flow) -> None:
    found = sent(flow, b"TE: gzip, trailers;q=1, Trailers", b"Connection: TE")
    assert (found[b"te"], found[b"connection"]) == ([b"trailers"], [b"TE"])
    assert b"te" not in sent(flow, b"TE: gzip")


def test_trailers_are_announced_where_there_can_be_some(flow: Flow) -> None:
    chunked = sent(flow, b"Trailer: X-Sum, Host", b"Transfer-Encoding: chunked", method=b"POST", body=b"0\r\n\r\n")
    assert [value.lower() for value in chunked[b"trailer"]] == [b"x-sum"]
    assert b"trailer" not in sent(flow, b"Trailer: X-Sum")


def test_expect_goes_with_a_body_that_is_still_to_come(flow: Flow) -> None:
    assert b"expect" not in sent(flow, b"Expect: 100-continue")
    counted = (b"Expect: 100-continue", b"Content-Length: 2")
    assert b"expect" not in sent(flow, *counted, method=b"PUT", body=b"ab")
    flow.client >> b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert b"\r\nExpect: 100-continue\r\n" in flow.upstream.take_raw()
    flow.client >> b"ab"
    flow.upstream >> EMPTY


def test_nothing_is_added_that_nobody_asked_for(flow: Flow) -> None:
    """CORRECTNESS H6."""
    found = sent(flow)
    for name in (b"user-agent", b"accept-encoding", b"accept", b"connection", b"content-length", b"transfer-encoding"):
        assert name not in found


def test_filters_come_before_this_hop(make_flow: MakeFlow) -> None:
    def attempt(exchange: Exchange) -> None:
        exchange.outgoing.method = b"PATCH"
        exchange.outgoing.target = b"/other?x"
        set_header(exchange.outgoing.headers, b"Host", b"other.test")
        exchange.outgoing.headers.append((b"X-Added", b"1"))

    flow = make_flow(filters={"edits": Scripted(attempt=attempt)})
    flow.client >> b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n"
    flow.upstream << b"PATCH /other?x HTTP/1.1\r\nHost: other.test\r\nX-A: 1\r\nX-Added: 1\r\n\r\n"
    flow.upstream >> EMPTY
