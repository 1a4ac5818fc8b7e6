"""What counts as a difference between two reactors, and the list of those that are known."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

# test -> "passed", "failed" or "skipped", and why
Outcomes = Mapping[str, tuple[str, str]]

_ROW = re.compile(r"^\| `([\w.]+)` \| (.+) \|$", re.MULTILINE)
_BEGIN, _END = "<!-- differences: begin -->", "<!-- differences: end -->"


class Verdict(NamedTuple):
    """Names of tests. The run is good when all three are empty."""

    new: list[str]  # passed on asyncio, not on uv, and in no list
    stale: list[str]  # listed, and passed on uv as well
    unknown: list[str]  # listed, and no such test passed on asyncio


def known_differences(page: str) -> dict[str, str]:
    """Test -> reason, from the table of docs/reactor.md. Raises ValueError if the table is not there."""
    try:
        table = page[page.index(_BEGIN) : page.index(_END)]
    except ValueError:
        raise ValueError(f"no table between {_BEGIN} and {_END}") from None
    return dict(_ROW.findall(table))


def compare(asyncio: Outcomes, uv: Outcomes, known: Collection[str]) -> Verdict:
    """Whatever passes on asyncio passes on uv, but for the known ones, which do not. A test that is not among uv's
    outcomes did not pass: its process hung or died."""
    passed = [test for test, (outcome, _) in asyncio.items() if outcome == "passed"]
    differing = {test for test in passed if uv.get(test, ("failed", ""))[0] != "passed"}
    return Verdict(
        new=sorted(differing - set(known)),
        stale=sorted(set(known) & set(passed) - differing),
        unknown=sorted(set(known) - set(passed)),
    )
