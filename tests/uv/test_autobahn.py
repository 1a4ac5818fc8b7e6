"""Somebody else's protocols on it, unchanged: Autobahn's WebSocket server and client."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.uv.net import global_reactor, listening, until

websocket = pytest.importorskip("autobahn.twisted.websocket", reason="without Autobahn")

MESSAGES = [b"hello", b"", b"x" * 100_000, bytes(range(256)) * 8192]


class Echo(websocket.WebSocketServerProtocol):  # type: ignore[misc, name-defined]  # untyped
    """Sends back what it gets."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


class Caller(websocket.WebSocketClientProtocol):  # type: ignore[misc, name-defined]  # untyped
    """Sends all messages at once and closes when the last has come back."""

    def onOpen(self) -> None:
        self.factory.got = []
        for message in MESSAGES:
            self.sendMessage(message, isBinary=True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.got.append(payload)
        if len(self.factory.got) == len(MESSAGES):
            self.sendClose(1000)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.factory.closed.callback((wasClean, code, reason))


@pytest_twisted.ensureDeferred
async def test_echo() -> None:
    reactor = global_reactor()
    server: Any = websocket.WebSocketServerFactory(reactor=reactor)
    server.protocol = Echo
    async with listening(server) as port:
        client: Any = websocket.WebSocketClientFactory(f"ws://127.0.0.1:{port.getHost().port}", reactor=reactor)
        client.protocol = Caller
        client.noisy = False
        client.closed = Deferred()
        reactor.connectTCP("127.0.0.1", port.getHost().port, client)
        assert (await client.closed)[:2] == (True, 1000)
        assert client.got == MESSAGES
        await until(lambda: not reactor.streams)
