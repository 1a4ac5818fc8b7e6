"""Ranges of a file, as RFC 9110 section 14 has them."""

from __future__ import annotations

import pytest

from gwproxy.http.ranges import MAX_RANGES, parse_ranges


@pytest.mark.parametrize(
    ("value", "ranges"),
    [
        (b"bytes=0-4", [(0, 4)]),
        (b"bytes=0-0", [(0, 0)]),
        (b"bytes=25-25", [(25, 25)]),
        (b"bytes=5-", [(5, 25)]),
        (b"bytes=0-999999999999999999", [(0, 25)]),
        (b"bytes=-5", [(21, 25)]),
        (b"bytes=-26", [(0, 25)]),
        (b"bytes=-999", [(0, 25)]),
        (b"Bytes = 1-2 ,\t4-5,,", [(1, 2), (4, 5)]),
        (b"bytes=20-,0-1", [(20, 25), (0, 1)]),
        (b"bytes=0-1,99-,-1", [(0, 1), (25, 25)]),
    ],
)
def test_ranges_that_the_file_has(value: bytes, ranges: list[tuple[int, int]]) -> None:
    assert parse_ranges(value, 26) == ranges


@pytest.mark.parametrize("value", [b"bytes=26-", b"bytes=26-99", b"bytes=-0", b"bytes=99-,-0", b"bytes=26-26"])
def test_ranges_that_it_does_not_have(value: bytes) -> None:
    assert parse_ranges(value, 26) == []


@pytest.mark.parametrize("value", [b"bytes=0-", b"bytes=0-0", b"bytes=-1"])
def test_an_empty_file_has_none(value: bytes) -> None:
    assert parse_ranges(value, 0) == []


@pytest.mark.parametrize(
    "value",
    [
        *[b"", b"bytes", b"bytes=", b"bytes=,", b"lines=0-4", b"0-4", b"bytes=4-0", b"bytes=99-98", b"bytes=0-1,4-3"],
        *[
            b"bytes=x",
            b"bytes=1",
            b"bytes=-",
            b"bytes=--1",
            b"bytes=+1-2",
            b"bytes=1_0-",
            b"bytes=1 -2",
            b"bytes=0-1-2",
        ],
        *[b"bytes=0x1-2", b"bytes=\xb2-", b"bytes=0-" + b"9" * 19, b"bytes=0-1;2-3", b"bytes=0-1\n"],
    ],
)
def test_what_is_no_range_is_ignored(value: bytes) -> None:
    assert parse_ranges(value, 26) is None


def test_more_than_the_whole_is_ignored() -> None:
    assert parse_ranges(b"bytes=0-,0-0", 26) is None
    assert parse_ranges(b"bytes=0-12,13-", 26) == [(0, 12), (13, 25)]


def test_too_many_are_ignored() -> None:
    many = [b"%d-%d" % (2 * n, 2 * n) for n in range(MAX_RANGES + 1)]
    assert len(parse_ranges(b"bytes=" + b",".join(many[1:]), 1000) or []) == MAX_RANGES
    assert parse_ranges(b"bytes=" + b",".join(many), 1000) is None
