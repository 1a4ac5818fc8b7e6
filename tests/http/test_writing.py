"""Heads and chunks as bytes."""

from __future__ import annotations

import pytest

from gwproxy.http.writing import CONTINUE, LAST_CHUNK, chunk, fields, last_chunk, status_line


@pytest.mark.parametrize(
    ("status", "reason", "line"),
    [
        (200, b"", b"HTTP/1.1 200 OK\r\n"),
        (404, b"", b"HTTP/1.1 404 Not Found\r\n"),
        (200, b"Fine", b"HTTP/1.1 200 Fine\r\n"),
        (299, b"", b"HTTP/1.1 299 \r\n"),
        (299, b"Odd one", b"HTTP/1.1 299 Odd one\r\n"),
    ],
)
def test_m8_a_status_line_has_the_reason_given_or_the_standard_one_or_none(
    status: int, reason: bytes, line: bytes
) -> None:
    assert status_line(status, reason) == line


def test_fields_are_lines_in_their_order() -> None:
    assert fields([]) == b""
    assert fields([(b"A", b"1"), (b"a", b""), (b"B", b"\xff")]) == b"A: 1\r\na: \r\nB: \xff\r\n"


@pytest.mark.parametrize(("size", "line"), [(1, b"1"), (15, b"f"), (16, b"10"), (65536, b"10000")])
def test_a_chunk_says_its_size_in_hexadecimal_digits(size: int, line: bytes) -> None:
    assert b"".join(chunk(b"x" * size)) == line + b"\r\n" + b"x" * size + b"\r\n"


def test_the_last_chunk_carries_the_trailers() -> None:
    assert last_chunk([]) == LAST_CHUNK == b"0\r\n\r\n"
    assert last_chunk([(b"X-Sum", b"1")]) == b"0\r\nX-Sum: 1\r\n\r\n"


def test_e1_continue_is_a_whole_head() -> None:
    assert CONTINUE == b"HTTP/1.1 100 Continue\r\n\r\n"
