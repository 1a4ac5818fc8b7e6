"""The gateway of these tests: gw.ini beside this file, one for all of them."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.kit.dead_ports import BlackHole, RefusingPort
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.upstream import ScriptedUpstream

CONFIG = Path(__file__).with_name("gw.ini")


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class UnixHandler(socketserver.StreamRequestHandler):
    """Answers each request, keep-alive."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            if line == b"\r\n":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix")


@pytest.fixture(scope="session")
def unix_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a server."""
    path = tmp_path_factory.mktemp("unix") / "s"
    with UnixServer(str(path), UnixHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield path
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def gateway(
    upstreams: dict[str, ScriptedUpstream], unix_server: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """In the place of the one of tests/wire."""
    refusing, hole = RefusingPort(), BlackHole()
    ports = {name: server.port for name, server in upstreams.items()}
    values = {**ports, "REFUSING": refusing.port, "BLACK_HOLE": hole.port, "SOCKET": unix_server}
    try:
        with running(CONFIG.read_text(), tmp_path_factory.mktemp("gateway"), values) as process:
            yield process
    finally:
        refusing.close()
        hole.close()
