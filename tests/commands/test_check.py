"""`gwproxy check`, run as the console script runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gwproxy.cli import main

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


def test_check_show_can_be_checked_itself(file: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["check", "--show", file]) == 0
    shown = capsys.readouterr().out
    assert "queue_timeout = 5s\n" in shown
    again = tmp_path / "again.ini"
    again.write_text(shown)
    assert main(["check", "--show", str(again)]) == 0
    assert capsys.readouterr().out == shown


def test_warnings_go_to_stderr_and_are_no_mistakes(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "gw.ini"
    path.write_text(
        "[listen:a]\nendpoint = tcp:0\n[route:r]\nrespond = 200\nfilters = admins\n"
        "[filter:admins]\ntype = require\nscopes = admin\n"
    )
    assert main(["check", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{path}: ok, 1 listener, 1 route, 0 upstreams, 1 filter\n"
    assert err == (
        f"warning: {path}:5: [route:r] admins (require) asks who it is, and no filter of this route finds out: "
        "nobody is ever logged in\n"
    )
