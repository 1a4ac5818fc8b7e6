"""Real sockets. One gateway, with gw.ini beside this file, serves all tests; what the upstreams say, each test decides.

Every wait is bounded by kit.reader.PATIENCE. A module that needs another configuration has a fixture
`gateway` of its own, which `connect`, `client`, `refused` and the rest then use; see kit.gateway.running.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.wire.kit.client import RawClient
from tests.wire.kit.dead_ports import BlackHole, RefusingPort
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.refusal import AccessLedger, Refusals, report
from tests.wire.kit.upstream import ScriptedUpstream

CONFIG = Path(__file__).with_name("gw.ini")

Connect = Callable[..., RawClient]


@pytest.fixture(scope="session")
def upstreams() -> Iterator[dict[str, ScriptedUpstream]]:
    """The servers behind the gateway, by their names in gw.ini."""
    servers = {"MAIN": ScriptedUpstream(), "OTHER": ScriptedUpstream()}
    yield servers
    for server in servers.values():
        server.close()


@pytest.fixture(scope="session")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """The one gateway."""
    refusing, black_hole = RefusingPort(), BlackHole()
    ports = {name: server.port for name, server in upstreams.items()}
    values = {**ports, "REFUSING": refusing.port, "BLACK_HOLE": black_hole.port}
    try:
        with running(CONFIG.read_text(), tmp_path_factory.mktemp("gateway"), values) as process:
            yield process
    finally:
        refusing.close()
        black_hole.close()


@pytest.fixture
def upstream(gateway: GatewayProcess, upstreams: dict[str, ScriptedUpstream]) -> Iterator[ScriptedUpstream]:
    """The upstream of most routes, with nothing recorded. What its handlers raise fails the test."""
    yield from _fresh(upstreams["MAIN"], gateway)


@pytest.fixture
def other_upstream(gateway: GatewayProcess, upstreams: dict[str, ScriptedUpstream]) -> Iterator[ScriptedUpstream]:
    """The upstream of host other.test."""
    yield from _fresh(upstreams["OTHER"], gateway)


def _fresh(server: ScriptedUpstream, gateway: GatewayProcess) -> Iterator[ScriptedUpstream]:
    server.forget()
    yield server
    assert gateway.is_running(), f"the gateway ended: {gateway.output()}"
    server.wait_quiet()
    server.raise_failures()


@pytest.fixture
def connect(gateway: GatewayProcess, upstream: ScriptedUpstream) -> Iterator[Connect]:
    """`connect()` or `connect("PORT_KEEP")`: a client of the gateway, closed at the end."""
    with ExitStack() as opened:
        yield lambda port="PORT": opened.enter_context(gateway.connect(port))


@pytest.fixture
def client(connect: Connect) -> RawClient:
    """A client of the gateway."""
    return connect()


@pytest.fixture(scope="module")
def ledger(gateway: GatewayProcess) -> Iterator[AccessLedger]:
    """Lines that the access log must have by the end of the module."""
    expected = AccessLedger(gateway)
    yield expected
    report(expected.mistakes())


@pytest.fixture
def refused(
    gateway: GatewayProcess,
    upstream: ScriptedUpstream,
    other_upstream: ScriptedUpstream,
    ledger: AccessLedger,
    request: pytest.FixtureRequest,
) -> Refusals:
    """`refused(raw, status=..., reason=...)`: send it, and check all that holds for a refusal."""
    return Refusals(gateway, [upstream, other_upstream], ledger, request.node.name)
