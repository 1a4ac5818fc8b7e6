"""SCORECARD C5, C6, G8: many clients, too many clients, no descriptors left, and labels that strangers would choose."""

from __future__ import annotations

import os
import random
import resource
import socket
import string
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import FIN, RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.reader import PATIENCE
from tests.wire.kit.refusal import AccessLedger, check_reply
from tests.wire.kit.upstream import ScriptedUpstream

CONFIG = Path(__file__).with_name("attack.ini")
IDLE = 5000
# Each idle connection may cost so much; the bar is SCORECARD C5's.
BYTES_EACH = 20 * 1024
# Files that are opened with their first line.
LOGS = 3

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """One with bounds that are reached soon."""
    with (
        descriptors_allowed(),
        running(CONFIG.read_text(), tmp_path_factory.mktemp("limits"), {"MAIN": upstreams["MAIN"].port}) as process,
    ):
        yield process


@contextmanager
def descriptors_allowed() -> Iterator[None]:
    """As many as the system lets us have, for us and for what we start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def eventually(condition: Callable[[], object], what: str) -> None:
    """Until it holds; nobody tells when another process has done something."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far, in user and in kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_c5_thousands_of_idle_connections(
    gateway: GatewayProcess, record_property: Callable[[str, object], None]
) -> None:
    """Each has had an answer, as a browser's has: what it costs then is bounded, and given back."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE, hard - 500)
    ask = request(target=b"/local/x")
    with gateway.connect() as first:
        assert first.ask(ask).status == 200
    eventually(lambda: gateway.metrics().value("gateway_connections", listener="http") == 0, "the first one stays")
    descriptors, before = gateway.descriptors(), gateway.rss_bytes()
    with ExitStack() as opened:
        address = ("127.0.0.1", gateway.ports["PORT"])
        clients = [opened.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(count)]
        for client in clients:
            client.sendall(ask)
        assert all(client.recv(4096).startswith(b"HTTP/1.1 200") for client in clients)
        each = (gateway.rss_bytes() - before) / count
        print(f"{count} idle connections: {each / 1024:.1f} KiB each")
        record_property("kib_an_idle_connection", round(each / 1024, 1))
        assert gateway.metrics().value("gateway_connections", listener="http") == count
        assert each < BYTES_EACH
    eventually(lambda: gateway.descriptors() <= descriptors + LOGS, "descriptors are held for clients that are gone")
    assert gateway.metrics().value("gateway_connections", listener="http") == 0


@pytest.mark.parametrize(
    ("port", "listener", "bound"), [("PORT_CAPPED", "capped", 5), ("PORT_ADDRESS", "capped-by-address", 3)]
)
def test_c5_one_connection_too_many(
    gateway: GatewayProcess, ledger: AccessLedger, port: str, listener: str, bound: int
) -> None:
    """It is told so at once, before it has said anything; those that are there go on; a place that is free is given."""
    labels = {"route": "", "code": "503"}
    counted = gateway.metrics().value("gateway_requests_total", **labels)
    ask = request(target=b"/local/x")
    with ExitStack() as opened:
        clients = [opened.enter_context(gateway.connect(port)) for _ in range(bound)]
        assert [client.ask(ask).status for client in clients] == [200] * bound
        for _ in range(3):
            with gateway.connect(port) as refused:
                response = refused.read_response()
                check_reply(response, 503, Reason.OVERLOAD)
                assert response.headers.get(b"retry-after")
                assert refused.ending() == FIN
            ledger.expect(response, f"c5 {listener}", Reason.OVERLOAD, by="gateway")
        assert [client.ask(ask).status for client in clients] == [200] * bound
        clients[0].close()
        metrics = gateway.metrics
        eventually(lambda: metrics().value("gateway_connections", listener=listener) < bound, "no place became free")
        with gateway.connect(port) as client:
            assert client.ask(ask).status == 200
    assert gateway.metrics().value("gateway_requests_total", **labels) == counted + 3
    eventually(lambda: gateway.metrics().value("gateway_connections", listener=listener) == 0, "some are left")


def test_c5_a_refused_client_that_says_nothing_and_stays_costs_nothing(gateway: GatewayProcess) -> None:
    """The answer is out and the connection shut: it holds no descriptor for long, whatever the client does."""
    with ExitStack() as opened:
        clients = [opened.enter_context(gateway.connect("PORT_ADDRESS")) for _ in range(3)]
        assert [client.ask(request(target=b"/local/x")).status for client in clients] == [200] * 3
        before = gateway.descriptors()
        stubborn = [opened.enter_context(gateway.connect("PORT_ADDRESS")) for _ in range(20)]
        assert [client.read_response().status for client in stubborn] == [503] * 20
        assert [client.ending() for client in stubborn] == [FIN] * 20
        for client in stubborn:
            client.close()
        eventually(lambda: gateway.descriptors() <= before, "descriptors are held for clients that are gone")


def test_c6_no_descriptors_left(gateway: GatewayProcess) -> None:
    """The listening socket stays readable then: whoever asks for the next connection again and again, spins."""
    room = gateway.descriptors() + 20
    soft, hard = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    ask = request(target=b"/local/x")
    with gateway.connect() as there:
        assert there.ask(ask).status == 200
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (room, hard))
        try:
            clients = [RawClient(gateway.ports["PORT"]) for _ in range(100)]
            assert there.ask(ask).status == 200
            before = cpu_seconds(gateway.pid)
            time.sleep(1.0)  # the processor time of a second
            used = cpu_seconds(gateway.pid) - before
            print(f"{used:.2f} s of processor time in a second without descriptors")
            assert used < 0.2
            assert there.ask(ask).status == 200
            for client in clients:
                client.close()
            eventually(lambda: gateway.descriptors() < room - 10, "no descriptor came back")
            with gateway.connect() as after:
                assert after.ask(ask).status == 200
        finally:
            resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert gateway.metrics().value("gateway_connections", listener="http") <= 1


def test_c6_no_descriptor_for_the_upstream(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """The request is answered with 502, not left waiting, and the next one is served when there is room again."""
    soft, hard = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    with gateway.connect() as client:
        assert client.ask(request(target=b"/local/x")).status == 200
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (1, hard))
        try:
            response = client.ask(request())
        finally:
            resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (soft, hard))
        check_reply(response, 502, Reason.CONNECT_FAILED)
        assert client.ask(request()).status == 200


def test_g8_strangers_make_no_series(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """Ten thousand paths and methods that nobody else ever used."""
    chosen = random.Random(8)
    letters = (string.ascii_letters + string.digits).encode()

    def word(length: int) -> bytes:
        return bytes(chosen.choices(letters, k=length))

    def strange(number: int) -> bytes:
        path = [b"/local/", b"/nowhere/", b"/"][number % 3] + word(12)
        return request(b"User-Agent: " + word(8), method=word(7), target=path, host=word(6) + b".test")

    def series() -> int:
        with gateway.connect("PORT_ADMIN") as client:
            body = client.ask(request(b"Connection: close", target=b"/metrics")).body
        return len([line for line in body.splitlines() if line.startswith(b"gateway_")])

    with gateway.connect() as client:
        client.send(strange(0) + strange(1) + strange(2))
        assert [client.read_response().status for _ in range(3)] == [200, 404, 404]
        before = series()
        for start in range(0, 10_000, 50):
            client.send(b"".join([strange(start + number) for number in range(50)]))
            for _ in range(50):
                assert client.read_response().status in (200, 404)
    assert series() == before
