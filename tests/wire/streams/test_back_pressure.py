"""CORRECTNESS B4, SCORECARD C3 and C4: whoever does not read stops whoever sends, and costs no memory."""

from __future__ import annotations

import socket
import threading

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.bulk import digest, pieces, send_until_stuck, unusual_kernel_room
from tests.wire.kit.client import FIN, RawClient, request
from tests.wire.kit.gateway import GatewayProcess
from tests.wire.kit.lines import Lines
from tests.wire.kit.refusal import AccessLedger, check_reply
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond

CHUNKED = b"Transfer-Encoding: chunked"
MIB = 1 << 20
# In how many seconds nothing must have been taken, before a test believes that nothing more will be.
STUCK = 0.25


def upload(*lines: bytes, target: bytes = b"/up/x", body: bytes = b"") -> bytes:
    return request(*lines, method=b"POST", target=target, body=body)


@pytest.mark.parametrize("line", [b"Content-Length: 104857600", CHUNKED], ids=["length", "chunked"])
def test_b4_an_upstream_that_stops_reading_stops_the_client(
    gateway: GatewayProcess, client: RawClient, hoarder: ScriptedUpstream, line: bytes
) -> None:
    """SCORECARD C4: within 8 MB, of which the kernel has most; more only where it was set up to take more."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)
    before = gateway.rss_bytes()
    client.send(upload(line))
    if line is CHUNKED:
        client.send(b"6400000\r\n")
    send_until_stuck(client.socket, 8_000_000 + unusual_kernel_room(), STUCK)
    assert gateway.rss_bytes() - before < 2 * MIB


def test_b4_an_upload_goes_on_when_the_upstream_reads_again(client: RawClient, upstream: ScriptedUpstream) -> None:
    gate = threading.Event()
    digests: list[tuple[int, str]] = []

    def handler(connection: UpstreamConnection) -> None:
        head = connection.read_head()
        connection.wait(gate)
        digests.append(digest(connection.stream_body(head)))
        connection.send(OK)

    upstream.handler = handler
    size = 24 * MIB
    client.send(upload(b"Content-Length: %d" % size))
    threading.Timer(0.2, gate.set).start()
    for piece in pieces(size):
        client.send(piece)
    assert client.read_response().status == 200
    assert digests == [digest(pieces(size))]


def test_b4_an_upstream_that_takes_nothing_for_long_is_given_up(
    client: RawClient, hoarder: ScriptedUpstream, ledger: AccessLedger
) -> None:
    client.send(upload(b"Content-Length: 104857600", target=b"/impatient/x"))
    send_until_stuck(client.socket, 32 * MIB, STUCK)
    response = client.read_response()
    check_reply(response, 504, Reason.UPSTREAM_STALLED)
    assert response.headers.get(b"connection") == b"close"
    ledger.expect(response, "b4 upload", Reason.UPSTREAM_STALLED, by="gateway")


def endless(connection: UpstreamConnection) -> None:
    """Answers with 300 MB, as fast as they are taken."""
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300000000\r\n\r\n")
    for piece in pieces(300_000_000):
        connection.send(piece)


def narrow_client(port: int) -> RawClient:
    """One with small buffers in its kernel, so that a response that it does not read is soon stuck."""
    client = RawClient(port)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    return client


def test_b4_clients_that_do_not_read_cost_no_memory(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """SCORECARD C3, with twenty clients instead of fifty: under 1 MiB each."""
    upstream.handler = endless
    count = 20
    before = gateway.rss_bytes()
    clients = [narrow_client(gateway.ports["PORT"]) for _ in range(count)]
    for client in clients:
        client.send(request())
    for client in clients:
        assert client.read_head().status == 200
    # The first bytes are through; let the rest fill whatever room it finds.
    threading.Event().wait(STUCK)
    grown = gateway.rss_bytes() - before
    for client in clients:
        client.reset()
    upstream.wait_dropped()
    assert grown < count * MIB


def test_b4_answers_that_nobody_reads_do_not_pile_up(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """Many small responses, pipelined: the next request waits until the client has read."""
    upstream.handler = respond(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"a" * 60000)
    count = 400
    before = gateway.rss_bytes()
    with narrow_client(gateway.ports["PORT"]) as client:
        client.send(request() * count)
        threading.Event().wait(2 * STUCK)
        assert gateway.rss_bytes() - before < 2 * MIB
        assert len(upstream.requests) < count
        assert sum(len(client.read_response().body) for _ in range(count)) == count * 60000


def test_b4_a_download_goes_on_when_the_client_reads_again(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    size = 8 * MIB

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, *pieces(size))

    upstream.handler = handler
    with narrow_client(gateway.ports["PORT"]) as client:
        client.send(request())
        response = client.read_head()
        threading.Event().wait(0.1)
        assert client.read_body(response).body == b"".join(pieces(size))


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_b4_a_client_that_reads_nothing_for_long_is_cut(
    gateway: GatewayProcess, upstream: ScriptedUpstream, lines: Lines, version: bytes
) -> None:
    upstream.handler = endless
    target = b"/up/stalled-" + version
    with narrow_client(gateway.ports["PORT_IMPATIENT"]) as client:
        client.send(request(target=target, version=version))
        upstream.wait_for_requests(1)
        upstream.wait_dropped()
        lines.expect(target, status=499, reason=Reason.CLIENT_STALLED)
        with pytest.raises((EOFError, ConnectionResetError)):
            client.read_response()


def test_b4_a_client_that_reads_slowly_is_not_cut(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """Longer than idle_timeout in all, and never so long without a byte."""
    size = 6 * MIB

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, *pieces(size))

    upstream.handler = handler
    with narrow_client(gateway.ports["PORT_IMPATIENT"]) as client:
        client.send(request(b"Connection: close"))
        client.read_head()
        taken = 0
        for _ in range(10):
            threading.Event().wait(0.12)
            taken += len(client.read_some())
        rest, ending = client.read_until_closed()
        assert (taken + len(rest), ending) == (size, FIN)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_b4_an_upstream_that_sends_nothing_for_long_breaks_the_response(
    client: RawClient, upstream: ScriptedUpstream, lines: Lines, version: bytes
) -> None:
    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        connection.wait_ended()

    upstream.handler = handler
    target = b"/impatient/silent-" + version
    client.send(request(target=target, version=version))
    with pytest.raises((EOFError, ConnectionResetError)):
        client.read_response()
    lines.expect(target, status=200, reason=Reason.UPSTREAM_STALLED)
