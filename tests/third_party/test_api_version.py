"""A filter of somebody else's, installed as a package of its own: found, configured, checked, run, and documented."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred

from gwproxy import testing
from gwproxy.filters import api
from gwproxy.filters.registry import FilterType
from tests.wire.kit.gateway import GatewayProcess

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGE = HERE / "api_version"
OWN_TESTS = "test_gwproxy_api_version.py"

pytestmark = pytest.mark.slow


def python(*arguments: str | Path, path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Another interpreter, which also finds what is installed in `path`."""
    environ = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package is installed into, by pip as its users do."""
    folder = tmp_path_factory.mktemp("third_party")
    # A build leaves files beside its source.
    source = shutil.copytree(PACKAGE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    installed = python("-m", "pip", "install", *options, "--target", folder / "site", source, path=folder, cwd=folder)
    assert installed.returncode == 0, installed.stderr
    return folder / "site"


def drive(site: Path, folder: Path, section: str, version: str) -> Any:
    """What a gateway with this [filter:versions] makes of a request for `version`."""
    (folder / "gw.ini").write_text(f"[listen:http]\nendpoint = tcp:0\n[filter:versions]\n{section}\n")
    done = python(HERE / "drive.py", "gw.ini", version, path=site, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_found_configured_and_run(site: Path, tmp_path: Path) -> None:
    assert drive(site, tmp_path, "type = api_version\nversions = 1, 2", "1") == {
        "distribution": "gwproxy-api-version 1.0",
        "status": 200,
        "filter": None,
        "sent": [["Host", "example.com"], ["API-Version", "1"]],
    }
    refused = drive(site, tmp_path, "type = api_version\nversions = 1, 2", "3")
    assert (refused["status"], refused["filter"], refused["sent"]) == (400, "versions", [])


GATEWAY = """\
[log]
access = off
error = error.log
security = off
[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1
[upstream:echo]
servers = builtin:echo
[route:api]
path = /
upstream = echo
filters = versions
[filter:versions]
type = api_version
versions = 1, 2
"""


def test_a_gateway_serves_with_it(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{ROOT}")
    gateway = GatewayProcess(GATEWAY, tmp_path, {})
    try:
        gateway.start()
        with gateway.connect() as client:
            served = client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nAPI-Version: 1\r\n\r\n")
            refused = client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nAPI-Version: 3\r\n\r\n")
        # The echo service writes names in its own way.
        assert ["Api-Version", "1"] in json.loads(served.body)["headers"]
        assert json.loads(refused.body)["reason"] == "unknown_version"
        assert gateway.stop() == 0
        assert not gateway.tracebacks(), gateway.output()
    finally:
        gateway.kill()


def test_its_options_are_checked_with_file_and_line(site: Path, tmp_path: Path) -> None:
    wrong = "type = api_version\nversions = 1, 2\nheadr = X-Version\nreport = soon"
    assert drive(site, tmp_path, wrong, "1") == {
        "mistakes": [
            "gw.ini:6: [filter:versions] there is no option headr; did you mean 'header'?",
            "gw.ini:7: [filter:versions] report = 'soon': "
            "must be a duration: a number and ms, s, m, h or d, as in 250ms or 30s",
        ]
    }
    assert drive(site, tmp_path, "type = api_version\nversions =", "1") == {
        "mistakes": ["gw.ini:5: [filter:versions] needs at least one version"]
    }


def test_where_it_is_not_installed_its_type_is_unknown(tmp_path: Path) -> None:
    [mistake] = drive(tmp_path, tmp_path, "type = api_version\nversions = 1", "1")["mistakes"]
    assert mistake.startswith("gw.ini:4: [filter:versions] there is no filter type 'api_version'")


def test_its_own_tests_pass(site: Path, tmp_path: Path) -> None:
    shutil.copy(PACKAGE / OWN_TESTS, tmp_path)
    done = python("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", OWN_TESTS, path=site, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^5 passed", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize("name", ["gwproxy_api_version.py", OWN_TESTS, "pyproject.toml"])
def test_the_documentation_shows_these_very_files(name: str) -> None:
    shown = (ROOT / "docs" / "filters.md").read_text()
    language = "toml" if name.endswith(".toml") else "python"
    assert f"`{name}`:\n\n```{language}\n{(PACKAGE / name).read_text()}```\n" in shown


def test_the_documentation_of_waiting_is_true() -> None:
    shown = (ROOT / "docs" / "filters.md").read_text().partition("## A filter that waits")[2]
    names: dict[str, Any] = {"Deferred": Deferred, **vars(api), **vars(testing)}
    for block in re.findall(r"```python\n(.*?)```", shown, re.DOTALL):
        exec(block, names)
    names["test_a_token_that_is_not_active"]()


def test_the_documentation_of_decisions_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = (ROOT / "docs" / "filters.md").read_text()
    names: dict[str, Any] = {"attrs": attrs, **vars(api), **vars(testing)}
    for part in ("## Decisions", "## What is around a filter, in tests"):
        [block] = re.findall(r"```python\n(.*?)```", shown.partition(part)[2].partition("\n## ")[0], re.DOTALL)
        exec(block, names)
    found = {"office_hours": FilterType("office_hours", "d 1", names["Options"], names["OfficeHours"])}
    monkeypatch.setattr("gwproxy.testing.surroundings.filter_types", lambda: found)
    names["test_outside_office_hours_nobody_gets_in"]()
