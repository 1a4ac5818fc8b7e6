"""The configuration as the rest of the gateway sees it: one frozen options class a kind of section, and `Config`.

Attribute names are the keys of the file. Times are seconds, sizes bytes. Where 0 lifts a bound the option says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs

from gwproxy.config import addresses, routes, values
from gwproxy.config.addresses import ServerAddress
from gwproxy.config.mistakes import BadValue, ConfigMistake, Mistake, Place
from gwproxy.config.options import option
from gwproxy.config.routes import PathPattern, PatternKind, Redirect, Respond
from gwproxy.config.stores import StoreOptions
from gwproxy.config.values import Network

_NO_TLS: Final = "TLS is not in this version yet"


class ServerHeader(StrEnum):
    """What becomes of the upstream's Server header."""

    PASS = "pass"
    OWN = "own"


class Underscores(StrEnum):
    """What becomes of request headers with an underscore in their name."""

    DROP = "drop"
    REJECT = "reject"
    KEEP = "keep"


class Balance(StrEnum):
    """How a server is picked."""

    ROUND_ROBIN = "round_robin"
    LEAST_ACTIVE = "least_active"


class EncodedSlashes(StrEnum):
    """What becomes of paths with %2F or %5C in them."""

    KEEP = "keep"
    REJECT = "reject"


class LogFormat(StrEnum):
    """How the access log is written."""

    JSON = "json"
    COMBINED = "combined"


def _parse_workers(text: str) -> int:
    if text == "auto" or (text.isdecimal() and int(text[:9]) > 0):
        raise BadValue("worker processes are not in this version yet; only 0")
    return values.integer(0, 0)(text)


@attrs.frozen
class GatewayOptions:
    """What concerns the whole process."""

    workers: int = option(
        values.plain("number", _parse_workers),
        default=0,
        doc="Worker processes. 0: the twistd process serves itself.",
    )
    reactor: str = option(
        values.choice(("auto", "uv", "epoll")),
        default="auto",
        doc="The event loop: uv is libuv's, the fastest; epoll is Twisted's own. auto: uv where uvloop is installed, "
        "else the one that Twisted picks. An explicit `twistd --reactor=...` wins.",
    )
    drain: float = option(
        values.duration,
        default=30.0,
        doc="How long SIGTERM waits for what is in flight before it is aborted.",
    )
    trusted_proxies: tuple[Network | str, ...] = option(
        values.list_of(values.peer),
        default=(),
        doc="Peers whose X-Forwarded-* and Forwarded headers are believed; unix: for those on unix sockets. Without "
        "it, none are.",
    )
    server_header: ServerHeader = option(
        values.choice(ServerHeader),
        default=ServerHeader.PASS,
        doc="The Server header of responses: pass the upstream's, or replace it by the gateway's own.",
    )
    via: str = option(
        values.token,
        default="gwproxy",
        doc="The gateway's name in Via headers, by which it also knows requests that went in a circle. "
        "Gateways that stand one behind the other need different names.",
    )
    state_dir: Path | None = option(
        values.directory,
        default=None,
        doc="A folder for what is worth keeping over a restart, such as the last good keys of an identity provider.",
    )


@attrs.frozen
class AdminOptions:
    """The admin site: /healthz, /readyz, /metrics, and what serves now: /routes, /upstreams. It has no authentication:
    keep it on a private address."""

    endpoint: str = option(
        addresses.optional_endpoint,
        default="",
        doc="Where the admin site listens: any Twisted server endpoint, or off.",
    )


def _read_log_target(text: str, base: Path) -> str:
    return text if text in ("stdout", "stderr", "syslog", "off") else str(values.path(text, base))


_log_target: Final = values.Value("stdout | stderr | syslog | off | PATH", _read_log_target)


@attrs.frozen
class LogOptions:
    """Where logs go. Files are opened again on SIGUSR1."""

    access: str = option(_log_target, default="stdout", doc="The access log: a line for each request.")
    error: str = option(_log_target, default="stderr", doc="The error log: what the gateway itself has to say.")
    security: str = option(_log_target, default="stdout", doc="The security log: what was refused, and why.")
    format: LogFormat = option(
        values.choice(LogFormat), default=LogFormat.JSON, doc="The format of the access log; the others are JSON."
    )


@attrs.frozen
class ListenOptions:
    """A place where clients connect."""

    later: ClassVar[Mapping[str, str]] = {
        "tls": _NO_TLS,
        "redirect": f"{_NO_TLS}, nor the redirect to it; a route can have redirect = 308 https://HOST$uri",
        "proxy_protocol": "the PROXY protocol is not in this version yet",
    }

    name: str = ""
    endpoint: str = option(
        addresses.endpoint,
        doc="Any Twisted server endpoint: tcp:8080, tcp:8080:interface=127.0.0.1, unix:PATH, systemd:...",
    )
    max_connections: int = option(
        values.integer(), default=10_000, doc="Open connections. One more is answered with 503. 0: no bound."
    )
    max_connections_per_address: int = option(
        values.integer(), default=0, doc="Open connections of one client address. 0: no bound."
    )
    min_body_rate: int = option(
        values.size(),
        default=512,
        doc="Bytes a second of a request body, averaged over idle_timeout. Slower ones end in 408. 0: one byte in "
        "idle_timeout is enough.",
    )
    header_timeout: float = option(
        values.positive_duration,
        default=10.0,
        doc="How long a whole request head may take, however it comes; on a new connection from its first moment on.",
    )
    idle_timeout: float = option(
        values.positive_duration,
        default=75.0,
        doc="How long a connection may be silent between requests, and how long its client may read nothing of a "
        "response. For request bodies see min_body_rate.",
    )
    max_header_size: int = option(
        values.size(256), default=32 << 10, doc="Bytes of a request's header lines. More end in 431."
    )
    max_headers: int = option(values.integer(1), default=100, doc="Header lines of a request. More end in 431.")
    max_target: int = option(values.size(16), default=8 << 10, doc="Bytes of a request target. Longer ones end in 414.")
    keepalive_requests: int = option(
        values.integer(), default=0, doc="Requests of one connection, after which it is closed. 0: no bound."
    )
    keepalive_max_age: float = option(
        values.duration, default=0.0, doc="Age after which a connection is closed when it has answered. 0: no bound."
    )
    underscores: Underscores = option(
        values.choice(Underscores),
        default=Underscores.DROP,
        doc="Request headers with an underscore in their name, which many services take for a dash.",
    )


@attrs.frozen
class UpstreamOptions:
    """A group of servers that answer alike."""

    later: ClassVar[Mapping[str, str]] = {
        "tls_ca": _NO_TLS,
        "tls_name": _NO_TLS,
        "tls_certificate": _NO_TLS,
        "tls_key": _NO_TLS,
        "tls_verify": _NO_TLS,
    }

    name: str = ""
    servers: tuple[ServerAddress, ...] = option(
        values.list_of(addresses.server),
        doc="http://HOST:PORT, unix:PATH or builtin:echo (a service inside the gateway that answers with what it "
        "received), each with weight=N if it is to get more than others.",
    )
    balance: Balance = option(
        values.choice(Balance, later={"hash": "balance by hash is not in this version yet"}),
        default=Balance.ROUND_ROBIN,
        doc="How a server is picked: in turn by weight, or the one with the fewest requests for its weight.",
    )
    connect_timeout: float = option(
        values.positive_duration,
        default=5.0,
        doc="How long a connection to a server may take to open, the look-up of its name included.",
    )
    response_timeout: float = option(
        values.positive_duration,
        default=60.0,
        doc="How long the response head may take once the request is sent whole; then 504.",
    )
    idle_timeout: float = option(
        values.positive_duration,
        default=60.0,
        doc="How long a server may be silent between bytes of a response body, or take nothing of a request body.",
    )
    max_connections: int = option(
        values.integer(1), default=1000, doc="Connections to one server. Requests beyond them wait in the queue."
    )
    queue: int = option(
        values.integer(), default=1000, doc="Requests that may wait for a connection; one more is a 503."
    )
    queue_timeout: float = option(values.positive_duration, default=5.0, doc="How long one may wait there; then 503.")
    keepalive: int = option(values.integer(), default=256, doc="Idle connections kept to one server.")
    keepalive_timeout: float = option(
        values.positive_duration,
        default=4.0,
        doc="How long an idle connection is kept. Keep it below the server's own keep-alive timeout.",
    )
    retries: int = option(
        values.integer(0, 10),
        default=1,
        doc="Other attempts after a failed one, each at another server. Made only where the server cannot have acted "
        "on the request, or where that does no harm: GET, HEAD or OPTIONS without a body.",
    )
    resolve_interval: float = option(
        values.positive_duration, default=30.0, doc="How often host names are resolved again."
    )
    max_response_header_size: int = option(
        values.size(1024), default=64 << 10, doc="Bytes of a response head. Larger ones end in 502."
    )
    max_response_headers: int = option(
        values.integer(1), default=200, doc="Header lines of a response. More end in 502."
    )

    def check_options(self) -> None:
        """An upstream without a server could answer nothing."""
        if not self.servers:
            raise ConfigMistake("needs at least one server", "servers")


_ACTIONS: Final = ("upstream", "static", "respond", "redirect")


def _parse_websocket(text: str) -> bool:
    if values.boolean(text):
        raise BadValue("WebSockets are not in this version yet; only off")
    return False


@attrs.frozen
class RouteOptions:
    """Which requests go where. Exactly one of upstream, static, respond and redirect says where."""

    name: str = ""
    host: tuple[str, ...] = option(
        values.list_of(addresses.host_pattern),
        default=(),
        doc="Hosts, without port; *.example.com takes every name below example.com. Without it, any.",
    )
    path: PathPattern = option(
        routes.path_pattern,
        default=PathPattern(PatternKind.PREFIX, "/", "/"),
        doc="A prefix on a segment boundary (/api), one path (= /api), a template (/users/{id}) or a regular "
        "expression for the whole path (~ /v[12]/.*). The most specific route wins; two that are alike are a mistake.",
    )
    methods: tuple[bytes, ...] = option(
        values.list_of(routes.method), default=(), doc="Methods; others are answered with 405. Without it, any."
    )
    upstream: str = option(values.text, default="", doc="Pass the request on to this upstream.", metavar="upstream")
    static: Path | None = option(values.directory, default=None, doc="Serve the files of this folder.")
    respond: Respond | None = option(
        routes.respond, default=None, doc="Answer with this status and text, as in 200 hello."
    )
    redirect: Redirect | None = option(
        routes.redirect,
        default=None,
        doc="Redirect, as in 308 https://example.com$uri; $uri is the path and query as received.",
    )
    strip_prefix: str = option(
        routes.matched_prefix, default="", doc="Taken off the path before it goes upstream, on a segment boundary."
    )
    add_prefix: str = option(
        routes.path_prefix, default="", doc="Put before the path, after strip_prefix, before it goes upstream."
    )
    host_header: str = option(
        addresses.host_header,
        default="pass",
        doc="The Host that the upstream sees: the client's, the server's address, or a literal.",
    )
    filters: tuple[str, ...] = option(
        values.list_of(values.token),
        default=(),
        doc="Names of filters, in the order in which requests pass them.",
        metavar="list of filters",
    )
    websocket: bool = option(
        values.plain("off", _parse_websocket, lambda value: "off"),
        default=False,
        doc="Whether requests may switch to a WebSocket.",
    )
    timeout: float = option(
        values.or_none(values.duration),
        default=60.0,
        doc="How long the response head may take, with filters that wait and all attempts, once the request is "
        "received whole; then 504. 0 or none: no bound.",
    )
    max_body: int = option(
        values.or_none(values.size()),
        default=10 << 20,
        doc="Bytes of a request body; larger ones end in 413, while they stream. 0 or none: no bound.",
    )
    encoded_slashes: EncodedSlashes = option(
        values.choice(EncodedSlashes),
        default=EncodedSlashes.KEEP,
        doc="Paths with an encoded slash or backslash (%2F, %5C): pass them as they are, or refuse them with 400.",
    )

    def check_options(self) -> None:
        """Exactly one action, and no option that only another action has."""
        given = [action for action in _ACTIONS if getattr(self, action)]
        if not given:
            raise ConfigMistake(f"needs one of {', '.join(_ACTIONS)}")
        if len(given) > 1:
            raise ConfigMistake(f"has {' and '.join(given)}, but a route does one thing only", given[1])
        for key in ("strip_prefix", "add_prefix"):
            if getattr(self, key) and not self.upstream:
                raise ConfigMistake(f"{key} goes with upstream only", key)


@attrs.frozen
class FilterSection:
    """A configured filter: its own name, its type, and the options of that type."""

    name: str
    type: str
    options: Any  # an instance of the type's own options class


# Where each thing stands: (kind, name, key) -> Place; key None: the section itself. The only [gateway] has the name "".
PlaceKey = tuple[str, str, str | None]


@attrs.frozen
class Config:
    """One loaded file. Names refer to sections that exist; the order of each dict is that of the file."""

    path: str
    gateway: GatewayOptions = attrs.field(factory=GatewayOptions)
    admin: AdminOptions = attrs.field(factory=AdminOptions)
    log: LogOptions = attrs.field(factory=LogOptions)
    listeners: Mapping[str, ListenOptions] = attrs.field(factory=dict)
    upstreams: Mapping[str, UpstreamOptions] = attrs.field(factory=dict)
    routes: Mapping[str, RouteOptions] = attrs.field(factory=dict)
    filters: Mapping[str, FilterSection] = attrs.field(factory=dict)
    stores: Mapping[str, StoreOptions] = attrs.field(factory=dict)
    places: Mapping[PlaceKey, Place] = attrs.field(factory=dict, repr=False)
    # What to show instead of values that must not be shown: the text of the file, with its ${...}.
    hidden: Mapping[PlaceKey, str] = attrs.field(factory=dict, repr=False)

    def place(self, kind: str, name: str = "", key: str | None = None) -> Place:
        """Where a key stands; where its section does if the key is not given; else the file."""
        found = self.places.get((kind, name, key)) or self.places.get((kind, name, None))
        return found or Place(self.path, 0)

    def mistake(self, kind: str, name: str, key: str | None, message: str) -> Mistake:
        """A mistake found after loading, at its place in the file. For later phases: route ties, filter factories."""
        return Mistake(self.place(kind, name, key), f"{kind}:{name}" if name else kind, message)
