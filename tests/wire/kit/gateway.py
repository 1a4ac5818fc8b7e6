"""The gateway as its users run it: twistd in a process of its own, with a config file, logs and an admin port."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gwproxy.uv.reactor import UvReactor
from tests.wire.kit.client import RawClient
from tests.wire.kit.reader import PATIENCE

START_SECONDS = 20.0
STOP_SECONDS = 15.0
# The gateway promises to write its logs at least once a second.
LOG_PATIENCE = 5.0

_PORT = re.compile(r"@(PORT[A-Z0-9_]*)@")
# The same interpreter as the tests, whatever is on the PATH.
_TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]

LogRecord = dict[str, Any]


class GatewayProcess:
    """One gateway. In its config `@PORT@`, `@PORT_X@` are free ports of its own, other `@NAME@` are given values.

    The config decides where the logs go; `access.log`, `error.log` and `security.log`, relative to it, are those that
    the methods here read. The port named `PORT_ADMIN` is the admin site's.
    """

    def __init__(self, config: str, folder: Path, values: Mapping[str, object]) -> None:
        self.folder = folder
        self.ports = {name: _free_port() for name in sorted(set(_PORT.findall(config)))}
        for name, value in {**values, **self.ports}.items():
            config = config.replace(f"@{name}@", str(value))
        self.config_file = folder / "gw.ini"
        self.config_file.write_text(config)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when every port accepts connections. Raises AssertionError with the output if that does not come."""
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [*_TWISTD, *_reactor_option(), "-n", "--pidfile=", "gwproxy", "--config", str(self.config_file)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            for port in self.ports.values():
                self._wait_for_port(port)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> int:
        """SIGTERM; the exit status. Raises AssertionError if the gateway does not end in time."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {STOP_SECONDS:.0f} s after SIGTERM: {self.output()}") from None

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_SECONDS)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def connect(self, port: str = "PORT") -> RawClient:
        """A client of the listener whose port has this name in the config."""
        return RawClient(self.ports[port])

    def output(self) -> str:
        """The end of what it printed and of its error log."""
        return f"{_tail(self.folder / 'output')}\n{_tail(self.folder / 'error.log')}".strip()

    def tracebacks(self) -> list[str]:
        """What the gateway logged as unexpected."""
        texts = [_text(self.folder / name) for name in ("output", "error.log")]
        return [line for text in texts for line in text.splitlines() if "Traceback" in line]

    def log_records(self, name: str = "access.log") -> list[LogRecord]:
        """Every line of a log that has been written so far."""
        whole_lines, _, _ = _text(self.folder / name).rpartition("\n")
        return [json.loads(line) for line in whole_lines.splitlines()]

    def wait_for_log(self, wanted: Callable[[LogRecord], object], name: str = "access.log") -> LogRecord:
        """The first record that is wanted, once it is written."""
        deadline = time.monotonic() + LOG_PATIENCE
        while True:
            records = self.log_records(name)
            for record in records:
                if wanted(record):
                    return record
            assert time.monotonic() < deadline, f"no such line in {name}; the last ones: {records[-3:]}"
            # A file tells nobody that it has grown.
            time.sleep(0.02)

    def metrics(self) -> Metrics:
        """What /metrics says now."""
        with self.connect("PORT_ADMIN") as client:
            response = client.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert response.status == 200, response
        return Metrics(response.body.decode())

    def rss_bytes(self) -> int:
        """Resident memory of the process."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))

    def descriptors(self) -> int:
        """Open file descriptors of the process."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _wait_for_port(self, port: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.is_running(), f"the gateway did not start: {self.output()}"
            try:
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, f"port {port} does not open: {self.output()}"
                time.sleep(0.01)


@contextmanager
def running(config: str, folder: Path, values: Mapping[str, object]) -> Iterator[GatewayProcess]:
    """A gateway for the block. At its end it must stop cleanly, and have logged nothing unexpected."""
    process = GatewayProcess(config, folder, values)
    try:
        process.start()
        yield process
        status = process.stop()
        assert status == 0, f"exit status {status}: {process.output()}"
        assert not process.tracebacks(), process.output()
    finally:
        process.kill()


class Metrics:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have these labels; 0 when there is none."""
        wanted = labels.items()
        return sum(sample.value for sample in self._samples if sample.name == name and wanted <= sample.labels.items())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _tail(path: Path) -> str:
    return _text(path)[-2000:]


def _reactor_option() -> list[str]:
    """The gateway runs on the reactor that the tests run on: see tests/reactors.py."""
    from twisted.internet import reactor

    return [] if isinstance(reactor, UvReactor) else ["--reactor=epoll"]
