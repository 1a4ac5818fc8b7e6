"""Response heads: what is no response, and what of one travels on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.errors import BadResponse
from gwproxy.http.response import ResponseHead, ResponseMemory


def read(lines: bytes = b"", line: bytes = b"HTTP/1.1 200 OK", max_headers: int = 100) -> ResponseHead:
    """The head of a response with these field lines."""
    head = ResponseHead()
    head.read(line + b"\r\n" + lines + b"\r\n", max_headers)
    return head


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        (b"HTTP/1.1 200 OK", 200, b"OK"),
        (b"HTTP/1.0 404 Not Found", 404, b"Not Found"),
        (b"HTTP/1.1 299", 299, b""),
        (b"HTTP/1.1 500 ", 500, b""),
        (b"HTTP/1.1 200 caf\xe9 \t", 200, b"caf\xe9 \t"),
        (b"HTTP/1.1 200 \x01\x1b[0m", 200, b""),
        (b"HTTP/1.1 103 Early Hints", 103, b"Early Hints"),
    ],
)
def test_m8_a_missing_or_odd_reason_is_tolerated(line: bytes, status: int, reason: bytes) -> None:
    head = read(line=line)
    assert (head.status, head.reason) == (status, reason)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 abc OK",
        b"HTTP/1.1 99 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 600 OK",
        b"HTTP/1.1 999 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/1.2 200 OK",
        b"http/1.1 200 OK",
        b"ICY 200 OK",
        b" HTTP/1.1 200 OK",
        b"HTTP/1.1 200 O\rK",
        b"GET / HTTP/1.1",
    ],
)
def test_m8_b3_anything_else_is_no_status_line(line: bytes) -> None:
    with pytest.raises(BadResponse):
        read(line=line)


@pytest.mark.parametrize(
    "lines",
    [
        b"A : b\r\n",
        b"A: b\r\n c\r\n",
        b"A: b\nC: d\r\n",
        b"A: b\rSet-Cookie: c\r\n",
        b"A: \0\r\n",
        b"A\r\n",
        b": b\r\n",
    ],
)
def test_b3_malformed_fields_are_refused(lines: bytes) -> None:
    with pytest.raises(BadResponse):
        read(lines)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 18446744073709551616\r\n",
    ],
)
def test_f9_ambiguous_lengths_are_refused(lines: bytes) -> None:
    with pytest.raises(BadResponse):
        read(lines)


def test_f9_http_1_0_has_no_transfer_encoding() -> None:
    with pytest.raises(BadResponse):
        read(b"Transfer-Encoding: chunked\r\n", line=b"HTTP/1.0 200 OK")


def test_h10_fields_are_bounded_in_number() -> None:
    lines = b"A: 1\r\nDate: x\r\nVia: y\r\n"
    assert read(lines, max_headers=3).headers == [(b"A", b"1"), (b"Date", b"x")]
    with pytest.raises(BadResponse, match="too many"):
        read(lines, max_headers=2)


def test_h5_h11_end_to_end_fields_stay_as_received_and_in_order() -> None:
    head = read(b"Set-Cookie: a\r\nserver: x\r\nSET-cookie: b,c\r\nX: \xff\r\nEmpty:\r\n")
    assert head.headers == [
        (b"Set-Cookie", b"a"),
        (b"server", b"x"),
        (b"SET-cookie", b"b,c"),
        (b"X", b"\xff"),
        (b"Empty", b""),
    ]


def test_h1_h9_hop_by_hop_and_internal_fields_do_not_travel() -> None:
    names = [b"Connection", b"Proxy-Connection", b"Keep-Alive", b"Proxy-Authenticate", b"TE", b"Trailer", b"Upgrade"]
    names += [b"X-Accel-Redirect", b"X-Sendfile", b"X-Request-ID"]
    assert read(b"".join(name + b": x\r\n" for name in names)).headers == []


def test_h2_every_field_named_in_any_connection_line_is_removed() -> None:
    head = read(b"A: 1\r\nB: 2\r\nDate: x\r\nVia: 1.1 v\r\nConnection: a\r\nConnection: DATE, via,close\r\n")
    assert head.headers == [(b"B", b"2")]
    assert (head.has_date, head.via, head.keep_alive) == (False, None, False)


def test_h2_other_named_fields_leave_date_and_via() -> None:
    head = read(b"A: 1\r\nDate: x\r\nVia: 1.1 v\r\nConnection: a, upgrade\r\n")
    assert (head.headers, head.has_date, head.via) == ([(b"Date", b"x")], True, b"1.1 v")


def test_h7_one_date_at_most() -> None:
    head = read(b"Date: x\r\nA: 1\r\ndate: y\r\n")
    assert head.has_date and head.headers == [(b"A", b"1"), (b"Date", b"x")]
    assert not read(b"A: 1\r\n").has_date


def test_lists_over_several_lines_are_one() -> None:
    head = read(b"Via: 1.1 a\r\nTrailer: X\r\nVia: 1.0 b\r\nTrailer: Y\r\n")
    assert (head.via, head.trailer) == (b"1.1 a, 1.0 b", b"X, Y")


def test_e5_an_upgrade_is_read_whatever_llhttp_makes_of_it() -> None:
    head = read(b"Connection: upgrade\r\nUpgrade: x\r\n", line=b"HTTP/1.1 101 Switching")
    assert (head.status, head.upgrade) == (101, b"x")


@pytest.mark.parametrize(
    ("line", "lines", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK", b"", True),
        (b"HTTP/1.1 200 OK", b"Connection: keep-alive\r\n", True),
        (b"HTTP/1.1 200 OK", b"Connection: Close\r\n", False),
        (b"HTTP/1.1 200 OK", b"Connection: foo, close\r\n", False),
        (b"HTTP/1.0 200 OK", b"", False),
        (b"HTTP/1.0 200 OK", b"Connection: keep-alive\r\n", True),
        (b"HTTP/1.0 200 OK", b"Connection: keep-alive, close\r\n", False),
    ],
)
def test_k1_whether_the_connection_can_be_used_again(line: bytes, lines: bytes, keep_alive: bool) -> None:
    assert read(lines, line=line).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("status", "lines", "method", "length"),
    [
        (b"200", b"Content-Length: 5\r\n", b"GET", 5),
        (b"200", b"Content-Length: 5\r\n", b"HEAD", 0),
        (b"200", b"", b"GET", None),
        (b"200", b"Transfer-Encoding: chunked\r\n", b"GET", None),
        (b"200", b"transfer-encoding: CHUNKED \t\r\n", b"HEAD", 0),
        (b"204", b"Content-Length: 5\r\n", b"GET", 0),
        (b"304", b"Transfer-Encoding: chunked\r\n", b"GET", 0),
        (b"103", b"Content-Length: 5\r\n", b"GET", 0),
        (
            b"205",
            b"Content-Length: 5\r\n",
            b"GET",
            5,
        ),  # what is sent is read; that none is passed on is not decided here
    ],
)
def test_m1_m2_how_long_a_body_is(status: bytes, lines: bytes, method: bytes, length: int | None) -> None:
    assert read(lines, line=b"HTTP/1.1 %b X" % status).body_length(method) == length


def test_m1_m2_the_length_that_a_response_without_body_declares_is_known() -> None:
    head = read(b"Content-Length: 5\r\n", line=b"HTTP/1.1 304 X")
    assert (head.content_length, head.body_length(b"GET")) == (5, 0)


NOISE = st.sampled_from(
    [
        b"HTTP/1.1",
        b"HTTP/1.0",
        b" ",
        b"200",
        b"101",
        b"\r\n",
        b"\r",
        b"\n",
        b":",
        b"\0",
        b"\xff",
        b"OK",
        b" c",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 x\r\n",
        b"HTTP/1.0 204\r\n",
        b"Content-Length: ",
        b"5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: upgrade\r\n",
        b"Upgrade: x\r\n",
        b"Connection: date,,\r\n",
    ]
)


@given(st.one_of(st.binary(), st.lists(NOISE, max_size=15).map(b"".join)))
def test_b3_noise_is_a_head_or_a_bad_response(data: bytes) -> None:
    head = ResponseHead()
    try:
        head.read(data + b"\r\n\r\n", 100)
    except BadResponse:
        pass


@given(
    st.lists(
        st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: 1\r\n\r\n",
                b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nA: 1\r\n\r\n",
                b"HTTP/1.1 304 x\r\nDate: now\r\nConnection: close\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\nVia: v\r\n\r\n",
                b"HTTP/1.1 999 OK\r\n\r\n",
                b"\r\n\r\n",
            ]
        )
    )
)
def test_a_connection_reads_each_head_as_if_it_were_the_first(heads: list[bytes]) -> None:
    memory = ResponseMemory()
    for data in [head for head in heads for _ in range(2)]:
        alone = ResponseHead()
        try:
            alone.read(data, 100)
        except BadResponse:
            with pytest.raises(BadResponse):
                memory.read(data, 100)
            continue
        found = memory.read(data, 100)
        assert {name: getattr(found, name) for name in ResponseHead.__slots__} == {
            name: getattr(alone, name) for name in ResponseHead.__slots__
        }
        found.headers.append((b"Mine", b"only"))


def test_a_repeated_head_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = ResponseMemory()
    data = b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n"
    memory.read(data, 100)
    monkeypatch.setattr(ResponseHead, "on_header", None)
    assert memory.read(data, 100).headers == [(b"A", b"1")]
