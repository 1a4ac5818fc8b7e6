"""How a wrong configuration is reported: where (`Place`), what (`Mistake`), and the exceptions that carry it.

A file is read to its end and all its mistakes are reported together, one line each, as `file:line: [section] what`.
No message repeats a value that came from an expansion or that is a secret; `BadValue` keeps the two apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final

import attrs

_MOST_TOLD: Final = 10


@attrs.frozen
class Place:
    """A line of a file. Line 0: the file as a whole."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@attrs.frozen
class Mistake:
    """One thing that is wrong. `section` is its title as written between brackets; empty: it belongs to none."""

    place: Place
    section: str
    message: str

    def __str__(self) -> str:
        where = f"[{self.section}] " if self.section else ""
        return f"{self.place}: {where}{self.message}"


class ConfigErrors(Exception):
    """All mistakes of one file, in the order of its lines. Nothing of the file is in use.

    `rest` is the Config of the sections without mistakes, if the file could be read: for who finds more wrong with it.
    """

    def __init__(self, mistakes: Iterable[Mistake], rest: Any = None) -> None:
        self.rest = rest
        self.mistakes = sorted(mistakes, key=lambda mistake: (mistake.place.file, mistake.place.line))
        super().__init__("\n".join(map(str, self.mistakes)))


class ConfigMistake(Exception):
    """Raised by who is handed options and finds that they do not fit together: filter factories, `check_options`.

    `key` is the option to point at; empty: the section. The message must not contain the value of a secret.
    """

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.key = key


class BadValue(ValueError):
    """A text is no value of the wanted kind. Raised by the parsers of `gwproxy.config.values`.

    `message` says what is wanted and never repeats the text, which may be a secret. `piece` is the part of the text
    that is wrong (empty: all of it); it is shown only if the text stands in the file as it is. `more`: what else is
    wrong with other pieces.
    """

    def __init__(self, message: str, piece: str = "", more: Sequence[BadValue] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.piece = piece
        self.more = more


def wrong_lines(told: Iterable[tuple[int, str]]) -> ValueError:
    """What is wrong with a file of its own that an option names, by line. Of many the first: who has it wrong in a
    hundred lines need not read of them all at once."""
    lines = [f"line {line}: {message}" for line, message in sorted(told)]
    more = len(lines) - _MOST_TOLD
    return ValueError("; ".join(lines[:_MOST_TOLD]) + (f"; and {more} more" if more > 0 else ""))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question to append to a message, with the nearest known name; empty if none is near."""
    near = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
