"""`twistd gwproxy`, run as `make run` does: the installed script, in a process of its own, with the default config."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any, Final

import pytest

from gwproxy.tap import Options, makeService

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(sysconfig.get_path("scripts"))
SECONDS = 30


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at this moment, all different."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Daemon:
    """The process that `make run` runs in the foreground. Its ports are free ones instead of those of etc/gw.ini."""

    def __init__(self, folder: Path) -> None:
        self.port, self.admin_port = free_ports(2)
        text = (ROOT / "etc/gw.ini").read_text()
        for before, after in (("tcp:8080", f"tcp:{self.port}"), ("tcp:9180", f"tcp:{self.admin_port}")):
            assert text.count(f"endpoint = {before}") == 1
            text = text.replace(f"endpoint = {before}", f"endpoint = {after}")
        config = folder / "gw.ini"
        config.write_text(text)
        run = re.search(r"^run: venv\n\t\$\(BIN\)/(twistd .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert run is not None
        script, *arguments = run[1].replace("etc/gw.ini", str(config)).split()
        self._process = subprocess.Popen(
            [SCRIPTS / script, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.said: list[str] = []

    def wait_until_it_serves(self) -> None:
        """It says so when it does: no polling."""
        stderr: IO[str] | None = self._process.stderr
        assert stderr is not None
        for line in stderr:
            self.said.append(line)
            if "curl -i" in line:
                return
        pytest.fail(f"ended: {self.said}")

    def get(self, path: str, port: int = 0) -> tuple[int, bytes]:
        """Status and body of a GET."""
        connection = HTTPConnection("127.0.0.1", port or self.port, timeout=SECONDS)
        try:
            connection.request("GET", path, headers={"X-Sent": "yes"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def terminate(self) -> tuple[int, str, str]:
        """SIGTERM. The exit status, and all that it printed."""
        self._process.send_signal(signal.SIGTERM)
        out, err = self._process.communicate(timeout=SECONDS)
        return self._process.returncode, out, "".join(self.said) + err

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    process = Daemon(tmp_path)
    yield process
    process.kill()


def test_the_default_configuration_serves_and_stops_cleanly(daemon: Daemon) -> None:
    daemon.wait_until_it_serves()
    for path in ("/user/1?a=%20b", "/product/"):
        status, body = daemon.get(path)
        echo = json.loads(body)
        assert (status, echo["method"], echo["target"]) == (200, "GET", path)
        assert ["X-Sent", "yes"] in echo["headers"]
    assert daemon.get("/")[1] == b"This is gwproxy. Try /user/1 and /product/1."
    assert daemon.get("/elsewhere")[0] == 404
    assert daemon.get("/readyz", daemon.admin_port)[0] == 200
    status, out, err = daemon.terminate()
    assert status == 0, err
    records = [json.loads(line) for line in out.splitlines()]
    assert [(line["path"], line["status"]) for line in records if "method" in line] == [
        ("/user/1?a=%20b", 200),
        ("/product/", 200),
        ("/", 200),
        ("/elsewhere", 404),
    ]
    assert "Traceback" not in err
    assert f"curl -i http://127.0.0.1:{daemon.port}/user/" in err


def options_for(path: Path) -> Any:
    options = Options()  # type: ignore[no-untyped-call]  # usage.Options has no annotations
    options.parseOptions(["--config", str(path)])  # type: ignore[no-untyped-call]  # the same
    return options


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[listen:a]\nendpoint = tcp:0\nidle_timout = 1s\n", "3: [listen:a] there is no option idle_timout"),
        (
            "[listen:a]\nendpoint = tcp:0\n[route:a]\nrespond = 200\n[route:b]\nrespond = 200\n",
            "5: [route:b] takes the same requests as [route:a], with the same rank",
        ),
    ],
    ids=["seen by the loader", "seen by the build"],
)
def test_mistakes_end_it_without_a_traceback(
    text: str, mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gw.ini"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        makeService(options_for(path))
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{path}:{mistake}") and err.count("\n") == 1


def test_what_filters_say_is_told_with_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gw.ini"
    path.write_text("[listen:a]\nendpoint = tcp:0\ntls = a\n[filter:f]\ntype = require\n")
    with pytest.raises(SystemExit):
        makeService(options_for(path))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{path}:3: [listen:a] tls")
    assert second.startswith(f"{path}:4: [filter:f] requires nothing")


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        makeService(options_for(tmp_path / "none.ini"))
    assert ended.value.code == 1
    assert str(tmp_path / "none.ini") in capsys.readouterr().err


# The reactor: what [gateway] says, unless twistd was told another

RUN_ON: Final = """
[gateway]
{reactor}
drain = 1s
[admin]
endpoint = off
[listen:http]
endpoint = tcp:0:interface=127.0.0.1
[route:home]
respond = 200
"""
WITHOUT_UVLOOP: Final = "raise ImportError('not here')\n"


def reactor_of(
    folder: Path, reactor: str, *arguments: str, without_uvloop: bool = False
) -> tuple[int | None, str | None, str]:
    """How a daemon ends that is asked to at once, the class of its reactor, and what it said."""
    config = folder / "gw.ini"
    config.write_text(RUN_ON.format(reactor=reactor and f"reactor = {reactor}"))
    environ = dict(os.environ)
    if without_uvloop:
        (folder / "uvloop.py").write_text(WITHOUT_UVLOOP)
        environ["PYTHONPATH"] = str(folder)
    command = [str(SCRIPTS / "twistd"), *arguments, "-n", "--pidfile=", "gwproxy", "--config", str(config)]
    process = subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True)
    stderr: IO[str] | None = process.stderr
    assert stderr is not None
    said = []
    for line in stderr:
        said.append(line)
        if "serves 1 routes" in line:
            process.terminate()
    status = process.wait(SECONDS)
    stderr.close()
    found = re.search(r"reactor class: ([\w.]+)\.", "".join(said))
    return status, found and found[1].rpartition(".")[2], "".join(said)


@pytest.mark.parametrize(
    ("reactor", "found"), [("", "UvReactor"), ("auto", "UvReactor"), ("uv", "UvReactor"), ("epoll", "EPollReactor")]
)
def test_the_reactor_is_the_one_of_the_configuration(reactor: str, found: str, tmp_path: Path) -> None:
    status, name, said = reactor_of(tmp_path, reactor)
    assert (status, name) == (0, found), said
    assert "twistd was told another" not in said


@pytest.mark.parametrize(("reactor", "told", "found"), [("uv", "epoll", "EPollReactor"), ("epoll", "uv", "UvReactor")])
def test_an_explicit_reactor_wins_with_a_warning(reactor: str, told: str, found: str, tmp_path: Path) -> None:
    status, name, said = reactor_of(tmp_path, reactor, f"--reactor={told}")
    assert (status, name) == (0, found), said
    assert f"reactor = {reactor}, but twistd was told another: {found}" in said


def test_auto_without_uvloop_is_what_twisted_picks(tmp_path: Path) -> None:
    status, name, said = reactor_of(tmp_path, "auto", without_uvloop=True)
    assert (status, name) == (0, "EPollReactor"), said


def test_uv_without_uvloop_is_refused(tmp_path: Path) -> None:
    status, name, said = reactor_of(tmp_path, "uv", without_uvloop=True)
    assert (status, name) == (1, None)
    assert said == "reactor = uv needs uvloop, which is not installed: pip install uvloop\n"


def test_a_file_with_mistakes_is_told_of_all_the_same(tmp_path: Path) -> None:
    status, _, said = reactor_of(tmp_path, "libevent")
    assert status == 1
    assert (
        said.startswith(f"{tmp_path}/gw.ini:3: [gateway] reactor = 'libevent': must be auto or uv or epoll")
        and said.count("\n") == 1
    )
