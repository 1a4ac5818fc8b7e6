from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import endpoints, threads
from twisted.internet.interfaces import IListeningPort
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import provider

from gwproxy.admin.site import admin_site
from gwproxy.observe.metrics import Metrics


@attrs.frozen
class Route:
    name: str
    pattern: str


@pytest.fixture(params=["tcp", "unix"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """The address of an admin site that listens, over TCP or a unix socket."""
    from twisted.internet import reactor

    metrics = Metrics("1.2.3")
    site = admin_site(
        reactor,
        metrics.exposition,
        not_ready=lambda: ["draining"],
        routes=lambda: [Route("users", "/users/")],
    )
    path = str(tmp_path / "admin.sock")
    endpoint = "tcp:0:interface=127.0.0.1" if request.param == "tcp" else f"unix:{path}"
    port: IListeningPort = pytest_twisted.blockon(endpoints.serverFromString(reactor, endpoint).listen(site))
    yield path if request.param == "unix" else ("127.0.0.1", port.getHost().port)  # type: ignore[attr-defined]  # not a unix address
    pytest_twisted.blockon(port.stopListening())


async def ask(address: Any, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to one request, from a client of its own."""

    def talk() -> bytes:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with socket.socket(family) as client:
            client.settimeout(10)
            client.connect(address)
            client.sendall(request)
            answer = b""
            while data := client.recv(65536):
                answer += data
            return answer

    answer: bytes = await threads.deferToThread(talk)
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


async def get(address: Any, path: bytes, method: bytes = b"GET") -> tuple[bytes, bytes]:
    return await ask(address, method + b" " + path + b" HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")


@pytest_twisted.ensureDeferred
async def test_the_pages(listening: Any) -> None:
    answers = {
        path: await get(listening, path) for path in (b"/healthz", b"/readyz", b"/metrics", b"/upstreams", b"/routes")
    }
    statuses = [head.split(b" ", 2)[1] for head, _ in answers.values()]
    assert statuses == [b"200", b"503", b"200", b"200", b"200"]
    assert b'gateway_build_info{version="1.2.3"} 1.0\n' in answers[b"/metrics"][1]
    assert json.loads(answers[b"/upstreams"][1]) == []
    assert json.loads(answers[b"/routes"][1]) == [{"name": "users", "path": "/users/"}]
    assert answers[b"/readyz"][1] == b"draining\n"


@pytest.mark.parametrize("path", [b"/", b"/nothing", b"/healthz/x/y", b"//healthz", b"/metrics%2f", b"/../healthz"])
@pytest_twisted.ensureDeferred
async def test_there_is_nothing_else(listening: Any, path: bytes) -> None:
    head, _ = await get(listening, path)
    # below a page the page answers; it is a leaf
    assert head.split(b" ", 2)[1] == (b"200" if path.startswith(b"/healthz/") else b"404")


@pytest_twisted.ensureDeferred
async def test_it_does_not_say_what_it_is(listening: Any) -> None:
    for head, body in (
        await get(listening, b"/healthz"),
        await get(listening, b"/nothing"),
        await get(listening, b"/healthz", b"POST"),
    ):
        assert b"server:" not in head.lower()
        assert b"twisted" not in (head + body).lower()


@pytest_twisted.ensureDeferred
async def test_only_reading(listening: Any) -> None:
    head, _ = await ask(
        listening,
        b"POST /healthz HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: 9\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--y\r\n\r\n\r\n",
    )
    assert head.startswith(b"HTTP/1.1 405 ")
    assert (await get(listening, b"/healthz", b"HEAD"))[1] == b""


@pytest_twisted.ensureDeferred
async def test_scrapes_are_not_logged(listening: Any) -> None:
    events: list[LogEvent] = []

    @provider(ILogObserver)
    def collect(event: LogEvent) -> None:
        events.append(event)

    globalLogPublisher.addObserver(collect)
    try:
        await get(listening, b"/metrics")
    finally:
        globalLogPublisher.removeObserver(collect)
    assert events == []
