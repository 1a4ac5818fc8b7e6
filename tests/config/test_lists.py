"""Lists that must not be empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from gwproxy.config.lists import some_of
from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import list_of, path, token


def test_it_is_a_list() -> None:
    some, many = some_of(token), list_of(token)
    assert some("a, b\nc") == many("a, b\nc") == ("a", "b", "c")
    assert some.kind == many.kind
    assert some.write(("a", "b")) == "a, b"
    assert some_of(path)("x", Path("/base")) == (Path("/base/x"),)


@pytest.mark.parametrize("text", ["", " ", ",", "\n,\n"])
def test_nothing_is_a_mistake(text: str) -> None:
    assert list_of(token)(text) == ()
    with pytest.raises(BadValue, match="at least one"):
        some_of(token)(text)


def test_so_is_what_list_of_refuses() -> None:
    with pytest.raises(BadValue, match="twice"):
        some_of(token)("a, a")
