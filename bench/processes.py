"""Programs that the benchmark starts: pinned to a CPU, read from /proc, always ended.

Each runs in a process group of its own, which is ended by its id when the `with` block is left, however it is left.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.sockets import Client

STOP_SECONDS = 5.0
TICK = os.sysconf("SC_CLK_TCK")


class StartFailed(Exception):
    """A program did not come up; says what it wrote last."""


class Running:
    """A started program with its children."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self._process = process
        self._output = output

    def cpu_seconds(self) -> float:
        """User and system time of the whole process tree so far."""
        return sum(_cpu_seconds(pid) for pid in self._tree())

    def memory_bytes(self) -> int:
        """PSS of the whole process tree: pages shared between processes count once."""
        return sum(_pss_bytes(pid) for pid in self._tree())

    def wait_ready(self, client: Client, request: bytes, seconds: float = 15.0, pause: float = 0.002) -> None:
        """Return at the first 200. Raises StartFailed if the program ends or `seconds` pass."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise StartFailed(f"ended with status {self._process.returncode}: {self.last_output()}")
            try:
                if client.once(request) == 200:
                    return
            except (OSError, EOFError):
                pass
            time.sleep(pause)
        raise StartFailed(f"no 200 within {seconds:.0f} s: {self.last_output()}")

    def last_output(self) -> str:
        """The end of what the program wrote to its standard output and error."""
        return self._output.read_text(errors="replace")[-600:].strip() or "(it wrote nothing)"

    def stop(self) -> None:
        """SIGTERM to the group, SIGKILL if it is not gone in time."""
        _signal_group(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _signal_group(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_SECONDS)
        # Children outlive a parent that was killed or that does not wait for them.
        _signal_group(self._process.pid, signal.SIGKILL)

    def _tree(self) -> list[int]:
        pids = [self._process.pid]
        for pid in pids:  # grows while it is walked
            pids += _children(pid)
        return pids


@contextmanager
def running(
    command: Sequence[str], *, cpu: int, output: Path, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Running]:
    """Start `command` on `cpu`; what it prints goes to the file `output`."""
    with output.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),  # before its first thread exists
        )
    program = Running(process, output)
    try:
        yield program
    finally:
        program.stop()


def port_is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in _tasks(pid):
        try:
            found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue  # the thread is gone
    return found


def _cpu_seconds(pid: int) -> float:
    """Nanosecond accounting of each thread where the kernel has it, else the ticks of the process."""
    total = 0.0
    try:
        for task in _tasks(pid):
            total += int((task / "schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return _cpu_ticks(pid)
    return total


def _cpu_ticks(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _pss_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass
