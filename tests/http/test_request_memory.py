"""Heads that repeat on a connection: not parsed again, and never read otherwise than the first time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.errors import BadFraming, ClientError, HeadTooLarge, MethodNotAllowed, TargetTooLong
from gwproxy.http.request import MAX_REMEMBERED, HeadLimits, HeadMemory, RequestHead
from gwproxy.http.target import parse_target

LIMITS = HeadLimits(max_header_size=8192, max_target=100)

FIELDS = (
    b"Host: a\r\nCookie: b=c\r\nX-Forwarded-For: 1\r\nX-Request-ID: r\r\ntraceparent: t\r\ntracestate: s\r\n"
    b"Via: 1.1 v\r\nTE: trailers\r\nTrailer: X-Sum\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n"
    b"Connection: upgrade, close, b\r\nUpgrade: x\r\nB: 1\r\nAccept: */*\r\n"
)


def read(memory: HeadMemory | None, fields: bytes = FIELDS, line: bytes = b"POST /a HTTP/1.1") -> RequestHead:
    head = RequestHead()
    head.read(line + b"\r\n" + fields + b"\r\n", LIMITS, memory)
    return head


def everything(head: RequestHead) -> dict[str, Any]:
    return {name: getattr(head, name) for name in RequestHead.__slots__}


FIELD = st.sampled_from(
    [
        b"Host: a\r\n",
        b"Host: b\r\n",
        b"A: 1\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive, a\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"X-Real-IP: 1\r\n",
        b"Upgrade: x\r\n",
        b"Connection: upgrade\r\n",
        b"a_b: c\r\n",
        b"Via: v\r\n",
        b"TE: trailers\r\n",
        b"bad\r\n",
    ]
)
LINE = st.sampled_from([b"GET / HTTP/1.1", b"GET /b HTTP/1.0", b"foo / HTTP/1.1", b"TRACE / HTTP/1.1", b"GET /"])


@given(st.lists(st.tuples(LINE, st.lists(FIELD, max_size=4).map(b"".join)), max_size=4))
def test_a_connection_reads_each_head_as_if_it_were_the_first(heads: list[tuple[bytes, bytes]]) -> None:
    memory = HeadMemory()
    for line, fields in [pair for pair in heads for _ in range(2)]:
        try:
            alone = everything(read(None, fields, line))
        except ClientError as error:
            with pytest.raises(type(error)):
                read(memory, fields, line)
        else:
            assert everything(read(memory, fields, line)) == alone


def test_a_repeated_head_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = HeadMemory()
    first = everything(read(memory))
    monkeypatch.setattr(RequestHead, "on_header", None)
    again = read(memory, line=b"PUT /b?c HTTP/1.1")
    assert (again.method, again.target) == (b"PUT", b"/b?c")
    assert everything(again) == first | {"method": b"PUT", "target": b"/b?c"}


def test_what_an_exchange_changes_of_a_head_is_its_own() -> None:
    memory = HeadMemory()
    fields = b"Host: a\r\nA: 1\r\n"
    for _ in range(3):
        head = read(memory, fields)
        assert (head.headers, head.keep_alive) == ([(b"A", b"1")], True)
        head.headers.append((b"B", b"2"))
        head.keep_alive = False


def test_k7_another_version_is_another_head() -> None:
    memory = HeadMemory()
    fields = b"Host: a\r\n"
    assert read(memory, fields).keep_alive
    assert not read(memory, fields, b"GET / HTTP/1.0").keep_alive
    assert read(memory, fields).keep_alive


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"TRACE / HTTP/1.1", MethodNotAllowed),
        (b"GET /" + b"a" * 100 + b" HTTP/1.1", TargetTooLong),
    ],
)
def test_f12_n12_the_request_line_is_judged_every_time(line: bytes, error: type[ClientError]) -> None:
    memory = HeadMemory()
    read(memory)
    with pytest.raises(error):
        read(memory, line=line)


def test_f4_f1_nothing_refused_is_remembered() -> None:
    memory = HeadMemory()
    fields = b"Host: a\r\nTransfer-Encoding: chunked\r\n"
    assert read(memory, fields).chunked
    for _ in range(2):
        with pytest.raises(BadFraming):
            read(memory, fields, b"POST / HTTP/1.0")
    assert read(memory, fields).chunked


def test_c5_large_heads_are_not_kept() -> None:
    memory = HeadMemory()
    small, large = (b"Host: a\r\nA: " + b"b" * (MAX_REMEMBERED - 16 + more) + b"\r\n" for more in (0, 1))
    assert len(small) + 2 == MAX_REMEMBERED
    read(memory, large)
    assert not memory.recall(RequestHead(), large + b"\r\n")
    read(memory, small)
    assert memory.recall(RequestHead(), small + b"\r\n")
    with pytest.raises(HeadTooLarge):
        read(memory, b"Host: a\r\nA: " + b"b" * 9000 + b"\r\n")


PIECES = st.sampled_from([b"/", b"a", b"?", b"#", b"*", b"http:", b"//", b"@", b"[", b"]", b":", b"\xff", b"\\", b"."])


@given(st.sampled_from([b"GET", b"OPTIONS", b"foo"]), st.lists(PIECES, min_size=1, max_size=5).map(b"".join))
def test_n1_a_target_that_only_the_parser_would_refuse_is_refused_behind_it_too(method: bytes, target: bytes) -> None:
    """Of a repeated head the target never gets to llhttp."""
    try:
        read(None, line=method + b" " + target + b" HTTP/1.1")
    except ClientError:
        with pytest.raises(ClientError):
            parse_target(method, target)
