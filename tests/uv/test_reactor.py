"""The reactor as a whole: what stops it, what wakes it, what it does when the system runs out."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ReactorAlreadyInstalledError
from twisted.internet.interfaces import (
    IReactorCore,
    IReactorFDSet,
    IReactorProcess,
    IReactorSocket,
    IReactorSSL,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUNIX,
)
from twisted.logger import LogEvent
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tests.uv.net import PLENTY, Probe, Told, global_reactor, served, turns, until
from tests.uv.script import output, run


@pytest.mark.parametrize(
    "interface",
    [
        IReactorCore,
        IReactorFDSet,
        IReactorProcess,
        IReactorSSL,
        IReactorSocket,
        IReactorTCP,
        IReactorThreads,
        IReactorTime,
        IReactorUNIX,
    ],
)
def test_is_the_reactor_that_callers_expect(interface: Any) -> None:
    verifyObject(interface, global_reactor())


def test_there_is_one_in_a_process() -> None:
    from gwproxy.uv.reactor import install

    with pytest.raises(ReactorAlreadyInstalledError):
        install()


def test_asyncio_finds_its_loop() -> None:
    assert (
        output("""
        import asyncio
        async def told():
            await asyncio.sleep(0)
            return asyncio.get_running_loop() is reactor.loop
        def start():
            from twisted.internet.defer import Deferred
            d = Deferred.fromFuture(asyncio.ensure_future(told()))
            d.addCallback(print)
            d.addCallback(lambda _: reactor.stop())
        reactor.callWhenRunning(start)
        reactor.run()
        """)
        == "True\n"
    )


@pytest_twisted.ensureDeferred
async def test_a_thread_wakes_it() -> None:
    told: Deferred[str] = Deferred()
    reactor = global_reactor()
    thread = threading.Thread(target=reactor.callFromThread, args=(told.callback, "woken"))
    reactor.callLater(0, thread.start)
    assert await told == "woken"
    thread.join()


@pytest_twisted.ensureDeferred
async def test_what_the_loop_can_tell_nobody_is_logged(logged_errors: list[LogEvent]) -> None:
    def raise_it() -> None:
        raise ZeroDivisionError

    loop = global_reactor().loop
    loop.call_soon(raise_it)
    loop.call_exception_handler({"message": "something without an exception"})
    await turns()
    texts = [str(event.get("log_failure") or event["message"]) for event in logged_errors]
    assert len(texts) == 2
    assert "something without an exception" in texts[0] and "ZeroDivisionError" in texts[1]
    logged_errors.clear()


# Streams among the descriptors


@pytest_twisted.ensureDeferred
async def test_readers_and_writers() -> None:
    reactor, probe = global_reactor(), Probe()
    async with served(probe) as peer:
        stream = probe.transport
        await turns()
        assert stream in reactor.getReaders() and stream not in reactor.getWriters()
        reactor.removeReader(stream)
        assert stream not in reactor.getReaders()
        peer.send(b"hello")
        await turns()
        assert not probe.received
        reactor.addReader(stream)
        await until(lambda: probe.received == b"hello")
        stream.write(PLENTY)
        assert stream in reactor.getWriters()
        reactor.removeWriter(stream)
        reactor.addWriter(stream)
        await peer.take_bytes(len(PLENTY))
        await until(lambda: stream not in reactor.getWriters())


@pytest_twisted.ensureDeferred
async def test_all_removed_and_lost_as_by_a_reactor_that_stops() -> None:
    reactor, probe = global_reactor(), Probe()
    async with served(probe) as peer:
        stream = probe.transport
        producer = Told()
        stream.registerProducer(producer, True)
        stream.write(PLENTY)
        await turns()
        removed = reactor.removeAll()
        assert removed.count(stream) == 1
        assert stream not in reactor.getReaders()
        peer.send(b"hello")
        await turns()
        assert not probe.received
        for selectable in removed:
            selectable.connectionLost(Failure(ConnectionAborted()))
        assert probe.lost_by(ConnectionAborted), "at once: there is no next turn"
        assert producer.told == ["pause", "stop"]
        await turns()
        assert stream.fileno() == -1 and not reactor.streams


def test_connections_are_told_when_it_stops() -> None:
    assert (
        output("""
        class Told(Protocol):
            def connectionMade(self):
                reactor.callLater(0, reactor.stop)
            def connectionLost(self, reason):
                print(reason.type.__name__)

        port = reactor.listenTCP(0, Factory.forProtocol(Told), interface="127.0.0.1")
        client = socket.create_connection(("127.0.0.1", port.getHost().port))
        reactor.run()
        print(client.recv(1))
        client.close()
        """)
        == "ConnectionLost\nb''\n"
    )


@pytest.mark.parametrize("how", ["(close(), reactor.stop())", "(reactor.stop(), close())"])
def test_connections_that_are_being_closed_are_told_when_it_stops(how: str) -> None:
    assert (
        output(f"""
        class Told(Protocol):
            def connectionMade(self):
                close = self.transport.loseConnection
                reactor.callLater(0.01, lambda: {how})
            def connectionLost(self, reason):
                print(reason.type.__name__)

        port = reactor.listenTCP(0, Factory.forProtocol(Told), interface="127.0.0.1")
        client = socket.create_connection(("127.0.0.1", port.getHost().port))
        client.settimeout(1)
        reactor.run()
        print(client.recv(1))
        client.close()
        """)
        == "ConnectionLost\nb''\n"
    )


# Signals


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 0), ("SIGINT", 0)])
def test_signals_stop_it(name: str, status: int) -> None:
    ran = run(f"""
        reactor.addSystemEventTrigger("before", "shutdown", lambda: print("stopping"))
        reactor.callWhenRunning(os.kill, os.getpid(), signal.{name})
        reactor.run()
        print("stopped")
        """)
    assert ran.stdout == "stopping\nstopped\n", ran.stderr
    assert f"Received {name}, shutting down." in ran.stderr


def test_a_signal_wakes_it_while_it_waits() -> None:
    assert (
        output("""
        import threading
        signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(reactor.stop))
        def kill():
            os.kill(os.getpid(), signal.SIGUSR1)
        reactor.callWhenRunning(threading.Timer(0.05, kill).start)
        reactor.run()
        print("woken")
        """)
        == "woken\n"
    )


# Limits


def test_listening_survives_that_descriptors_run_out() -> None:
    """While there are none, connections are turned away or wait; afterwards they are served."""
    ran = run("""
        import resource

        class Greeting(Protocol):
            def connectionMade(self):
                self.transport.write(b"hello")
                self.transport.loseConnection()

        port = reactor.listenTCP(0, Factory.forProtocol(Greeting), interface="127.0.0.1")
        address = ("127.0.0.1", port.getHost().port)
        clients = [socket.socket() for _ in range(5)]
        late = socket.socket()
        taken = []

        def run_out():
            limit = max(map(int, os.listdir("/proc/self/fd"))) + 1
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            try:
                while True:
                    taken.append(os.dup(0))
            except OSError:
                pass
            for client in clients:
                client.connect(address)
            reactor.callLater(0.2, recover)

        def recover():
            while taken:
                os.close(taken.pop())
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            for client in clients:
                client.close()
            late.connect(address)
            reactor.callInThread(read)

        def read():
            print(late.recv(10).decode())
            late.close()
            reactor.callFromThread(reactor.stop)

        reactor.callLater(0, run_out)  # uvloop opens some itself when it starts
        reactor.run()
        """)
    assert ran.stdout == "hello\n", ran.stderr
    assert "EMFILE" in ran.stderr
