"""The filter `body_limit`: declared and chunked bodies, shadow mode, what it counts."""

from __future__ import annotations

from typing import Any

import pytest

from gwproxy.config.mistakes import BadValue
from gwproxy.filters import body_limit
from gwproxy.filters.api import Traits
from gwproxy.testing import FakeExchange, Played, Surroundings, build_filter, run_filter

EVENT = {"event": "body_refused", "filter": "test", "reason": "body_limit", "client": "192.0.2.1"}


def played(around: Surroundings, body: bytes, *, chunked: bool = False, **options: str) -> Played:
    built = build_filter(body_limit, {"max": "10", **options}, around=around)
    return run_filter(built, FakeExchange(b"POST", body=body, chunked=chunked))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 10])
def test_what_is_small_enough_passes(size: int, chunked: bool) -> None:
    around = Surroundings()
    assert played(around, b"x" * size, chunked=chunked).status == 200
    assert around.decisions() == {("allow", "enforce"): 1}
    assert around.events == []


def test_a_declared_length_is_judged_before_anything_is_sent() -> None:
    around = Surroundings()
    result = played(around, b"x" * 11)
    assert result.reply is not None
    assert (result.status, result.reply.detail, result.sent) == (413, "body_limit", [])
    assert around.decisions() == {("deny", "enforce"): 1}
    assert around.events == [{**EVENT, "mode": "enforce"}]


def test_a_chunked_body_is_counted_as_it_comes() -> None:
    around = Surroundings()
    result = played(around, b"x" * 11, chunked=True)
    assert result.reply is not None
    assert (result.status, result.reply.detail, len(result.sent)) == (413, "body_limit", 1)
    assert result.filter_name == "test"
    assert around.decisions() == {("deny", "enforce"): 1}
    assert around.events == [{**EVENT, "mode": "enforce"}]


@pytest.mark.parametrize("chunked", [False, True])
def test_in_shadow_mode_it_passes_and_is_told(chunked: bool) -> None:
    around = Surroundings()
    assert played(around, b"x" * 11, chunked=chunked, mode="shadow").status == 200
    assert around.decisions() == {("deny", "shadow"): 1}
    assert around.events == [{**EVENT, "mode": "shadow"}]


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
def test_it_remembers_nobody(mode: str) -> None:
    built: Any = build_filter(body_limit, {"max": "1", "mode": mode})
    run_filter(built, FakeExchange(b"POST", body=b"xx", chunked=True))
    assert not built._over


def test_zero_refuses_every_body() -> None:
    around = Surroundings()
    assert played(around, b"", max="0").status == 200
    assert played(around, b"x", max="0").status == 413


def test_options() -> None:
    with pytest.raises(BadValue):
        build_filter(body_limit, {"max": "ten"})
    with pytest.raises(TypeError):
        build_filter(body_limit)


def test_it_belongs_ahead_of_what_is_costly() -> None:
    assert body_limit.traits(body_limit.Options(max=1)) == Traits(cheap_guard=True)
