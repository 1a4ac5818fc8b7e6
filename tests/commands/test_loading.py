"""A file as commands read it: what passes can be served."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gwproxy.cli import main
from gwproxy.commands.loading import load_file

ROOT = Path(__file__).parents[2]

Capture = pytest.CaptureFixture[str]


TIED = """\
[listen:http]
endpoint = tcp:0
[route:one]
path = /users/{id}
respond = 200 one
[route:other]
path = /users/{name}
respond = 200 other
[filter:tidy]
type = headers
"""
TIED_MISTAKE = "7: [route:other] takes the same requests as [route:one], with the same rank"
FILTER_MISTAKE = "9: [filter:tidy] "


@pytest.mark.parametrize("command", [["check", "FILE"], ["check", "--show", "FILE"], ["explain", "FILE", "GET", "/"]])
def test_what_only_the_build_sees_is_a_mistake_too(command: list[str], tmp_path: Path, capsys: Capture) -> None:
    """Routes that tie, filters that cannot be made: a file that passes is one that can be served."""
    path = tmp_path / "gw.ini"
    path.write_text(TIED)
    assert main([str(path) if word == "FILE" else word for word in command]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    tied, useless = err.replace(f"{path}:", "").splitlines()
    assert tied == TIED_MISTAKE
    assert useless.startswith(FILTER_MISTAKE)


def test_check_takes_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gw.ini"
    path.write_text("[listen:a]\nendpoint = tcp:${GW_TEST_PORT}\n")
    assert main(["check", str(path)]) == 1
    monkeypatch.setenv("GW_TEST_PORT", "8080")
    assert load_file(str(path)).listeners["a"].endpoint == "tcp:8080"


def test_the_default_configuration_is_right() -> None:
    config = load_file(str(ROOT / "etc/gw.ini"))
    assert [str(server.label) for upstream in config.upstreams.values() for server in upstream.servers] == [
        "builtin:echo",
        "builtin:echo",
    ]
    assert {route.path.text for route in config.routes.values()} == {"/user/", "/product/", "= /"}


def test_options_commented_out_in_the_default_configuration_exist(tmp_path: Path) -> None:
    """`; key = value` there is the key with its default, or an example: either way it must load."""
    text = (ROOT / "etc/gw.ini").read_text()
    uncommented, count = re.subn(r"^; (?=[a-z_]+ = |\[)", "", text, flags=re.MULTILINE)
    path = tmp_path / "gw.ini"
    path.write_text(uncommented)
    assert count > 10
    load_file(str(path))
