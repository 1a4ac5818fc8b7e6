"""A JSON Schema in a file, compiled at load, and where a body breaks it.

Rules:

* The draft is the one that `$schema` names, 2020-12 without it.
* No schema is fetched, from a network or from another file: a `$ref` leads to a place in the same document.
* What is told of an error is where it is (a JSON pointer, RFC 6901) and which keyword says so: no value of the body.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs
import jsonschema_rs

from gwproxy.config.mistakes import ConfigMistake

# Longer pointers are cut at a step: a body chooses the names of its members.
_MOST_POINTER: Final = 256

# A pattern with look-around or back-references may take as many steps at one string, each of them linear in its length.
# The others take linear time in all.
_MOST_BACKTRACKING: Final = 1000


@attrs.frozen
class Violation:
    """Where a body breaks the schema, and which keyword of the schema says so."""

    pointer: str
    keyword: str


class Schema:
    """One schema. Raises ConfigMistake for a file that has none, or one that needs another document."""

    __slots__ = ("_validate", "backtracks")

    def __init__(self, path: Path) -> None:
        try:
            document = json.loads(path.read_bytes())
        except OSError as error:
            raise ConfigMistake(f"cannot be read: {error.strerror}", "schema") from None
        except (ValueError, RecursionError) as error:
            raise ConfigMistake(f"{path.name} is no JSON: {error}", "schema") from None
        compiled = partial(jsonschema_rs.validator_for, document, retriever=_fetch_nothing)
        # Whether it has patterns that take longer than their string's length in time.
        self.backtracks = False
        try:
            try:
                validator = compiled(pattern_options=jsonschema_rs.RegexOptions())
            except ValueError:  # perhaps of such a pattern
                backtracking = jsonschema_rs.FancyRegexOptions(backtrack_limit=_MOST_BACKTRACKING)
                validator = compiled(pattern_options=backtracking)
                self.backtracks = True
        except ValueError as error:
            raise ConfigMistake(f"{path.name} is no usable schema: {_first_line(error)}", "schema") from None
        self._validate = validator.validate

    def violation(self, value: Any) -> Violation | None:
        """The first one found, or None. `value` is what json.loads() makes of a body."""
        try:
            self._validate(value)
        except jsonschema_rs.ValidationError as error:
            path = list(error.instance_path)
            details = error.kind.as_dict()
            if "unexpected" in details:  # members that are not allowed: the first of them, rather than the object
                path += details["unexpected"][:1]
            return Violation(json_pointer(path), error.kind.name)
        return None


def json_pointer(path: Sequence[str | int]) -> str:
    """The way to a value as RFC 6901 writes it; cut at a step where it would be too long."""
    pointer = ""
    for step in path:
        longer = f"{pointer}/{str(step).replace('~', '~0').replace('/', '~1')}"
        if len(longer) > _MOST_POINTER:
            break
        pointer = longer
    return pointer


def _fetch_nothing(uri: str) -> NoReturn:
    raise ValueError("other documents are not fetched; put it into the same file, below $defs")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
