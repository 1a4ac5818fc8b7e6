"""SCORECARD G6: whatever becomes of a log's target, serving goes on; whatever a client sends, a line is a line."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gwproxy.observe.access import FIELDS
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.gateway import LOG_PATIENCE, GatewayProcess, LogRecord, running

CONFIG = """
[admin]
endpoint = tcp:@PORT_ADMIN@:interface=127.0.0.1

[log]
access = {access}
error = error.log
security = {security}

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[route:local]
path = /local/
respond = 200 here
"""


def eventually(condition: Callable[[], object], what: str) -> None:
    """Until it holds. Logs are written once a second."""
    deadline = time.monotonic() + LOG_PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def has_id(wanted: str, record: LogRecord) -> bool:
    return bool(record["id"] == wanted)


def write_errors(gateway: GatewayProcess, log: str) -> float:
    return gateway.metrics().value("gateway_log_write_errors_total", log=log)


@pytest.mark.slow
def test_g6_the_disk_is_full_and_the_folder_is_gone(tmp_path: Path) -> None:
    """Failed attempts are counted and told in the error log; what could not be written is written when it can be."""
    folder = tmp_path / "logs"
    folder.mkdir()
    config = CONFIG.format(access="/dev/full", security="logs/security.log")
    with running(config, tmp_path, {}) as gateway, gateway.connect() as client:
        assert client.ask(request(target=b"/local/1")).status == 200
        folder.rename(tmp_path / "away")
        os.kill(gateway.pid, signal.SIGUSR1)
        with gateway.connect() as refused:
            refusal = refused.ask(b"GET / HTTP/1.1\r\n\r\n")
        assert refusal.status == 400
        eventually(lambda: write_errors(gateway, "access") and write_errors(gateway, "security"), "nothing is counted")
        assert client.ask(request(target=b"/local/2")).status == 200
        message = "the access log is not written as it should be"
        gateway.wait_for_log(lambda record: record["message"].startswith(message), "error.log")

        folder.mkdir()
        eventually((folder / "security.log").exists, "the security log is not written again")
        eventually((folder / "security.log").read_text, "the security log is not written again")
        [line] = (folder / "security.log").read_text().splitlines()
        assert json.loads(line)["id"] == (refusal.headers.get(b"x-request-id") or b"").decode()
        assert client.ask(request(target=b"/local/3")).status == 200


@pytest.mark.slow
def test_g6_the_reader_of_a_pipe_is_stuck(tmp_path: Path) -> None:
    """Serving goes on while more is logged than may wait; lost lines are counted, those that come are whole."""
    fifo = tmp_path / "access.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with running(CONFIG.format(access=fifo, security="off"), tmp_path, {}) as gateway, gateway.connect() as client:
            long = request(target=b"/local/" + b"a" * 8000)
            # 8 MiB may wait
            for _ in range(110):
                client.send(long * 10)
                assert {client.read_response().status for _ in range(10)} == {200}
            dropped = gateway.metrics().value("gateway_log_lines_dropped_total", log="access")
            assert dropped > 0
            fcntl.fcntl(reader, fcntl.F_SETFL, 0)
            # from now on the reader reads, as fast as it comes
            came = _read_lines(reader, 1100 - int(dropped))
            assert all(json.loads(line)["status"] == 200 for line in came)
            assert client.ask(request(target=b"/local/last")).status == 200
    finally:
        os.close(reader)


@pytest.mark.slow
def test_g6_a_stuck_reader_does_not_hold_up_the_end(tmp_path: Path) -> None:
    fifo = tmp_path / "access.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with running(CONFIG.format(access=fifo, security="off"), tmp_path, {}) as gateway, gateway.connect() as client:
            client.send(request(target=b"/local/" + b"a" * 8000) * 20)
            assert {client.read_response().status for _ in range(20)} == {200}
            assert gateway.stop() == 0
    finally:
        os.close(reader)


def _read_lines(descriptor: int, count: int) -> list[bytes]:
    data = b""
    while data.count(b"\n") < count:
        piece = os.read(descriptor, 1 << 20)
        assert piece, "the pipe is closed"
        data += piece
    return data.splitlines()


AGENTS = [
    b'quote " backslash \\ brace } comma , {"status":200}',
    b"tab\tbetween",
    bytes(range(0x80, 0x100)),
    "\u2028\u2029\ufeff\U0001f600".encode(),
    b"%0d%0a{}\\r\\n\\u0000",
    b"a" * 15_000,
    b"\\",
    b'"',
]


def test_g6_a_line_is_a_line_whatever_the_agent_is(client: RawClient, gateway: GatewayProcess) -> None:
    expected = {}
    for agent in AGENTS:
        response = client.ask(request(b"User-Agent: " + agent, b"Referer: " + agent))
        assert response.status == 200
        expected[(response.headers.get(b"x-request-id") or b"").decode()] = agent.decode("latin-1")[:1024]
    for request_id, logged in expected.items():
        record = gateway.wait_for_log(partial(has_id, request_id))
        assert (record["ua"], tuple(record)) == (logged, FIELDS)


HOSTILE = [
    request(b"User-Agent: " + b"a" * (1 << 20)),
    request(b"User-Agent: a\r\n\x1b[31m"),
    request(b"User-Agent: a\x00\x1b"),
    request(target=b'/up/"\\{}'),
    request(target=b"/up/\xff\xfe"),
    request(target=b"/up/%0d%0a%00"),
    request(target=b"/" + b'"' * 9000),
    request(host=b'"\\\xff'),
    request(method=b"\x1b[2J"),
    request(method=b'"'),
    b'"\r\n{"\r\n\r\n',
    b"\x1b]0;title\x07\r\n\r\n",
    bytes(range(256)) * 4 + b"\r\n\r\n",
]


def test_g6_also_of_what_is_no_request(gateway: GatewayProcess, client: RawClient) -> None:
    """In every log: each line parses, and is that of its request."""
    ids = {}
    for raw in HOSTILE:
        with gateway.connect() as hostile:
            response = hostile.ask(raw)
            ids[(response.headers.get(b"x-request-id") or b"").decode()] = response.status
    for request_id, status in ids.items():
        record = gateway.wait_for_log(partial(has_id, request_id))
        assert (record["status"], tuple(record)) == (status, FIELDS)
    assert len(gateway.log_records("security.log")) >= len([status for status in ids.values() if status >= 400])
    raw_lines = (gateway.folder / "access.log").read_bytes() + (gateway.folder / "security.log").read_bytes()
    assert not set(raw_lines) - {10, *range(32, 127)}
