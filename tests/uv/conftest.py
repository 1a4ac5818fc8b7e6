"""The tests here are of the reactor that they run on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.uv.net import global_reactor, until


@pytest.fixture(autouse=True)
def uv_reactor() -> Iterator[None]:
    """Skips where another reactor runs. A test leaves no connection behind."""
    reactor = global_reactor()
    if type(reactor).__module__ != "gwproxy.uv.reactor":
        pytest.skip("these are tests of the uv reactor: --reactor=uv")
    yield
    ended = until(lambda: not reactor.streams, f"left open: {reactor.streams}")
    pytest_twisted.blockon(Deferred.fromCoroutine(ended))
