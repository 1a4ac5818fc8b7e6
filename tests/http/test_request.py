"""Request heads: what is refused and how, and where each field goes of what is accepted."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.errors import (
    BadFraming,
    BadHost,
    BadRequest,
    BadTarget,
    ClientError,
    HeadTooLarge,
    MethodNotAllowed,
    TargetTooLong,
    UnknownExpectation,
    UnknownTransferCoding,
    UnknownVersion,
)
from gwproxy.http.request import HeadLimits, RequestHead

LIMITS = HeadLimits()


def read(
    lines: bytes = b"", line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a\r\n", **limits: Any
) -> RequestHead:
    """The head of a request with these field lines."""
    head = RequestHead()
    head.read(line + b"\r\n" + host + lines + b"\r\n", HeadLimits(**limits) if limits else LIMITS)
    return head


def test_the_request_line_is_taken_apart() -> None:
    head = read(line=b"GET /a%20b?c HTTP/1.1")
    assert (head.method, head.target, head.minor, head.host) == (b"GET", b"/a%20b?c", 1, b"a")
    assert head.keep_alive and not head.chunked and head.content_length is None and not head.headers


def test_h5_h11_plain_fields_stay_as_received_and_in_order() -> None:
    head = read(b"X-b: 1\r\nCookie: a=b\r\nx-B:  \xff\xfe\r\nEmpty:\r\nAccept: */*\r\n")
    assert head.headers == [
        (b"X-b", b"1"),
        (b"Cookie", b"a=b"),
        (b"x-B", b"\xff\xfe"),
        (b"Empty", b""),
        (b"Accept", b"*/*"),
    ]


@pytest.mark.parametrize(
    "method", [b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"PROPFIND", b"foo", b"get", b"X" * 32, b"!~"]
)
def test_m3_any_method_is_read_with_its_case(method: bytes) -> None:
    assert read(b"A: b\r\n", line=method + b" / HTTP/1.1").method == method


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE"])
def test_f12_connect_and_trace_are_refused(method: bytes) -> None:
    with pytest.raises(MethodNotAllowed):
        read(line=method + b" / HTTP/1.1")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"", BadRequest),
        (b"GET", BadRequest),
        (b"GET /", BadRequest),
        (b"GET  / HTTP/1.1", BadRequest),
        (b"GET /  HTTP/1.1", BadRequest),
        (b"GET / HTTP/1.1 ", BadRequest),
        (b" GET / HTTP/1.1", BadRequest),
        (b"GET\t/ HTTP/1.1", BadRequest),
        (b"GET / http/1.1", BadRequest),
        (b"GET / HTTP/1.10", UnknownVersion),
        (b"GET / HTTP/2.0", UnknownVersion),
        (b"GET / HTTP/0.9", UnknownVersion),
        (b"GET /\x00 HTTP/1.1", BadRequest),
        (b"GET /\x7f HTTP/1.1", BadRequest),
        (b"G\xc3T / HTTP/1.1", BadRequest),
        (b"X" * 33 + b" / HTTP/1.1", BadRequest),
        (b"PRI * HTTP/2.0", BadRequest),
        (b"GET /" + b"a" * 9000, TargetTooLong),
    ],
)
def test_f6_a_request_line_is_exactly_that(line: bytes, error: type[ClientError]) -> None:
    with pytest.raises(error) as raised:
        read(line=line)
    assert type(raised.value) is error


def test_n12_the_target_is_bounded_exactly() -> None:
    assert len(read(line=b"GET /" + b"a" * 9 + b" HTTP/1.1", max_target=10).target) == 10
    with pytest.raises(TargetTooLong):
        read(line=b"GET /" + b"a" * 10 + b" HTTP/1.1", max_target=10)


def test_h10_fields_are_bounded_in_bytes_and_in_number() -> None:
    fields = b"A: 1\r\n" * 9  # with Host and the empty line: 65 bytes, 10 fields
    assert len(read(fields, max_header_size=65, max_headers=10).headers) == 9
    with pytest.raises(HeadTooLarge, match="bytes"):
        read(fields, max_header_size=64)
    with pytest.raises(HeadTooLarge, match="fields"):
        read(fields, max_headers=9)


@pytest.mark.parametrize(
    "lines",
    [
        b"A : b\r\n",
        b"A\r\n",
        b": b\r\n",
        b"A: b\r\n c\r\n",
        b"A: b\rc\r\n",
        b"A: \0\r\n",
        b"A: \x0b\r\n",
        b"A: \x7f\r\n",
        b"A: b\nC: d\r\n",
        b"\xff: b\r\n",
        b"A(: b\r\n",
    ],
)
def test_f6_malformed_fields_are_refused(lines: bytes) -> None:
    with pytest.raises(BadRequest):
        read(lines)


def test_f6_a_malformed_target_is_told_from_a_malformed_head() -> None:
    with pytest.raises(BadTarget):
        read(line=b"GET a@b HTTP/1.1")


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\t\r\nTransfer-Encoding: chunked\r\n",  # which llhttp takes
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -0\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5 5\r\n",
        b"Content-Length: 5_0\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: 18446744073709551616\r\n",
    ],
)
def test_f1_f2_ambiguous_lengths_are_refused(lines: bytes) -> None:
    with pytest.raises(BadFraming):
        read(lines, line=b"POST / HTTP/1.1")


@pytest.mark.parametrize("coding", [b"identity", b"gzip, chunked", b"xchunked", b"chunked;q=1", b"gzip"])
def test_f3_codings_other_than_chunked_are_refused(coding: bytes) -> None:
    with pytest.raises(UnknownTransferCoding):
        read(b"Transfer-Encoding: " + coding + b"\r\n", line=b"POST / HTTP/1.1")


@pytest.mark.parametrize(
    "coding", [b"chunked, chunked", b"chunked,", b"chunked \t", b"chunked\x0b", b"chunk\xc3\xa9d", b""]
)
def test_f3_broken_codings_are_refused(coding: bytes) -> None:
    with pytest.raises(ClientError):
        read(b"Transfer-Encoding: " + coding + b"\r\n", line=b"POST / HTTP/1.1")


def test_f4_http_1_0_has_no_transfer_encoding() -> None:
    with pytest.raises(BadFraming, match=r"HTTP/1\.0"):
        read(b"Transfer-Encoding: chunked\r\n", line=b"POST / HTTP/1.0")


def test_b8_the_framing_is_read() -> None:
    chunked = read(b"transfer-encoding: Chunked\r\n", line=b"POST / HTTP/1.1")
    assert chunked.chunked and chunked.content_length is None
    counted = read(b"CONTENT-LENGTH:\t5 \r\n", line=b"GET / HTTP/1.1")
    assert counted.content_length == 5 and not counted.chunked
    assert read(b"Content-Length: 0\r\n").content_length == 0
    assert not chunked.headers and not counted.headers


def test_f5_exactly_one_host_and_none_only_from_http_1_0() -> None:
    for host in (b"", b"Host: a\r\nHost: a\r\n", b"Host: a\r\nhost: b\r\n"):
        with pytest.raises(BadHost):
            read(host=host)
    with pytest.raises(BadHost):
        read(host=b"Host: a\r\nHost: a\r\n", line=b"GET / HTTP/1.0")
    assert read(host=b"", line=b"GET / HTTP/1.0").host is None
    assert read(host=b"Host:\r\n").host == b""  # judged where hosts are


@pytest.mark.parametrize("name", [b"X_User", b"x_user", b"X_Forwarded_For", b"Content_Length"])
def test_f7_underscores_are_dropped_refused_or_kept(name: bytes) -> None:
    lines = name + b": 1\r\n"
    assert not read(lines).headers
    assert not read(lines, underscores="drop").headers
    with pytest.raises(BadRequest, match="underscore"):
        read(lines, underscores="reject")
    kept = read(lines, underscores="keep").headers
    assert kept == ([(name, b"1")] if name.lower() == b"x_user" else [])


@pytest.mark.parametrize(
    ("line", "lines", "keep_alive"),
    [
        (b"GET / HTTP/1.1", b"", True),
        (b"GET / HTTP/1.1", b"Connection: close\r\n", False),
        (b"GET / HTTP/1.1", b"Connection: x\r\nConnection: ,CLOSE ,\r\n", False),
        (b"GET / HTTP/1.1", b"Connection: keep-alive\r\n", True),
        (b"GET / HTTP/1.1", b"Connection: keep-alive, close\r\n", False),
        (b"GET / HTTP/1.0", b"", False),
        (b"GET / HTTP/1.0", b"Connection: Keep-Alive\r\n", True),
        (b"GET / HTTP/1.0", b"Connection: x\r\n", False),
        (b"GET / HTTP/1.1", b"Proxy-Connection: close\r\n", True),
    ],
)
def test_whether_the_connection_is_to_last(line: bytes, lines: bytes, keep_alive: bool) -> None:
    assert read(lines, line=line).keep_alive is keep_alive


def test_h1_hop_by_hop_fields_do_not_travel() -> None:
    names = [b"Connection", b"Proxy-Connection", b"Keep-Alive", b"Proxy-Authenticate", b"Proxy-Authorization"]
    names += [b"TE", b"Trailer", b"Upgrade", b"HTTP2-Settings"]
    assert read(b"".join(name + b": x\r\n" for name in names)).headers == []


def test_h2_every_field_named_in_any_connection_line_is_removed() -> None:
    lines = b"A: 1\r\nB: 2\r\na: 3\r\nAuthorization: x\r\nEmpty:\r\n"
    head = read(lines + b"Connection: a, CLOSE\r\nC: 4\r\nConnection:,, authorization,\tEMPTY , te\r\n")
    assert head.headers == [(b"B", b"2"), (b"C", b"4")]


def test_h2_only_options_remove_nothing() -> None:
    head = read(b"Close: 1\r\nConnection: close, keep-alive, te, upgrade, transfer-encoding\r\n")
    assert head.headers == [(b"Close", b"1")]


def test_h3_fields_taken_out_of_the_list_end_too_when_they_are_named() -> None:
    lines = b"X-Forwarded-For: 1\r\nForwarded: for=1\r\n"
    lines += b"X-Request-ID: r\r\ntraceparent: t\r\ntracestate: s\r\nVia: 1.1 v\r\n"
    head = read(lines)
    assert head.forwarding == [(b"X-Forwarded-For", b"1"), (b"Forwarded", b"for=1")]
    assert (head.request_id, head.traceparent, head.tracestate, head.via) == (b"r", b"t", b"s", b"1.1 v")
    head = read(lines + b"Connection: x-forwarded-for, x-request-id, traceparent, tracestate, via\r\n")
    assert head.forwarding == [(b"Forwarded", b"for=1")]
    assert (head.request_id, head.traceparent, head.tracestate, head.via) == (None, None, None, None)
    assert read(lines + b"Connection: x-forwarded-for, forwarded\r\n").forwarding is None
    assert head.host == b"a"


def test_h2_naming_host_or_a_length_changes_neither() -> None:
    head = read(b"Content-Length: 3\r\nConnection: host, content-length\r\n", line=b"POST / HTTP/1.1")
    assert (head.host, head.content_length) == (b"a", 3)


def test_h4_te_trailers_is_remembered() -> None:
    assert read(b"TE: gzip, Trailers\r\n").te_trailers
    assert read(b"TE: trailers\r\nTE: gzip\r\n").te_trailers
    assert not read(b"TE: gzip, trailers;q=0.5\r\n").te_trailers
    assert not read().te_trailers


def test_t3_announced_trailers_are_one_list() -> None:
    assert read(b"Trailer: X-A\r\nTrailer: X-B\r\n").trailer == b"X-A, X-B"


def test_h8_via_lines_are_one_list() -> None:
    assert read(b"Via: 1.1 a\r\nVia: 1.0 b\r\n").via == b"1.1 a, 1.0 b"


def test_one_of_two_traces_is_none_and_states_are_one_list() -> None:
    head = read(b"traceparent: 1\r\ntraceparent: 1\r\ntracestate: a=1\r\ntracestate: b=2\r\n")
    assert (head.traceparent, head.tracestate) == (b"", b"a=1,b=2")


def test_of_two_request_ids_the_first_counts() -> None:
    assert read(b"X-Request-ID: a\r\nX-Request-ID: b\r\n").request_id == b"a"


@pytest.mark.parametrize(
    ("line", "lines", "upgrade"),
    [
        (b"GET / HTTP/1.1", b"Upgrade: websocket\r\n", None),
        (b"GET / HTTP/1.1", b"Connection: upgrade\r\n", None),
        (b"GET / HTTP/1.1", b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n", b"WebSocket"),
        (b"GET / HTTP/1.1", b"Connection: x\r\nUpgrade: a\r\nConnection: UPGRADE\r\nUpgrade: b\r\n", b"a, b"),
        (b"GET / HTTP/1.0", b"Connection: upgrade\r\nUpgrade: websocket\r\n", None),
        (b"foo / HTTP/1.1", b"Connection: upgrade\r\nUpgrade: x\r\n", b"x"),
    ],
)
def test_u1_an_upgrade_is_one_only_if_both_fields_say_so(line: bytes, lines: bytes, upgrade: bytes | None) -> None:
    assert read(lines, line=line).upgrade == upgrade


def test_e1_expect_is_remembered_and_ignored_from_http_1_0() -> None:
    lines = b"Expect: 100-Continue\r\nContent-Length: 1\r\n"
    assert read(lines, line=b"POST / HTTP/1.1").expects_continue
    assert not read(lines, line=b"POST / HTTP/1.0").expects_continue


@pytest.mark.parametrize("value", [b"200-ok", b"100-continue, x", b"", b"100-continue;a"])
def test_e3_other_expectations_are_refused(value: bytes) -> None:
    with pytest.raises(UnknownExpectation):
        read(b"Expect: " + value + b"\r\n")


def test_what_was_read_before_a_refusal_stays_for_the_log() -> None:
    head = RequestHead()
    with pytest.raises(HeadTooLarge):
        head.read(b"PUT /x HTTP/1.0\r\nA: 1\r\n\r\n", HeadLimits(max_header_size=1))
    assert (head.method, head.target, head.minor) == (b"PUT", b"/x", 0)


NOISE = st.sampled_from(
    [
        b"GET",
        b"POST",
        b"CONNECT",
        b"foo",
        b" ",
        b"/",
        b"*",
        b"http://a/",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"\r\n",
        b"\r",
        b"\n",
        b":",
        b"\0",
        b"\xff",
        b"GET / HTTP/1.1\r\n",
        b"foo / HTTP/1.0\r\n",
        b"Host: a\r\n",
        b"Host: b c\r\n",
        b"Content-Length: ",
        b"5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: x\r\n",
        b"TE: ,\r\n",
        b"Connection: upgrade\r\n",
        b"Upgrade: x\r\n",
        b"Connection: host,via\r\n",
        b"Expect: \r\n",
        b"a_b: c\r\n",
        b" c",
    ]
)


@given(st.one_of(st.binary(), st.lists(NOISE, max_size=15).map(b"".join)))
def test_noise_is_a_head_or_a_client_error(data: bytes) -> None:
    head = RequestHead()
    try:
        head.read(data + b"\r\n\r\n", LIMITS)
    except ClientError:
        pass


@given(st.lists(NOISE, max_size=8).map(b"".join))
def test_f1_what_is_accepted_h11_reads_with_the_same_framing(lines: bytes) -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"
    if b"\r\n\r\n" in data[:-4] or not data.endswith(b"\r\n\r\n"):
        return
    head = RequestHead()
    try:
        head.read(data, LIMITS)
    except ClientError:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    found = dict(event.headers)
    assert head.chunked is (b"transfer-encoding" in found)
    length = found.get(b"content-length")
    assert head.content_length == (None if length is None else int(length))
