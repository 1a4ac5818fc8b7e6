"""What /upstreams and /routes show: plain lists made from the objects of the generation that serves."""

from __future__ import annotations

from collections.abc import Iterable

from gwproxy.observe.finished import RouteLabels
from gwproxy.observe.metrics import UpstreamState


def upstreams_shown(upstreams: Iterable[UpstreamState]) -> list[dict[str, object]]:
    """Each upstream with its servers: are they up, what is under way, what is kept idle, how attempts ended."""
    return [
        {
            "name": upstream.name,
            "servers": [
                {
                    "server": server.label,
                    "up": server.up,
                    "active": server.active,
                    "idle": server.idle,
                    "outcomes": dict(server.outcomes),
                }
                for server in upstream.servers
            ],
        }
        for upstream in upstreams
    ]


def routes_shown(routes: Iterable[RouteLabels]) -> list[dict[str, object]]:
    """Each route's name and path, in the order given."""
    return [{"name": route.name, "path": route.pattern} for route in routes]
