"""A gateway in memory whose route renders what a test gives it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.web.resource import IResource

from gwproxy.edge.static import ResourceAction
from tests.flow.kit.fixtures import MakeFlow, make_flow
from tests.flow.kit.flow import Flow

__all__ = ["make_flow", "serve"]


@pytest.fixture
def serve(make_flow: MakeFlow) -> Callable[[IResource], Flow]:
    """`serve(resource)`: a gateway that renders this tree below `/mounted/`."""

    def make(resource: IResource) -> Flow:
        flow = make_flow(more="[route:mounted]\npath = /mounted/\nrespond = 200\n")
        [route] = [route for route in flow.gateway.routes if route.name == "mounted"]
        route.action = ResourceAction(resource, b"/mounted/")
        return flow

    return make
