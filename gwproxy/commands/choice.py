"""Which listener and which route take a request, and why others do not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gwproxy.config.model import ListenOptions
from gwproxy.routing.route import ANY_HOST, Route
from gwproxy.routing.router import Router

_TCP_PORT = re.compile(r"tcp6?:(?:port=)?([0-9]+)")


def port_of(listener: ListenOptions) -> int | None:
    """The port that is in its endpoint; None: it has none, or any free one."""
    found = _TCP_PORT.match(listener.endpoint)
    return int(found[1]) or None if found else None


def choose_listener(listeners: Iterable[ListenOptions], port: int | None) -> tuple[ListenOptions, str]:
    """The listener of a URL's port, else the first; and why."""
    listeners = list(listeners)
    for listener in listeners:
        if port is not None and port_of(listener) == port:
            return listener, "it has that port"
    if len(listeners) == 1:
        return listeners[0], "there is no other"
    return listeners[0], "the first; all of them have the same routes"


def why_not(routes: Iterable[Route], chosen: Route | None, host: bytes, path: bytes, method: bytes) -> Iterator[str]:
    """A line for each route of this host that does not take the request; the last counts those of other hosts."""
    elsewhere = 0
    for route in routes:
        if route is chosen:
            continue
        if not _covers(route, host):
            elsewhere += 1
            continue
        found = Router([route]).host(host).match(path, method)
        if isinstance(found, Route):
            reason = "less specific"
        elif found is None:
            reason = f"another path: {route.pattern}"
        else:
            reason = "another method: " + words(found)
        yield f"{route.name}: {reason}"
    if elsewhere:
        yield "1 route of another host" if elsewhere == 1 else f"{elsewhere} routes of other hosts"


def _covers(route: Route, host: bytes) -> bool:
    return any(
        each in (ANY_HOST, host) or (each.startswith(b"*.") and host.endswith(each[1:]) and len(host) >= len(each))
        for each in route.hosts
    )


def words(methods: Iterable[bytes]) -> str:
    """Methods, as people write them."""
    return ", ".join(sorted(method.decode("latin-1") for method in methods))
