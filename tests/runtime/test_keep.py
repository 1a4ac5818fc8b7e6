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
    assert repr(keeper) == "<Keeper 3 kept>"


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
