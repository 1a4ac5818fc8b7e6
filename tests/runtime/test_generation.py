"""How many exchanges are in a generation, and when the last one has left."""

from __future__ import annotations

from gwproxy.runtime.generation import Generation


def test_k10_it_is_empty_when_the_last_one_has_left() -> None:
    generation = Generation(3)
    told: list[str] = []
    generation.enter()
    generation.enter()
    assert repr(generation) == "<Generation 3 in_flight=2>"
    generation.when_empty(lambda: told.append("empty"))
    generation.leave()
    assert told == []
    generation.enter()
    generation.leave()
    assert told == []
    generation.leave()
    assert told == ["empty"]
    assert generation.in_flight == 0


def test_k10_one_that_is_empty_says_so_at_once() -> None:
    told: list[str] = []
    Generation().when_empty(lambda: told.append("empty"))
    assert told == ["empty"]


def test_k10_it_is_told_once() -> None:
    generation = Generation()
    told: list[str] = []
    generation.enter()
    generation.when_empty(lambda: told.append("empty"))
    for _ in range(2):
        generation.leave()
        generation.enter()
    assert told == ["empty"]


def test_leaving_one_that_nobody_waits_for() -> None:
    generation = Generation()
    generation.enter()
    generation.leave()
    assert generation.in_flight == 0
