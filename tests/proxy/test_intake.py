"""What an exchange answers filters about its body: who is asked of bounds, how often. In the gateway: tests/flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gwproxy.filters.api import Reply
from tests.proxy.test_exchange import Stage

REPLY = Reply(413)


@pytest.fixture
def stage() -> Stage:
    return Stage(raw=b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_bounds_are_asked_the_least_first_and_once(stage: Stage) -> None:
    exchange, asked = stage.exchange, []

    def bound(size: int) -> Callable[[Any], None]:
        return lambda asking: asked.append((size, asking is exchange))

    for size in (30, 10, 20):
        assert exchange.limit_body(size, bound(size)) is None
    exchange.bytes_in = 10
    assert exchange.judge_body() is None
    assert asked == []
    exchange.bytes_in = 25
    assert exchange.judge_body() is None
    assert asked == [(10, True), (20, True)]
    assert exchange.judge_body() is None
    exchange.bytes_in = 31
    assert exchange.judge_body() is None
    assert [size for size, _ in asked] == [10, 20, 30]
    stage.exchange.client_lost()


def test_who_refuses_refuses_again(stage: Stage) -> None:
    """So that nobody who swallows the answer lifts the bound."""
    exchange = stage.exchange
    exchange.limit_body(1, lambda asking: REPLY)
    exchange.bytes_in = 2
    assert [exchange.judge_body(), exchange.judge_body()] == [REPLY, REPLY]
    stage.exchange.client_lost()


def test_a_bound_that_is_passed_already_is_judged_at_once(stage: Stage) -> None:
    exchange = stage.exchange
    exchange.bytes_in = 2
    assert exchange.limit_body(1, lambda asking: REPLY) is REPLY
    assert exchange.limit_body(2, lambda asking: REPLY) is None
    stage.exchange.client_lost()


def test_no_body_is_an_empty_one() -> None:
    stage = Stage()
    got: list[bytes] = []
    stage.exchange.read_body(0).addCallback(got.append)
    assert got == [b""]
    stage.exchange.client_lost()
