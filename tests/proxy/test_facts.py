"""What filters and logs read of an exchange."""

from __future__ import annotations

import pytest

from gwproxy.filters.api import Exchange
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.scripted import Scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = (
    b"PUT /a/./%62?x=1 HTTP/1.1\r\nHost: A.Test:8080\r\nX-A: 1\r\nX-Forwarded-For: 198.51.100.9\r\n"
    b"X-Forwarded-Proto: https\r\nX-Request-ID: theirs\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody"
)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_request(trusted: bool, make_flow: MakeFlow) -> None:
    seen = Scripted()
    flow = make_flow(gateway="trusted_proxies = 192.0.2.7" if trusted else "", filters={"sees": seen})
    flow.wait(7)
    flow.client >> REQUEST
    [exchange] = seen.asked
    assert (exchange.method, exchange.target) == (b"PUT", b"/a/./%62?x=1")
    assert (exchange.scheme, exchange.host, exchange.path, exchange.query) == (b"http", b"a.test", b"/a/b", b"x=1")
    assert exchange.headers == [(b"X-A", b"1")]
    assert exchange.header(b"host") == b"A.Test:8080"
    assert exchange.header(b"x-a") == b"1"
    assert exchange.header(b"connection") is None
    assert exchange.peer_ip == "192.0.2.7"
    assert exchange.client_ip == ("198.51.100.9" if trusted else "192.0.2.7")
    assert (exchange.request_id == "theirs") is trusted
    assert exchange.route_name == "service"
    assert exchange.principal is None
    assert exchange.started == pytest.approx(7)
    for early in ("outgoing", "response_headers"):
        with pytest.raises(AttributeError):
            getattr(exchange, early)
    flow.upstream >> OK


def test_the_host_of_an_absolute_target(make_flow: MakeFlow) -> None:
    seen = Scripted()
    flow = make_flow(filters={"sees": seen})
    flow.client >> b"GET http://A.test:81/ HTTP/1.1\r\nHost: b.test\r\n\r\n"
    [exchange] = seen.asked
    assert (exchange.host, exchange.header(b"host")) == (b"a.test", b"A.test:81")
    flow.upstream >> OK


def test_a_response(make_flow: MakeFlow) -> None:
    seen: list[tuple[int, bool, bytes]] = []

    def response(exchange: Exchange) -> None:
        seen.append((exchange.status, exchange.from_upstream, exchange.response_headers[0][0]))

    flow = make_flow(filters={"sees": Scripted(response=response)}, upstream="retries = 0")
    flow.client >> REQUEST
    flow.upstream >> b"HTTP/1.1 201 Created\r\nX-First: 1\r\nContent-Length: 0\r\n\r\n"
    flow.connect() >> REQUEST
    flow.upstreams[0].shuts()
    flow.client.take()
    if flow.dials:
        flow.refuse()
    assert seen[0] == (201, True, b"X-First")
    assert [(status, from_upstream) for status, from_upstream, _ in seen[1:]] == [(502, False)]


def test_what_is_left_for_the_log(make_flow: MakeFlow) -> None:
    ended: list[Exchange] = []
    flow = make_flow(filters={"sees": Scripted(done=ended.append)})
    flow.client >> REQUEST
    flow.upstream >> OK
    [exchange] = ended
    assert exchange.status == 200 and exchange.from_upstream
    line = flow.last
    assert (line["bytes_in"], line["bytes_out"], line["tries"]) == (4, 2, 1)
    assert (line["method"], line["host"], line["path"]) == ("PUT", "a.test", "/a/./%62?x=1")
    assert (line["upstream"], line["server"], line["route"]) == ("service", "192.0.2.10:80", "service")
