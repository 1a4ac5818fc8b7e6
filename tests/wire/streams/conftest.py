"""The gateway of these tests: gw.ini beside this file, one for all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.kit.dead_ports import BlackHole, RefusingPort
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.lines import Lines
from tests.wire.kit.upstream import ScriptedUpstream, UpstreamConnection

CONFIG = Path(__file__).with_name("gw.ini")


@pytest.fixture(scope="session")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """In the place of the one of tests/wire."""
    refusing, hole = RefusingPort(), BlackHole()
    values = {"MAIN": upstreams["MAIN"].port, "REFUSING": refusing.port, "BLACK_HOLE": hole.port}
    try:
        with running(CONFIG.read_text(), tmp_path_factory.mktemp("gateway"), values) as process:
            yield process
    finally:
        refusing.close()
        hole.close()


@pytest.fixture(scope="session")
def lines(gateway: GatewayProcess) -> Iterator[Lines]:
    """Lines that the access log must have by the end."""
    expected = Lines(gateway)
    yield expected
    expected.check()


@pytest.fixture
def hoarder(upstream: ScriptedUpstream) -> Iterator[ScriptedUpstream]:
    """The upstream, taking heads and nothing of the bodies until the test is over."""
    over = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        connection.read_head()
        over.wait()
        connection.reset()

    upstream.handler = handler
    yield upstream
    over.set()
