"""A gateway in memory whose route renders what a test gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.web.resource import IResource

from gwproxy.edge.static import ResourceAction
from tests.flow.kit.flow import Flow


@pytest.fixture
def make_flow() -> Iterator[Callable[..., Flow]]:
    """`make_flow(route="timeout = 1s")`: see tests.flow.kit. What a test leaves unfinished fails it."""
    made: list[Flow] = []

    def make(**parts: Any) -> Flow:
        made.append(Flow(**parts))
        return made[-1]

    yield make
    for flow in made:
        flow.settle()


@pytest.fixture
def serve(make_flow: Callable[..., Flow]) -> Callable[[IResource], Flow]:
    """`serve(resource)`: a gateway that renders this tree below `/mounted/`."""

    def make(resource: IResource) -> Flow:
        flow = make_flow(more="[route:mounted]\npath = /mounted/\nrespond = 200\n")
        [route] = [route for route in flow.gateway.routes if route.name == "mounted"]
        route.action = ResourceAction(resource, b"/mounted/")
        return flow

    return make
