"""Bytes of a file to sections with line numbers. Knows the syntax only: any section, any key.

    ; a comment is a line that begins with ; or #; there are none behind a value
    [kind:name]
    key = value
    list = one,
        two

An indented line continues the value above it, as a line of its own; an empty line ends the value. Keys before the first
section, keys and sections given twice, control characters and bytes that are not UTF-8 are mistakes. Never raises.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from gwproxy.config.mistakes import Mistake, Place

_BOM: Final = b"\xef\xbb\xbf"
_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# Section names become labels of metrics and fields of logs.
_TITLE: Final = re.compile(r"\[\s*([A-Za-z][A-Za-z0-9_-]*)\s*(?::\s*([A-Za-z0-9][A-Za-z0-9._-]{0,63})\s*)?\]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@attrs.frozen
class Entry:
    """A key and the lines of its text, not yet expanded."""

    key: str
    lines: list[str]
    line: int

    @property
    def raw(self) -> str:
        """The text; lines are separated by newlines, an empty first one is left out."""
        return "\n".join(self.lines if self.lines[0] else self.lines[1:])


@attrs.frozen
class Section:
    """`[kind:name]`, or `[kind]` with an empty name."""

    kind: str
    name: str
    line: int
    entries: dict[str, Entry] = attrs.field(factory=dict)

    @property
    def title(self) -> str:
        """What stands between the brackets."""
        return f"{self.kind}:{self.name}" if self.name else self.kind


def read_sections(data: bytes, file: str) -> tuple[list[Section], list[Mistake]]:
    """The sections of a file in its order, and what is wrong with its syntax. `file` is for the messages."""
    reader = _Reader(file)
    for number, line in enumerate(data.removeprefix(_BOM).split(b"\n"), start=1):
        reader.line(number, line.removesuffix(b"\r"))
    return list(reader.sections.values()), reader.mistakes


class _Reader:
    """Takes one line after the other."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.sections: dict[str, Section] = {}
        self.mistakes: list[Mistake] = []
        self._section: Section | None = None
        # Where a continuation line goes. None: there is no value that it could continue.
        self._lines: list[str] | None = None

    def line(self, number: int, data: bytes) -> None:
        text = self._decode(number, data)
        if text is None:
            return
        stripped = text.strip()
        if not stripped:
            self._lines = None
        elif stripped[0] in ";#":
            pass
        elif text[0] in " \t":
            if self._lines is None:
                self._mistake(number, "an indented line continues the value above it, and here is none")
            else:
                self._lines.append(stripped)
        elif stripped[0] == "[":
            self._title(number, stripped)
        else:
            self._key(number, stripped)

    def _decode(self, number: int, data: bytes) -> str | None:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            self._mistake(number, f"is not UTF-8: byte 0x{data[error.start]:02x} in column {error.start + 1}")
            return None
        control = _CONTROL.search(text)
        if control is not None:
            self._mistake(number, f"has a control character, 0x{ord(control[0]):02x}, in column {control.start() + 1}")
            return None
        return text

    def _title(self, number: int, text: str) -> None:
        self._lines = None
        match = _TITLE.fullmatch(text)
        if match is None:
            self._mistake(
                number, "a section is [kind] or [kind:name]; names are letters, digits, dots, - and _, at most 64", ""
            )
            # What follows is read into a section that nobody sees, for its own mistakes only.
            self._section = Section("", "", number)
            return
        section = Section(match[1], match[2] or "", number)
        first = self.sections.setdefault(section.title, section)
        if first is not section:
            self._mistake(number, f"the section is there already, in line {first.line}", section.title)
        # Keys of the second go into the first, so that they are checked too.
        self._section = first

    def _key(self, number: int, text: str) -> None:
        key, equals, raw = (part.strip() for part in text.partition("="))
        lines = self._lines = [raw]  # also if the line is refused: what continues it is no news
        if not equals or not _KEY.fullmatch(key):
            self._mistake(number, "is neither [section], nor key = value, nor a comment (; or # in front)")
            return
        if self._section is None:
            self._mistake(number, f"{key} stands before the first [section]")
            return
        entries = self._section.entries
        if key in entries:
            self._mistake(number, f"{key} is given already, in line {entries[key].line}")
            return
        entries[key] = Entry(key, lines, number)

    def _mistake(self, number: int, message: str, section: str | None = None) -> None:
        if section is None:
            section = self._section.title if self._section else ""
        self.mistakes.append(Mistake(Place(self.file, number), section, message))
