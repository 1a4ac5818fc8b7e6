"""What is over is gone at once: the daemon lets Python's garbage collector look seldom (see gwproxy.service)."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import task, threads

from gwproxy.build import Builder
from gwproxy.config import parse
from gwproxy.edge.channel import EdgeChannel
from gwproxy.edge.listener import Listener
from gwproxy.runtime.keep import Keeper
from gwproxy.upstream.protocol import UpstreamConnection
from tests.flow.kit.flow import CONFIG
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.upstream import ScriptedUpstream
from tests.wire.kit.upstream import UpstreamConnection as ServersEnd


class _Nobody:
    def exchange_finished(self, exchange: Any) -> None: ...


def _alive() -> list[object]:
    return [each for each in gc.get_objects() if type(each) in (EdgeChannel, UpstreamConnection)]


@pytest.mark.parametrize(
    "raw",
    [
        request(target=b"/x"),
        request(b"Content-Length: 4", method=b"POST", body=b"body"),
        request(b"Content-Length: 40", method=b"POST", body=b"and no more"),
        b"nonsense\r\n\r\n",
    ],
    ids=["get", "post", "half a post", "nonsense"],
)
@pytest_twisted.ensureDeferred
async def test_connections_leave_nothing_for_the_collector(raw: bytes) -> None:
    """Both sides of them, on real sockets: Twisted's own objects hold the ends of such cycles."""
    from twisted.internet import reactor

    any_reactor: Any = reactor
    server = ScriptedUpstream()
    answered = b"and no more" not in raw

    def handler(connection: ServersEnd) -> None:
        if answered:
            connection.read_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            connection.wait_ended()

    server.handler = handler
    parts = dict.fromkeys(("gateway", "listen", "upstream", "filters", "route", "more"), "")
    text = CONFIG.format(servers=f"http://127.0.0.1:{server.port}", **parts)
    config = parse(text.encode(), "gw.ini", environ={}, filter_types={})
    gateway = Builder(config, reactor, Keeper(), _Nobody(), {}).build()
    listener = Listener(config.listeners["http"], gateway.site, any_reactor)
    port = any_reactor.listenTCP(0, listener, interface="127.0.0.1")

    def talk() -> None:
        for _ in range(3):
            with RawClient(port.getHost().port) as client:
                client.send(raw)
                if answered:
                    client.read_response()

    gc.collect()
    before = len(_alive())
    gc.disable()
    try:
        await threads.deferToThread(talk)
        for _ in range(200):
            if len(_alive()) == before:
                break
            await task.deferLater(any_reactor, 0.01, lambda: None)
        left = _alive()
        assert len(left) == before, left
    finally:
        gc.enable()
        await port.stopListening()
        gateway.close()
        server.close()
