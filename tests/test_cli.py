"""The `gwproxy` command: what it does whatever the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gwproxy.cli import main

ROOT = Path(__file__).parents[1]

Capture = pytest.CaptureFixture[str]


def test_wrong_command_lines(capsys: Capture) -> None:
    for arguments in ([], ["chekc"], ["check"], ["explain", "x"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    capsys.readouterr()


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    """`gwproxy check --show FILE | head -0`: no traceback."""
    file = tmp_path / "gw.ini"
    file.write_text("[listen:http]\nendpoint = tcp:0\n")
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "gwproxy.cli", "check", "--show", str(file)],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")
