"""The `gwproxy` command, run as the console script runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gwproxy.cli import load_file, main

ROOT = Path(__file__).parents[1]

TEXT = """\
[listen:http]
endpoint = tcp:0
[upstream:users]
servers = http://127.0.0.1:9001, unix:/run/users.sock
[route:users]
host = api.example.com
path = /user/
methods = GET, POST
upstream = users
strip_prefix = /user
add_prefix = /v1
filters = headers, more
encoded_slashes = reject
[route:hello]
path = = /hello
respond = 200 hello
[route:old]
path = /old/
redirect = 308 https://example.com$uri
[route:files]
path = /files/
static = .
[filter:headers]
type = headers
response_set = X-A: 1
[filter:more]
type = security_headers
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "gw.ini"
    path.write_text(TEXT)
    return str(path)


Capture = pytest.CaptureFixture[str]


def test_check_counts(file: str, capsys: Capture) -> None:
    assert main(["check", file]) == 0
    assert capsys.readouterr() == (f"{file}: ok, 1 listener, 4 routes, 1 upstream, 2 filters\n", "")


def test_check_prints_all_mistakes_to_stderr(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "gw.ini"
    path.write_text("[listen:a]\nendpoint = x\n[route:r]\nupstream = u\n[filter:f]\ntype = header\n")
    assert main(["check", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.removeprefix(f"{path}:") for line in err.splitlines()] == [
        "2: [listen:a] endpoint = 'x': must be an endpoint, as in tcp:8080, tcp:8080:interface=127.0.0.1 or "
        "unix:/run/gw.sock",
        "4: [route:r] upstream = 'u': there is no such [upstream:NAME]",
        "6: [filter:f] there is no filter type 'header'; did you mean 'headers'?",
    ]


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


def test_check_show_can_be_checked_itself(file: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["check", "--show", file]) == 0
    shown = capsys.readouterr().out
    assert "queue_timeout = 5s\n" in shown
    again = tmp_path / "again.ini"
    again.write_text(shown)
    assert main(["check", "--show", str(again)]) == 0
    assert capsys.readouterr().out == shown


def test_check_takes_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gw.ini"
    path.write_text("[listen:a]\nendpoint = tcp:${GW_TEST_PORT}\n")
    assert main(["check", str(path)]) == 1
    monkeypatch.setenv("GW_TEST_PORT", "8080")
    assert load_file(str(path)).listeners["a"].endpoint == "tcp:8080"


@pytest.mark.parametrize(
    ("arguments", "status", "lines"),
    [
        (
            ["GET", "https://API.example.com:8443/user/./%31?q=%20"],
            0,
            [
                "host:     api.example.com",
                "path:     /user/1",
                "route:    users, FILE:5",
                "because:  path = /user/ (prefix), host = api.example.com, methods = GET, POST",
                "filters:  headers, more",
                "upstream: users: 127.0.0.1:9001, unix:/run/users.sock",
                "sent as:  /v1/%31?q=%20",
            ],
        ),
        (
            ["GET", "/user/a%2fb", "-H", "host: api.example.com", "-H", "Accept: */*"],
            0,
            ["path:     /user/a%2Fb", "refused:  400: the path has an encoded slash, and encoded_slashes = reject"],
        ),
        (["GET", "http://a/hello"], 0, ["host:     a", "route:    hello, FILE:14", "respond:  200"]),
        (["PUT", "http://a/old/x"], 0, ["redirect: 308 https://example.com$uri"]),
        (["GET", "http://a/files/x"], 0, ["filters:  none"]),
        (["PUT", "http://api.example.com/user/1"], 1, ["no route: 405, Allow: GET, HEAD, POST"]),
        (["GET", "http://a/user/1"], 1, ["no route: 404"]),
        (["GET", "http://a"], 1, ["path:     /", "no route: 404"]),
        (["GET", "http://a/../x"], 1, ["refused: 400 bad_target: above the root"]),
        (["GET", "/x"], 1, ["refused: 400 bad_host: not a host; give a URL or -H 'Host: ...'"]),
    ],
)
def test_explain(file: str, capsys: Capture, arguments: list[str], status: int, lines: list[str]) -> None:
    assert main(["explain", file, *arguments]) == status
    printed = capsys.readouterr().out.replace(file, "FILE").splitlines()
    assert [line for line in printed if line in lines] == lines


def test_the_committed_reference_is_true(capsys: Capture) -> None:
    assert main(["reference"]) == 0
    assert capsys.readouterr().out == (ROOT / "docs/configuration.md").read_text(), (
        "write it again: gwproxy reference docs/configuration.md"
    )


def test_reference_into_a_file(tmp_path: Path) -> None:
    assert main(["reference", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == (ROOT / "docs/configuration.md").read_text()


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


def test_wrong_command_lines(capsys: Capture) -> None:
    for arguments in ([], ["chekc"], ["check"], ["explain", "x"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    capsys.readouterr()


def test_a_reader_that_goes_away(file: str) -> None:
    """`gwproxy check --show FILE | head -0`: no traceback."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "gwproxy.cli", "check", "--show", file],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")
