"""One route: its options, what they mean for matching, and what the build hangs on it for the way of a request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from gwproxy.config.model import RouteOptions
from gwproxy.errors import BadHost
from gwproxy.http.host import parse_host
from gwproxy.routing.pattern import Pattern, compile_pattern

ANY_HOST = b"*"


@attrs.define(eq=False)
class Route:
    """Made of a route's options at load; compared by identity. Raises ValueError for what can never match."""

    options: RouteOptions
    # Filled in by the build, which alone knows their types: routing is below all who have them.
    action: Any = None  # what answers: proxying, static files, a fixed reply
    filters: Any = None  # the compiled chain

    name: str = attrs.field(init=False)
    pattern: str = attrs.field(init=False)  # as written: the label of metrics
    matcher: Pattern = attrs.field(init=False, repr=False)
    # `*`, `*.example.com` or a name, as `parse_host` writes names.
    hosts: tuple[bytes, ...] = attrs.field(init=False)
    # Empty: any. GET takes HEAD along when the router sees no other route for that.
    methods: frozenset[bytes] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.name = self.options.name
        self.pattern = self.options.path.text
        self.matcher = compile_pattern(self.options.path)
        self.hosts = _normal_hosts(self.options.host)
        self.methods = frozenset(self.options.methods)


def _normal_hosts(hosts: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(map(_normal_host, hosts))) or (ANY_HOST,)


def _normal_host(text: str) -> bytes:
    if text == "*":
        return ANY_HOST
    wildcard = text.startswith("*.")
    try:
        name, port = parse_host(text.removeprefix("*.").encode())
    except BadHost as error:
        raise ValueError(f"host {text!r}: {error.detail}") from None
    if port is not None:
        raise ValueError(f"host {text!r}: routes are matched without the port")
    return b"*." + name if wildcard else name
