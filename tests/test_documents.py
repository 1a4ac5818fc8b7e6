"""What the documents say is so: links lead somewhere, and configurations shown pass `gwproxy check`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gwproxy.cli import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text())
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (document.parent / link).exists()] == []


def test_the_first_configuration_of_the_readme_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = re.findall(r"^```ini\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    config = tmp_path / "gw.ini"
    # the folders that it names are those of a host in service
    config.write_text(text.replace("/srv/www", str(tmp_path)).replace("/var/log/gwproxy", str(tmp_path)))
    assert main(["check", str(config)]) == 0, capsys.readouterr().err


def test_the_default_configuration_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(ROOT / "etc/gw.ini")]) == 0, capsys.readouterr().err
