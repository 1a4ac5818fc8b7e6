"""The echo service, and where services inside the gateway listen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock, StringTransport

from gwproxy.config.addresses import BUILTIN_SERVICES
from gwproxy.upstream.builtin import SERVICES, SHOWN, BuiltinServices


def ask(request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the echo service's answer."""
    reactor: Any = MemoryReactorClock()
    BuiltinServices().listen(["echo"], reactor)
    transport: Any = StringTransport()
    protocol = reactor.tcpServers[0][1].buildProtocol(None)
    protocol.makeConnection(transport)
    protocol.dataReceived(request)
    head, _, body = transport.value().partition(b"\r\n\r\n")
    return head, body


def test_the_services_are_those_that_a_configuration_may_name() -> None:
    assert tuple(SERVICES) == BUILTIN_SERVICES


def test_echo_answers_with_what_it_received() -> None:
    head, body = ask(
        b"PUT /a%20b?c=d&e HTTP/1.1\r\nHost: h\r\nx-A: 1\r\nX-A: \xe9\r\nContent-Length: 7\r\n\r\nh\xc3\xa9llo!"
    )
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: application/json\r\n" in head + b"\r\n"
    assert b"Content-Length: %d" % len(body) in head
    answer = json.loads(body)
    assert (answer["method"], answer["target"]) == ("PUT", "/a%20b?c=d&e")
    assert (answer["body"], answer["body_bytes"]) == ("héllo!", 7)
    values = [value for name, value in answer["headers"] if name.lower() == "x-a"]
    assert values == ["1", "é"]


def test_echo_shows_the_beginning_of_a_large_body() -> None:
    size = SHOWN + 1
    _, body = ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    answer = json.loads(body)
    assert (len(answer["body"]), answer["body_bytes"]) == (SHOWN, size)


def test_echo_survives_a_body_that_is_no_text_or_a_form() -> None:
    _, body = ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n\xff\0")
    assert json.loads(body)["body"] == "\ufffd\0"
    lines = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n"
    _, body = ask(b"POST / HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\na=b")
    assert json.loads(body)["body"] == "a=b"


def test_m1_echo_answers_head_without_a_body() -> None:
    head, body = ask(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"Content-Length: 0" not in head and b"Content-Length: " in head
    assert body == b""


@pytest.fixture
def services() -> BuiltinServices:
    return BuiltinServices()


def test_each_service_listens_once_on_loopback_only(services: BuiltinServices) -> None:
    reactor: Any = MemoryReactorClock()
    services.listen(["echo", "echo"], reactor)
    services.listen(["echo"], reactor)
    ((_, site, _, interface),) = reactor.tcpServers
    assert interface == "127.0.0.1"
    assert not site.noisy and not site.displayTracebacks
    assert set(services.ports) == {"echo"}


def test_once_stopped_it_is_nowhere_and_can_listen_again(services: BuiltinServices) -> None:
    stopped: list[str] = []

    class Port:
        def getHost(self) -> Any:
            return type("Address", (), {"port": 4711})

        def stopListening(self) -> None:
            stopped.append("stopped")

    class Reactor:
        def listenTCP(self, port: int, factory: object, interface: str) -> Port:
            assert port == 0
            return Port()

    services.listen(["echo"], Reactor())
    ports = services.ports
    assert ports == {"echo": 4711}
    services.stop()
    services.stop()
    assert ports is services.ports and not ports  # dialers hold it
    assert stopped == ["stopped"]
    services.listen(["echo"], Reactor())
    assert ports == {"echo": 4711}
