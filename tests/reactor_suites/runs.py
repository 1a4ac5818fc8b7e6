"""Runs suites in processes of their own, and reads what became of each test.

A process has a folder of its own to write to, no terminal, and a limit: one that hangs tells where and ends itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.reactor_suites.comparing import Outcomes
from tests.reactor_suites.under_test import Kind

ROOT = Path(__file__).parents[2]
# Of one process. The longest takes a third of it.
LIMIT_SECONDS = 300
# For the process to end by itself when it has told where it hangs.
GRACE_SECONDS = 30
# Of what a process said, whose end is what tells.
MOST_CHARACTERS = 6000


class Run(NamedTuple):
    """One process: what became of its tests, and why it did not come to its end, if so."""

    outcomes: Outcomes
    broken: str = ""


def run(scratch: Path, kind: Kind, modules: Sequence[str], *selection: str) -> Run:
    """The tests of `modules` on one reactor; `selection`: the options of tests.reactor_suites.child. Waits for them."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    out, said = folder / "outcomes.jsonl", folder / "said"
    command = [sys.executable, "-m", "tests.reactor_suites.child", kind, str(out), str(LIMIT_SECONDS), *modules]
    with said.open("wb") as log:
        process = subprocess.Popen(
            [*command, *selection],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # no terminal, and a group to end: tests start processes, too
        )
        try:
            status = process.wait(LIMIT_SECONDS + GRACE_SECONDS)
        except BaseException as reason:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(reason, subprocess.TimeoutExpired):
                raise
            status = -signal.SIGKILL
    lines = out.read_text() if out.exists() else ""
    return read(lines, status, said.read_text(errors="replace"))


def read(lines: str, status: int, said: str) -> Run:
    """What a process has written and said, and how it ended. The test that it hung or died in has failed."""
    outcomes: dict[str, tuple[str, str]] = {}
    at = "the beginning"
    for line in lines.splitlines():
        event, test, *rest = json.loads(line)
        if event == "began":
            at = test
            outcomes[test] = ("failed", "it did not end")
        else:
            at = f"what follows {test}"
            outcomes[test] = (rest[0], rest[1])
    if status == 0:
        return Run(outcomes)
    return Run(outcomes, f"ended with status {status} in {at}:\n{said[-MOST_CHARACTERS:]}")
