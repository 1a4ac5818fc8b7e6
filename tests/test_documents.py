"""What the documents say is so: links lead somewhere, and configurations shown pass `gwproxy check`."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from gwproxy.cli import main
from gwproxy.config import ConfigErrors, parse
from gwproxy.errors import Reason
from gwproxy.filters.decision import Denial, Event
from gwproxy.filters.registry import filter_types
from gwproxy.observe.security import BAD_REQUEST

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


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


def listed(part: str) -> list[str]:
    """The first column of a table in docs/logs.md."""
    text = (ROOT / "docs/logs.md").read_text()
    table = text.partition(f"<!-- {part}: begin -->")[2].partition(f"<!-- {part}: end -->")[0]
    return re.findall(r"^\| `([a-z_]+)`", table, re.MULTILINE)


def test_the_reasons_of_filters_are_listed() -> None:
    assert sorted(listed("denials")) == sorted(Denial)


def test_the_events_of_the_security_log_are_listed() -> None:
    assert sorted(listed("events")) == sorted([*Event, BAD_REQUEST, "tls_refused"])


def test_the_reasons_of_the_access_log_are_listed() -> None:
    text = (ROOT / "docs/logs.md").read_text()
    paragraph = text.partition("\nReasons: ")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`([a-z_]+)`", paragraph)) == sorted(Reason)


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/filters/*.md")), ids=lambda page: page.name)
def test_whole_configurations_on_the_pages_of_filters_parse(page: Path, tmp_path: Path) -> None:
    """Files that they name need not be there, and secrets not be set: all else must be right."""
    types = {name: each.options_class for name, each in filter_types().items()}
    whole = [each for each in re.findall(r"^```ini\n(.*?)^```", page.read_text(), re.M | re.S) if "[listen:" in each]
    for text in whole:
        try:
            parse(text.encode(), str(tmp_path / "gw.ini"), environ=_AnyValue(), filter_types=types)
        except ConfigErrors as errors:
            wrong = [str(each) for each in errors.mistakes if "is no file" not in str(each)]
            assert not wrong, "\n".join(wrong)


def test_every_filter_has_its_page_and_its_line() -> None:
    pages = {path.stem for path in ROOT.glob("docs/filters/*.md")} - {"README"}
    types = {name for name, each in filter_types().items() if each.distribution.startswith("gwproxy ")}
    assert types
    assert types - pages == set()
    index = (ROOT / "docs/filters/README.md").read_text()
    assert pages - set(re.findall(r"\]\(([a-z_]+)\.md\)", index)) == set()


def meters() -> set[str]:
    """The metrics that the code names, without `gateway_` and `_total`."""
    found = set()
    for path in ROOT.glob("gwproxy/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Constant(value=str(name)) if "observe" in path.parts and re.fullmatch(r"gateway_\w+", name):
                    found.add(name.removeprefix("gateway_"))
                # Not what has no text: that is a function of a filter's own, as in `counter("deny")`.
                case ast.Call(
                    func=ast.Attribute(attr="counter" | "gauge") | ast.Name(id="counter" | "gauge"),
                    args=[ast.Constant(value=str(name)), _, *_],
                ):
                    found.add(name)
    return {name.removesuffix("_total") for name in found}


def test_every_metric_is_listed() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    listed = set(re.findall(r"^\| `gateway_([a-z_]+)`", text, re.MULTILINE))
    assert {name.removesuffix("_total") for name in listed} == meters()


class _AnyValue(dict[str, str]):
    """An environment in which everything is set, and long enough to be a secret."""

    def __missing__(self, name: str) -> str:
        return "0123456789abcdef" * 4

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]
