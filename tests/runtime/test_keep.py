"""What outlives a reload is made once for its key."""

from __future__ import annotations

import pytest

from gwproxy.runtime.keep import Keeper


def test_what_is_kept_is_made_once_for_its_key() -> None:
    keeper = Keeper()
    first = keeper.keep(("limit", "a", 5), object)
    assert keeper.keep(("limit", "a", 5), object) is first
    assert keeper.keep(("limit", "a", 6), object) is not first
    assert keeper.keep(("limit", "b", 5), object) is not first
    assert repr(keeper) == "<Keeper 3 kept, 0 at work>"


def test_even_nothing_is_kept() -> None:
    keeper = Keeper()
    made: list[None] = []
    for _ in range(2):
        assert keeper.keep(("none",), lambda: made.append(None)) is None
    assert len(made) == 1


def test_what_could_not_be_made_is_not_kept() -> None:
    keeper = Keeper()

    def fail() -> object:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        keeper.keep(("key",), fail)
    assert keeper.keep(("key",), lambda: 1) == 1


def test_a_key_error_of_the_maker_is_its_own() -> None:
    def fail() -> object:
        raise KeyError("inner")

    with pytest.raises(KeyError, match="inner"):
        Keeper().keep(("key",), fail)


def test_each_keeper_keeps_its_own() -> None:
    assert Keeper().keep(("key",), object) is not Keeper().keep(("key",), object)


class Job:
    def __init__(self, told: list[str], name: str) -> None:
        self.told = told
        self.name = name

    def start(self) -> None:
        self.told.append(f"start {self.name}")

    def stop(self) -> None:
        self.told.append(f"stop {self.name}")


def test_what_works_by_itself_rests_until_the_gateway_serves() -> None:
    keeper = Keeper()
    told: list[str] = []
    keeper.keep(("a",), lambda: Job(told, "a"))
    keeper.keep(("passive",), dict)
    assert told == []
    keeper.start()
    keeper.keep(("b",), lambda: Job(told, "b"))
    keeper.keep(("a",), lambda: Job(told, "never"))
    assert told == ["start a"]
    keeper.start()
    assert told == ["start a", "start b"]
    assert repr(keeper) == "<Keeper 3 kept, 2 at work>"
    keeper.stop()
    keeper.stop()
    assert told == ["start a", "start b", "stop b", "stop a"]
