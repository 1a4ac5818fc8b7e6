"""Which server gets the next attempt."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.config.model import Balance
from gwproxy.upstream.balance import PICKERS, least_active, round_robin


class FakeServer:
    """What a picker reads of a server."""

    def __init__(self, name: str, weight: int = 1, active: int = 0) -> None:
        self.name = name
        self.weight = weight
        self.active = active
        self.turn = 0


def servers(**weights: int) -> Any:
    return [FakeServer(name, weight) for name, weight in weights.items()]


def picks(pick: Any, candidates: Any, count: int) -> str:
    return "".join(pick(candidates).name for _ in range(count))


def test_every_kind_of_balance_has_its_picker() -> None:
    assert set(PICKERS) == set(Balance)


def test_round_robin_goes_in_turn() -> None:
    assert picks(round_robin, servers(a=1, b=1, c=1), 7) == "abcabca"


def test_round_robin_spreads_weights_smoothly() -> None:
    assert picks(round_robin, servers(a=5, b=1, c=1), 7) == "aabacaa"  # as nginx does


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_round_robin_is_exact_over_a_full_turn(weights: list[int]) -> None:
    candidates: Any = [FakeServer(str(number), weight) for number, weight in enumerate(weights)]
    got = Counter(candidates.index(round_robin(candidates)) for _ in range(sum(weights)))
    assert [got[number] for number in range(len(weights))] == weights
    assert [server.turn for server in candidates] == [0] * len(weights)


def test_round_robin_over_fewer_candidates_does_not_favour_who_comes_back() -> None:
    candidates = servers(a=1, b=1, c=1)
    for _ in range(100):
        round_robin(candidates[:2])
    assert Counter(picks(round_robin, candidates, 30)) == {"a": 10, "b": 10, "c": 10}


@pytest.mark.parametrize(
    ("active", "weights", "chosen"),
    [
        ((3, 1, 2), (1, 1, 1), 1),
        ((4, 3, 9), (2, 1, 3), 0),
        ((5, 5, 5), (1, 1, 2), 2),
        ((0, 0, 1), (1, 3, 9), 1),  # among equals the heavier is first in turn
    ],
)
def test_least_active_counts_by_weight(active: tuple[int, ...], weights: tuple[int, ...], chosen: int) -> None:
    candidates: Any = [FakeServer(str(n), w, a) for n, (w, a) in enumerate(zip(weights, active, strict=True))]
    assert least_active(candidates) is candidates[chosen]


def test_least_active_goes_in_turn_among_equals() -> None:
    assert picks(least_active, servers(a=1, b=1, c=1), 6) == "abcabc"
