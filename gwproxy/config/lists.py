"""Lists that must not be empty: what an option then says depends on it, and a variable that is not set would say the
opposite of what was meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import Value, list_of

T = TypeVar("T")


def some_of(parse: Callable[[str], T]) -> Value[tuple[T, ...]]:
    """As `list_of`, and at least one item."""
    many = list_of(parse)

    def read(text: str, base: Path) -> tuple[T, ...]:
        items = many.read(text, base)
        if not items:
            raise BadValue("must name at least one")
        return items

    return Value(many.kind, read, many.write)
