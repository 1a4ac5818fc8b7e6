"""`gwproxy reference`, and the page that it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from gwproxy.cli import main

ROOT = Path(__file__).parents[2]

Capture = pytest.CaptureFixture[str]


def test_the_committed_reference_is_true(capsys: Capture) -> None:
    assert main(["reference"]) == 0
    assert capsys.readouterr().out == (ROOT / "docs/configuration.md").read_text(), (
        "write it again: gwproxy reference docs/configuration.md"
    )


def test_reference_into_a_file(tmp_path: Path) -> None:
    assert main(["reference", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == (ROOT / "docs/configuration.md").read_text()
