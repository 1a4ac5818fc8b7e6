"""A server and agents for the tests of the agent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from treq.client import HTTPClient

from gwproxy.config.addresses import ServerAddress
from gwproxy.config.model import UpstreamOptions
from gwproxy.upstream.agent import UpstreamAgent
from gwproxy.upstream.dial import Dialer
from gwproxy.upstream.server import Server
from tests.wire.kit.upstream import ScriptedUpstream

Make = Callable[..., UpstreamAgent]


@pytest.fixture
def scripted() -> Iterator[ScriptedUpstream]:
    """A real server whose every byte the test decides."""
    server = ScriptedUpstream()
    yield server
    server.close()


@pytest.fixture
def make(scripted: ScriptedUpstream) -> Iterator[Make]:
    """`make(max_connections=1)`: an agent whose servers have these options."""
    from twisted.internet import reactor

    agents: list[UpstreamAgent] = []

    def make_agent(**options: Any) -> UpstreamAgent:
        def server(address: ServerAddress) -> Server:
            made = UpstreamOptions(servers=(address,), **options)
            dialer = Dialer(address, reactor, made.connect_timeout, made.resolve_interval, {})
            return Server(address, made, dialer, reactor)

        agents.append(UpstreamAgent(server))
        return agents[-1]

    yield make_agent
    for agent in agents:
        agent.close()


@pytest.fixture
def client(make: Make) -> HTTPClient:
    """Plain treq over an agent."""
    return HTTPClient(make())
