"""What is read from a process that runs suites, and from one that hangs or dies."""

from __future__ import annotations

import json
from pathlib import Path

from tests.reactor_suites.runs import Run, read, run

# A module of Twisted's with few tests, all quick, that starts no reactor.
MODULE = "twisted.internet.test.test_error"


def lines(*events: list[str]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def test_all_that_ended() -> None:
    written = lines(["began", "a"], ["ended", "a", "passed", ""], ["began", "b"], ["ended", "b", "failed", "why"])
    assert read(written, 0, "ignored") == Run({"a": ("passed", ""), "b": ("failed", "why")})


def test_one_that_it_hung_in() -> None:
    written = lines(["began", "a"], ["ended", "a", "passed", ""], ["began", "b"])
    assert read(written, 1, "Timeout!") == Run(
        {"a": ("passed", ""), "b": ("failed", "it did not end")}, "ended with status 1 in b:\nTimeout!"
    )


def test_one_that_it_died_after() -> None:
    written = lines(["began", "a"], ["ended", "a", "passed", ""])
    assert read(written, -9, "").broken == "ended with status -9 in what follows a:\n"


def test_nothing_at_all() -> None:
    assert read("", 1, "ImportError") == Run({}, "ended with status 1 in the beginning:\nImportError")


def test_a_real_run(tmp_path: Path) -> None:
    whole = run(tmp_path, "uv", [MODULE])
    assert not whole.broken and len(whole.outcomes) > 1
    assert {outcome for outcome, _ in whole.outcomes.values()} == {"passed"}
    first = min(whole.outcomes)
    assert run(tmp_path, "asyncio", [MODULE], "--only", first).outcomes == {first: ("passed", "")}
    assert run(tmp_path, "uv", [MODULE], "--without", first).outcomes.keys() == whole.outcomes.keys() - {first}


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    gone = run(tmp_path, "uv", ["twisted.internet.test.test_nothing"])
    assert [outcome for outcome, _ in gone.outcomes.values()] == ["failed"]
