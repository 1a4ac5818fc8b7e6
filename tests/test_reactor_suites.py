"""The judge of `make reactor-tests`: what is a difference between two reactors, and what is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reactor_suites.__main__ import GROUPS, PAGE, read
from tests.reactor_suites.comparing import Outcomes, Verdict, compare, known_differences

PASSED, FAILED, SKIPPED = ("passed", ""), ("failed", "why"), ("skipped", "")
TABLE = (
    "<!-- differences: begin -->\n| test | why |\n|---|---|\n| `a.B.test` | It differs. |\n<!-- differences: end -->"
)


@pytest.mark.parametrize(
    ("asyncio", "uv", "known", "verdict"),
    [
        ({"a": PASSED}, {"a": PASSED}, {}, Verdict([], [], [])),
        ({"a": PASSED}, {"a": FAILED}, {}, Verdict(["a"], [], [])),
        ({"a": PASSED}, {"a": SKIPPED}, {}, Verdict(["a"], [], [])),
        ({"a": PASSED, "b": PASSED}, {"b": PASSED}, {}, Verdict(["a"], [], [])),
        ({"a": FAILED, "b": SKIPPED}, {"a": FAILED, "b": FAILED}, {}, Verdict([], [], [])),
        ({"a": PASSED}, {"a": FAILED}, {"a": "why"}, Verdict([], [], [])),
        ({"a": PASSED}, {"a": PASSED}, {"a": "why"}, Verdict([], ["a"], [])),
        ({"a": FAILED}, {"a": FAILED}, {"a": "why", "gone": "why"}, Verdict([], [], ["a", "gone"])),
    ],
    ids=["same", "fails", "is skipped", "did not run", "fails on both", "known", "known, and passes", "known, unknown"],
)
def test_differences(asyncio: Outcomes, uv: Outcomes, known: dict[str, str], verdict: Verdict) -> None:
    assert compare(asyncio, uv, known) == verdict


def test_the_known_ones_stand_in_the_page() -> None:
    assert known_differences(TABLE) == {"a.B.test": "It differs."}
    with pytest.raises(ValueError, match="no table"):
        known_differences("# The uv reactor")


def test_each_of_the_pages_differences_belongs_to_a_group_and_has_a_reason() -> None:
    modules = tuple(f"{module}." for group in GROUPS.values() for module in group)
    known = known_differences(PAGE.read_text())
    assert known and all(test.startswith(modules) and len(reason) > 8 for test, reason in known.items())


def test_a_test_that_only_began_has_failed(tmp_path: Path) -> None:
    out = tmp_path / "outcomes.jsonl"
    events = (["began", "a"], ["ended", "a", "passed", ""], ["began", "b"])
    out.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert read(out, "killed") == {"a": ("passed", ""), "b": ("failed", "never ended:\nkilled")}


def test_a_process_that_told_nothing_has_no_outcomes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(tmp_path / "none", "Traceback") == {}
    assert "Traceback" in capsys.readouterr().err
