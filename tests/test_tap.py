"""`twistd gwproxy`, run as `make run` does: the installed script, in a process of its own, with the default config."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any

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


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        makeService(options_for(tmp_path / "none.ini"))
    assert ended.value.code == 1
    assert str(tmp_path / "none.ini") in capsys.readouterr().err
