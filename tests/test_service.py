"""The daemon's life in memory: where it listens, when it is ready, how it drains. As a process: test_tap.py."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import provider

from gwproxy.config import ConfigErrors, parse
from gwproxy.filters.registry import filter_types
from gwproxy.service import CannotListen, GatewayService, shown, with_backlog
from tests.flow.kit.peer import Peer
from tests.flow.kit.wire import Wire

TEXT = """\
[gateway]
drain = 5s
[log]
access = off
error = off
security = off
[admin]
endpoint = tcp:9180:interface=127.0.0.1
[listen:one]
endpoint = tcp:8080
[listen:two]
endpoint = tcp:8081:interface=127.0.0.1
[upstream:echo]
servers = builtin:echo
[route:hello]
path = = /hello
respond = 200 hello
[route:echo]
path = /echo/
upstream = echo
"""
HELLO = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
ECHO = b"GET /echo/ HTTP/1.1\r\nHost: a\r\n\r\n"
CLIENT = IPv4Address("TCP", "192.0.2.7", 4000)


def config_of(source: str) -> Any:
    types = {name: each.options_class for name, each in filter_types().items()}
    return parse(source.encode(), "gw.ini", environ={}, filter_types=types)


class Daemon:
    def __init__(self, source: str = TEXT) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.service = GatewayService(config_of(source), self.reactor)
        self.stopped: list[Any] = []

    def start(self) -> Daemon:
        self.service.privilegedStartService()
        self.service.startService()
        return self

    def stop(self) -> None:
        """What twistd does when the reactor stops."""
        self.service.stopService().addBoth(self.stopped.append)

    def connect(self, port: int) -> Peer:
        """A client of what listens on `port`."""
        [factory] = [factory for number, factory, _, _ in self.reactor.tcpServers if number == port]
        wire = Wire(self.reactor, factory.buildProtocol(CLIENT), CLIENT, IPv4Address("TCP", "192.0.2.1", port))
        wire.open()
        return Peer(self.reactor, wire)

    def ready(self) -> tuple[int, Any]:
        """Status of /readyz, and what it says."""
        admin = self.connect(9180)
        admin >> b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        head, _, body = admin.take_raw().partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def passes(self, seconds: float) -> None:
        for _ in range(20):
            self.reactor.advance(seconds / 20)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    made = Daemon().start()
    yield made
    if not made.stopped:
        made.stop()
    made.passes(30)
    assert made.stopped == [None]
    left = [call for call in made.reactor.getDelayedCalls() if "twisted" not in call.func.__module__]
    assert not left


def test_making_it_listens_nowhere() -> None:
    daemon = Daemon()
    assert not daemon.reactor.tcpServers and not daemon.reactor.getDelayedCalls()


def test_mistakes_that_only_the_build_sees() -> None:
    with pytest.raises(ConfigErrors, match=r"\[filter:f\] a filter of type headers needs"):
        Daemon(TEXT + "[filter:f]\ntype = headers\n")


def test_where_it_listens(daemon: Daemon) -> None:
    listening = [(port, interface) for port, _, _, interface in daemon.reactor.tcpServers]
    assert listening == [(0, "127.0.0.1"), (8080, ""), (8081, "127.0.0.1"), (9180, "127.0.0.1")]
    assert [listener.port for listener in daemon.service.listeners] == [8080, 8081]


def test_what_cannot_be_bound_ends_the_start() -> None:
    daemon = Daemon()

    def refuse(port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        if port == 8081:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        return MemoryReactorClock.listenTCP(daemon.reactor, port, factory, backlog, interface)

    daemon.reactor.listenTCP = refuse
    with pytest.raises(CannotListen, match=r"\[listen:two\] tcp:8081.*Address already in use"):
        daemon.service.privilegedStartService()
    daemon.service.gateway.close()


def test_it_serves(daemon: Daemon) -> None:
    for port in (8080, 8081):
        client = daemon.connect(port)
        client >> HELLO
        assert client.take().endswith(b"\r\n\r\nhello")
    metrics = daemon.connect(9180)
    metrics >> b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    text = metrics.take_raw().decode()
    assert re.search(
        r'^gateway_requests_total\{(?=.*code="200")(?=.*method="GET").*route="hello".* 2(\.0)?$', text, re.M
    )
    assert 'gateway_connections{listener="one"} 1.0' in text


def test_it_is_ready_from_its_start_to_its_drain() -> None:
    daemon = Daemon()
    daemon.service.privilegedStartService()
    assert daemon.ready()[0] == 503
    daemon.service.startService()
    assert daemon.ready()[0] == 200
    client = daemon.connect(8080)
    client >> ECHO
    daemon.stop()
    status, body = daemon.ready()
    assert status == 503 and b"draining" in body
    client.resets()
    daemon.passes(5)
    assert daemon.stopped == [None]


def test_a_drain_without_anything_in_flight_is_over_at_once() -> None:
    daemon = Daemon().start()
    idle = daemon.connect(8080)
    daemon.stop()
    assert idle.was_closed
    daemon.passes(0.1)
    assert daemon.stopped == [None]


def test_a_drain_waits_for_what_is_in_flight(daemon: Daemon) -> None:
    client = daemon.connect(8080)
    client >> ECHO
    daemon.stop()
    daemon.passes(4)
    assert not daemon.stopped and not client.is_gone
    host, port, factory, _, _ = daemon.reactor.tcpClients[-1]
    server = IPv4Address("TCP", host, port)
    wire = Wire(daemon.reactor, factory.buildProtocol(server), server, server)
    wire.open()
    Peer(daemon.reactor, wire) >> b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    client << b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    assert client.was_closed
    daemon.passes(0.1)
    assert daemon.stopped == [None]


def test_a_response_that_still_leaves_is_waited_for(daemon: Daemon) -> None:
    """Its exchange is over, its last bytes are not out."""
    client = daemon.connect(8080)
    client.stops_reading()
    client >> HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    daemon.stop()
    daemon.passes(0.5)
    assert not daemon.stopped
    client.reads_on()
    assert client.take().endswith(b"hello")
    daemon.passes(0.1)
    assert daemon.stopped == [None]


def test_a_drain_waits_for_a_request_that_was_just_coming(daemon: Daemon) -> None:
    """Also when nothing else was in flight: it was there before the drain."""
    client = daemon.connect(8080)
    client >> ECHO[:10]
    daemon.stop()
    daemon.passes(0.5)
    client >> ECHO[10:]
    daemon.passes(3)
    assert not client.take_raw() and not daemon.stopped
    daemon.passes(2)
    client.refused(503, "draining", closes=True)
    client.resets()
    daemon.passes(0.1)
    assert daemon.stopped == [None]


def test_a_drain_ends(daemon: Daemon) -> None:
    client = daemon.connect(8080)
    client >> ECHO
    daemon.stop()
    daemon.passes(4.9)
    assert not client.take_raw() and not daemon.stopped
    daemon.passes(0.2)
    head, _, body = client.take_raw().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert json.loads(body)["reason"] == "draining"
    client.shuts()
    daemon.passes(3)
    assert daemon.stopped == [None]


def test_the_second_signal_does_not_wait() -> None:
    daemon = Daemon().start()
    client = daemon.connect(8080)
    client >> ECHO
    daemon.service._terminate()
    assert daemon.reactor.hasStopped
    daemon.stop()
    assert not client.take_raw()
    daemon.service._terminate()
    assert client.take_raw().startswith(b"HTTP/1.1 503 ")
    client.shuts()
    daemon.passes(3)
    assert daemon.stopped == [None]


def test_it_warns_of_what_is_probably_not_meant_so() -> None:
    warned = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event["log_level"] is LogLevel.warn:
            warned.append(formatEvent(event))

    source = TEXT.replace("respond = 200 hello", "respond = 200 hello\nfilters = who")
    daemon = Daemon(f"{source}[filter:who]\ntype = require\nscopes = x\n")
    globalLogPublisher.addObserver(observe)
    daemon.start()
    globalLogPublisher.removeObserver(observe)
    daemon.stop()
    assert [text.partition(" asks")[0] for text in warned] == ["gw.ini:18: [route:hello] who (require)"]


def test_it_tells_what_to_try(daemon: Daemon) -> None:
    assert daemon.service._curl_line() == "curl -i http://127.0.0.1:8080/echo/"


@pytest.mark.parametrize(
    ("endpoint", "full"),
    [
        ("tcp:80", "tcp:80:backlog=4096"),
        ("tcp6:80:interface=\\:\\:1", "tcp6:80:interface=\\:\\:1:backlog=4096"),
        ("unix:/run/gw.sock", "unix:/run/gw.sock:backlog=4096"),
        ("tcp:80:backlog=5:interface=127.0.0.1", "tcp:80:backlog=5:interface=127.0.0.1"),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
    ],
)
def test_a_burst_of_connections_finds_room(endpoint: str, full: str) -> None:
    assert with_backlog(endpoint) == full


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (IPv4Address("TCP", "0.0.0.0", 80), "0.0.0.0:80"),
        (IPv6Address("TCP", "::", 80), "[::]:80"),
        (UNIXAddress(b"/run/gw.sock"), "unix:/run/gw.sock"),
        (UNIXAddress("/run/gw.sock"), "unix:/run/gw.sock"),
    ],
)
def test_an_address_as_people_write_it(address: Any, text: str) -> None:
    assert shown(address) == text
