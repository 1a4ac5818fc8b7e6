"""Ten thousand connections, ended in all ways: nothing is left of them."""

from __future__ import annotations

import gc
import os
import random
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.protocol import ClientFactory, Factory, Protocol

from gwproxy.uv.stream import Stream
from tests.uv.net import HalfProbe, global_reactor, listening, turns, until

COUNT = 10_000
AT_ONCE = 300


class Ending(HalfProbe):
    """An end of a connection, which both say hello on; it ends as it is told to."""

    open = 0

    def __init__(self, end: str) -> None:
        super().__init__()
        self.end = end

    def connectionMade(self) -> None:
        super().connectionMade()
        Ending.open += 1
        self.transport.write(b"hello")
        if self.end.endswith("first thing"):
            self._end()

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self._end()

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        Ending.open -= 1

    def _end(self) -> None:
        kind = self.end.split()[0]
        if kind == "lose":
            self.transport.loseConnection()
        elif kind == "abort":
            self.transport.abortConnection()
        elif kind == "half":
            self.transport.loseWriteConnection()


ENDS = ["lose", "abort", "half", "wait", "lose first thing", "abort first thing", "half first thing"]


class Servers(Factory):
    noisy = False

    def __init__(self) -> None:
        self.random = random.Random(1)

    def buildProtocol(self, addr: Any) -> Protocol:
        return Ending(self.random.choice(ENDS))


class Clients(ClientFactory):
    noisy = False

    def __init__(self) -> None:
        self.random = random.Random(2)
        self.ended = 0
        self.failed: list[Any] = []

    def buildProtocol(self, addr: Any) -> Protocol:
        # one of the two ends has to begin
        return Ending(self.random.choice([end for end in ENDS if end != "wait"]))

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        self.ended += 1

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.failed.append(reason)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def left() -> list[Any]:
    gc.collect()
    names = {"TCPTransport", "UnixTransport", "TcpConnector", "TcpClient"}
    return [thing for thing in gc.get_objects() if isinstance(thing, (Stream, Ending)) or type(thing).__name__ in names]


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_nothing_is_left() -> None:
    reactor = global_reactor()
    clients = Clients()
    async with listening(Servers()) as port:
        before, there = descriptors(), {id(thing) for thing in left()}
        begun = 0
        number = port.getHost().port
        while begun < COUNT:
            for _ in range(min(AT_ONCE - (begun - clients.ended), COUNT - begun)):
                reactor.connectTCP("127.0.0.1", number, clients)
                begun += 1
            await turns(1)
        await until(lambda: clients.ended == COUNT and not Ending.open, "not all of them end")
        assert not clients.failed
        await turns()
        assert not reactor.streams
        assert descriptors() == before
        assert [thing for thing in left() if id(thing) not in there] == []
