"""Where a head ends, however it is cut into pieces, and what is refused before it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.errors import BadRequest, BadResponse, ClientError, HeadTooLarge, TargetTooLong
from gwproxy.http.framing import HeadReader, HeadSplitter, ResponseHeadReader

MAX_HEAD = 1000
MAX_TARGET = 100

REQUEST = b"POST /a?b=c HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\nX-Empty:\r\nUpgrade: x\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: upgrade\r\nUpgrade: x\r\nX-Empty:\r\n\r\n"

# Bytes of which heads are made, whole and broken.
NOISE = st.sampled_from(
    [
        b"GET",
        b" ",
        b"/",
        b"HTTP/1.1",
        b"HTTP/1.",
        b"200",
        b"101",
        b"\r\n",
        b"\r",
        b"\n",
        b":",
        b"\0",
        b"\xff",
        b"PRI",
        b"Host: a\r\n",
        b"Content-Length: 1",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: upgrade\r\n",
        b"Upgrade: x\r\n",
        b"GET / HTTP/1.1\r\n",
        b"HTTP/1.1 101 \r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"\r\nx",
    ]
)
CUTS = st.lists(st.integers(1, 40), max_size=30)


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        if size < len(data):
            pieces.append(data[:size])
            data = data[size:]
    return [*pieces, data]


Feed = Callable[[bytes], tuple[bytes, bytes] | None]


def read(feed: Feed, pieces: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """What the first piece that completes the head gives, with the pieces behind it."""
    for place, piece in enumerate(pieces):
        found = feed(piece)
        if found is not None:
            head, rest = found
            return head, rest + b"".join(pieces[place + 1 :])
    return None


def request_reader() -> Feed:
    return HeadReader(MAX_HEAD, MAX_TARGET).feed


def response_reader() -> Feed:
    return ResponseHeadReader(MAX_HEAD).feed


@given(CUTS, st.sampled_from([b"", b"abc", b"abcGET / HTTP/1.1\r\n\r\n", b"\r\n\r\n"]))
def test_f10_any_cut_of_a_request_gives_the_same_head_and_rest(sizes: list[int], rest: bytes) -> None:
    assert read(request_reader(), cut(REQUEST + rest, sizes)) == (REQUEST, rest)


@given(CUTS, st.sampled_from([b"", b"abc", b"HTTP/1.1 200 OK\r\n\r\n"]))
def test_any_cut_of_a_response_gives_the_same_head_and_rest(sizes: list[int], rest: bytes) -> None:
    assert read(response_reader(), cut(RESPONSE + rest, sizes)) == (RESPONSE, rest)


@pytest.mark.parametrize("method", [b"GET", b"foo", b"PROPFIND", b"M-SEARCH", b"!#$%&'*+-.^_`|~", b"X" * 32])
def test_m3_any_method_may_come_byte_by_byte(method: bytes) -> None:
    head = method + b" /x HTTP/1.0\r\nA: b\r\n\r\n"
    assert read(request_reader(), cut(head, [1] * len(head))) == (head, b"")


@given(st.lists(NOISE, max_size=20).map(b"".join), CUTS)
def test_noise_is_a_head_or_a_client_error(data: bytes, sizes: list[int]) -> None:
    try:
        read(request_reader(), cut(data, sizes))
    except ClientError:
        pass


@given(st.lists(NOISE, max_size=20).map(b"".join), CUTS)
def test_b3_noise_from_a_server_is_a_head_or_a_bad_response(data: bytes, sizes: list[int]) -> None:
    try:
        read(response_reader(), cut(data, sizes))
    except BadResponse:
        pass


@pytest.mark.parametrize(
    "begun",
    [
        b" ",
        b"\x16\x03\x01",
        b"G\0",
        b"GET\t",
        b"GET\n",
        b"X" * 33,
        b"GET \n",
        b"GET \r\n",
        b"GET /\n",
        b"GET / HTTP/1.1\n",
        b"GET / HTTX",
        b"GET / HTTP/3.0",
        b"GET / HTTP/1.1\r\nA : b",
        b"GET / HTTP/1.1\r\nA\n",
        b"GET / HTTP/1.1\r\nA: b\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c",
        b"GET / HTTP/1.1\r\nA: b\r\n\n",
        b"GET / HTTP/1.1\r\nA: b\rc",
        b"GET / HTTP/1.1\r\nA: \0",
        b"GET / HTTP/1.1\r\nContent-Length: +",
        b"foo / HTTP/1.1\r\nA: b\n",
    ],
)
def test_f6_a2_what_cannot_become_a_head_is_refused_before_it_ends(begun: bytes) -> None:
    with pytest.raises(BadRequest):
        read(request_reader(), [begun])
    with pytest.raises(BadRequest):
        read(request_reader(), cut(begun, [1] * len(begun)))


@pytest.mark.parametrize(
    "begun", [b"G", b"GET", b"GET ", b"GET /", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\nA: b\r\n\r"]
)
def test_what_may_become_a_head_is_waited_for(begun: bytes) -> None:
    assert read(request_reader(), [begun]) is None


@pytest.mark.parametrize("method", [b"GET", b"X" * 32])
def test_a6_a_request_line_that_does_not_end_is_refused_at_its_bound(method: bytes) -> None:
    feed = request_reader()
    begun = method + b" /"
    assert feed(begun + b"a" * (MAX_TARGET + 43 - len(begun))) is None
    with pytest.raises(TargetTooLong):
        feed(b"a")


def test_a6_a_long_line_is_refused_when_its_end_comes_in_the_same_piece() -> None:
    with pytest.raises(TargetTooLong):
        request_reader()(b"GET /" + b"a" * (MAX_TARGET + 43) + b" HTTP/1.1\r\nHost:")


def test_h10_fields_that_do_not_end_are_refused_at_their_bound() -> None:
    feed = request_reader()
    assert feed(b"GET / HTTP/1.1\r\n") is None
    assert feed(b"A: " + b"b" * (MAX_HEAD - 4)) is None
    with pytest.raises(HeadTooLarge):
        feed(b"b")


@pytest.mark.parametrize(
    "begun",
    [
        b" ",
        b"GET / HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 200 OK\r\nA : b",
        b"HTTP/1.1 200 OK\r\nA: b\nC: d",
        b"SSH-2.0-OpenSSH",
        b"HTTP/1.1 abc",
        b"HTTP/1.1 200 OK\r\nA: \0",
    ],
)
def test_b3_what_cannot_become_a_response_head_is_found_out_early(begun: bytes) -> None:
    with pytest.raises(BadResponse):
        read(response_reader(), [begun])


def test_h10_a_response_head_that_does_not_end_is_refused_at_its_bound() -> None:
    feed = response_reader()
    begun = b"HTTP/1.1 200 OK\r\nA: "
    assert feed(begun + b"b" * (MAX_HEAD - len(begun))) is None
    with pytest.raises(BadResponse, match="does not end"):
        feed(b"b")


@given(CUTS, st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]), st.sampled_from([b"", b"GE", REQUEST]))
def test_f10_a_connection_is_split_into_heads_however_it_is_cut(sizes: list[int], empty: bytes, rest: bytes) -> None:
    splitter = HeadSplitter(MAX_HEAD, MAX_TARGET)
    assert not splitter.begun
    assert read(splitter.split, cut(empty + REQUEST + rest, sizes)) == (REQUEST, rest)
    assert not splitter.begun


def test_k8_a_head_has_begun_with_its_first_byte_and_not_with_empty_lines() -> None:
    splitter = HeadSplitter(MAX_HEAD, MAX_TARGET)
    assert splitter.split(b"\r\n\r\n") is None
    assert not splitter.begun
    assert splitter.split(b"\r\nG") is None
    assert splitter.begun
    assert splitter.split(b"ET / HTTP/1.1\r\n\r\nnext") == (b"GET / HTTP/1.1\r\n\r\n", b"next")
    assert not splitter.begun


def test_a6_each_head_has_its_own_bounds() -> None:
    splitter = HeadSplitter(MAX_HEAD, MAX_TARGET)
    for _ in range(3):
        assert splitter.split(REQUEST[:20]) is None
        assert splitter.split(REQUEST[20:]) == (REQUEST, b"")
    assert splitter.split(b"GET /" + b"a" * MAX_TARGET) is None
    with pytest.raises(TargetTooLong):
        splitter.split(b"a" * 50)
