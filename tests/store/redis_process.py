"""A real Redis on a free port of 127.0.0.1, which forgets all when it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

PATIENCE = 10.0


def require_redis() -> None:
    """Skips the test where there is no redis-server; fails it where all of them must run."""
    if shutil.which("redis-server") is None and "CI" not in os.environ:
        pytest.skip("redis-server is not installed: apt-get install redis-server")


class RedisProcess:
    """One Redis. `folder` is for its UNIX socket and its log; `arguments` are options of its command line."""

    def __init__(self, folder: Path, *arguments: str, password: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self._password = password
        self._arguments = [*arguments, *(["--requirepass", password] if password else [])]
        self._options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._options += ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        credentials = f":{self._password}@" if self._password else ""
        return f"redis://{credentials}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it answers."""
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", *self._options, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "redis.log").read_text()
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        """Ends it at once, connections and all."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(PATIENCE)

    def pause(self) -> None:
        """It stays connected, and does nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """After pause()."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def ask(self, *command: str) -> str:
        """What Redis answers, as it stands on the wire."""
        with self._connect() as sock:
            return _send(sock, *command)

    def hold_up(self, seconds: float) -> None:
        """Lets nobody be answered for a while; returns at once."""
        with self._connect() as sock:
            _send(sock, "PING")  # by now it knows of the connection
            # It finds this first when it wakes up, before whatever others ask from now on.
            self.pause()
            sock.sendall(_command("DEBUG", "SLEEP", str(seconds)))
            self.resume()

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        if self._password:
            _send(sock, "AUTH", self._password)
        return sock

    def _answers(self) -> bool:
        try:
            return self.ask("PING") == "+PONG\r\n"
        except OSError:
            return False


def _command(*parts: str) -> bytes:
    return f"*{len(parts)}\r\n".encode() + b"".join(f"${len(part)}\r\n{part}\r\n".encode() for part in parts)


def _send(sock: socket.socket, *command: str) -> str:
    sock.sendall(_command(*command))
    return sock.recv(65536).decode()


def free_port() -> int:
    """One that nobody listens on, as far as anybody can know."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
