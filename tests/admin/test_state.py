from __future__ import annotations

import attrs

from gwproxy.admin.state import routes_shown, upstreams_shown


@attrs.frozen
class Server:
    label: str
    active: int
    in_use: int
    idle: int
    up: bool
    outcomes: dict[str, int]


@attrs.frozen
class Upstream:
    name: str
    servers: list[Server]


@attrs.frozen
class Route:
    name: str
    pattern: str


def test_upstreams() -> None:
    upstream = Upstream("users", [Server("127.0.0.1:9001", 1, 1, 2, True, {"ok": 3})])
    assert upstreams_shown([upstream]) == [
        {
            "name": "users",
            "servers": [{"server": "127.0.0.1:9001", "up": True, "active": 1, "idle": 2, "outcomes": {"ok": 3}}],
        }
    ]


def test_routes() -> None:
    assert routes_shown([Route("b", "/b/"), Route("a", "= /")]) == [
        {"name": "b", "path": "/b/"},
        {"name": "a", "path": "= /"},
    ]
