"""The fields that tell a client of its limit."""

from __future__ import annotations

import pytest

from gwproxy.filters.api import Header
from gwproxy.filters.quota_fields import QuotaFields, put_fields

A = QuotaFields("a", 10, 2)
B = QuotaFields("b", 100, 60)


def put(headers: list[Header], *limits: tuple[QuotaFields, int, int]) -> list[Header]:
    for quota, remaining, reset in limits:
        put_fields(headers, quota.of(remaining, reset))
    return headers


def test_one_limit() -> None:
    assert put([(b"Date", b"x")], (A, 9, 1)) == [
        (b"Date", b"x"),
        (b"RateLimit", b'"a";r=9;t=1'),
        (b"RateLimit-Policy", b'"a";q=10;w=2'),
        (b"X-RateLimit-Limit", b"10"),
        (b"X-RateLimit-Remaining", b"9"),
        (b"X-RateLimit-Reset", b"1"),
    ]


def test_the_upstreams_are_replaced() -> None:
    theirs = [
        (b"ratelimit", b"x"),
        (b"RATELIMIT-POLICY", b"x"),
        (bytes(bytearray(b"X-RateLimit-Limit")), b"1"),
        (bytes(bytearray(b"X-RateLimit-Remaining")), b"0"),
        (b"x-ratelimit-reset", b"1"),
        (b"X-RateLimit-Other", b"1"),
    ]
    assert put(theirs, (A, 9, 1)) == [(b"X-RateLimit-Other", b"1"), *A.of(9, 1)]


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_limits_the_older_fields_tell_of_the_nearer(order: int) -> None:
    limits = [(A, 3, 1), (B, 50, 30)][::order]
    found = put([(b"RateLimit", b"theirs")], *limits)
    assert sorted(value for name, value in found if name == b"RateLimit") == [b'"a";r=3;t=1', b'"b";r=50;t=30']
    assert sorted(value for name, value in found if name == b"RateLimit-Policy") == [b'"a";q=10;w=2', b'"b";q=100;w=60']
    old = {name: value for name, value in found if name.startswith(b"X-")}
    assert old == {b"X-RateLimit-Limit": b"10", b"X-RateLimit-Remaining": b"3", b"X-RateLimit-Reset": b"1"}
    assert len([name for name, _ in found if name.startswith(b"X-")]) == 3
