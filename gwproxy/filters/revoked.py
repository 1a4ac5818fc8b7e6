"""Lists of revoked tokens: how a file of them is written, and whether a token is on one.

    # one token, by its jti, until it expires anyway
    jti 5f0c1a9e-7d3b 2027-01-31T12:00:00Z
    # all tokens of a subject
    sub alice
    # a subject with blanks in its name; a user who logged out everywhere
    before 2027-01-30T08:00:00Z sub "Bob Smith"
    # all tokens that were issued before a key leaked
    before 2027-01-29

A line is one entry; one that begins with `#` or `;` is a comment. Dates are UTC, or seconds since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import inf
from typing import Any, Final

from gwproxy.config.dates import read_date
from gwproxy.config.mistakes import wrong_lines

_WORD: Final = re.compile(r'"([^"]*)"(?=\s|\Z)|([^"\s]\S*)')
_SECONDS: Final = re.compile(r"[0-9]{1,11}").fullmatch
_FORMS: Final = "an entry is: jti ID [UNTIL], sub NAME [UNTIL], before DATE, or before DATE sub NAME"
_NEVER: Final = 1e12


class Token:
    """What revocation asks about a token. `issued` is -1 for one that does not say when: earlier than any date."""

    __slots__ = ("issued", "jti", "sub")

    def __init__(self, claims: Mapping[str, Any], subject: str) -> None:
        """`subject`: of whom it is if the claims do not say."""
        jti, sub, issued = claims.get("jti"), claims.get("sub"), claims.get("iat")
        self.jti: str = jti if type(jti) is str else ""
        self.sub: str = sub if type(sub) is str else subject
        self.issued = _date(issued)


def _date(claim: Any) -> float:
    # JSON's numbers have no bounds, and Python's reading of it knows NaN.
    if (type(claim) is int or type(claim) is float) and 0 <= claim < _NEVER:
        return claim
    return -1


class RevokedTokens:
    """The entries of a list."""

    __slots__ = ("_before_all", "_before_sub", "_jti", "_sub")

    def __init__(self) -> None:
        # When each entry ends.
        self._jti: dict[str, float] = {}
        self._sub: dict[str, float] = {}
        self._before_sub: dict[str, float] = {}
        self._before_all = -inf

    def __len__(self) -> int:
        return len(self._jti) + len(self._sub) + len(self._before_sub) + (self._before_all > -inf)

    def has(self, token: Token, now: float) -> bool:
        """Whether it is revoked. `now`: seconds since 1970."""
        return (
            now < self._jti.get(token.jti, -inf)
            or now < self._sub.get(token.sub, -inf)
            or token.issued < self._before_all
            or token.issued < self._before_sub.get(token.sub, -inf)
        )

    def add(self, words: list[str]) -> None:
        """An entry, in words. Raises ValueError. Of two that differ in their date, the later one counts."""
        match words:
            case ["jti", text, *until] if len(until) < 2:
                _latest(self._jti, text, _read(until[0]) if until else inf)
            case ["sub", text, *until] if len(until) < 2:
                _latest(self._sub, text, _read(until[0]) if until else inf)
            case ["before", date]:
                self._before_all = max(self._before_all, _read(date))
            case ["before", date, "sub", text]:
                _latest(self._before_sub, text, _read(date))
            case _:
                raise ValueError(_FORMS)


def read_revoked(data: bytes) -> RevokedTokens:
    """The entries of a file. Raises ValueError that says what is wrong in which lines."""
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    revoked = RevokedTokens()
    wrong: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        try:
            revoked.add(_words(line))
        except ValueError as error:
            wrong.append((number, str(error)))
    if wrong:
        raise wrong_lines(wrong)
    return revoked


def _words(line: str) -> list[str]:
    if '"' not in line:
        return line.split()
    words: list[str] = []
    end = 0
    for match in _WORD.finditer(line):
        if line[end : match.start()].strip():
            break
        words.append(match[1] or match[2] or "")
        end = match.end()
    if line[end:].strip() or not all(words):
        raise ValueError('a text with blanks stands between two "')
    return words


def _read(text: str) -> float:
    return float(text) if _SECONDS(text) else read_date(text)


def _latest(entries: dict[str, float], text: str, date: float) -> None:
    entries[text] = max(date, entries.get(text, -inf))
