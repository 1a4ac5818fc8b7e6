"""What is known about an exchange: what filters read, what the logs and metrics read when it is over."""

from __future__ import annotations

from typing import Final

from gwproxy.errors import Reason
from gwproxy.filters.api import Outgoing, Principal
from gwproxy.http.forwarded import Prior
from gwproxy.http.headers import Headers, get
from gwproxy.proxy.buffered import BodyLimit, BufferedBody
from gwproxy.proxy.downstream import Downstream, Request
from gwproxy.proxy.identity import identify
from gwproxy.proxy.settings import ProxySettings
from gwproxy.routing.route import Route

_VERSIONS: Final = (b"1.0", b"1.1")


class ExchangeFacts:
    """The attributes of an exchange, which say nothing of how it goes on: that is `Exchange`'s."""

    __slots__ = (
        "body_limits",
        "buffered",
        "bytes_in",
        "bytes_out",
        "client_ip",
        "detail",
        "downstream",
        "ended",
        "filter_depth",
        "filter_name",
        "filters_entered",
        "from_upstream",
        "head",
        "headers",
        "host",
        "method",
        "outgoing",
        "path",
        "peer_ip",
        "principal",
        "prior",
        "query",
        "reason",
        "request",
        "request_id",
        "response_headers",
        "route",
        "scheme",
        "server_label",
        "settings",
        "started",
        "status",
        "target",
        "trace_id",
        "traceparent",
        "tries",
        "upstream_name",
        "upstream_seconds",
        "version",
    )

    outgoing: Outgoing
    response_headers: Headers
    ended: float

    def __init__(self, request: Request, downstream: Downstream, route: Route | None, settings: ProxySettings) -> None:
        head = request.head
        target = request.target
        self.request = request
        self.downstream = downstream
        self.route = route
        self.settings = settings
        self.head = head
        self.method = head.method
        self.target = head.target
        self.headers = head.headers
        self.version = _VERSIONS[head.minor]
        self.scheme = downstream.scheme
        self.host = request.host_name
        self.path = target.path
        self.query = target.query
        self.peer_ip = self.client_ip = downstream.peer.ip
        self.prior: Prior | None = None  # what a trusted peer says of earlier hops
        if downstream.peer_trusted and head.forwarding:
            self.prior = Prior(head.forwarding)
            self.client_ip = self.prior.client(self.peer_ip, settings.trusted)
        self.principal: Principal | None = None
        # What filters want of the request body: bounds, the least first, and all of it in memory.
        self.body_limits: list[BodyLimit] | None = None
        self.buffered: BufferedBody | None = None

        self.status = 0
        self.from_upstream = False
        self.reason: Reason | None = None
        self.detail = ""
        self.filter_name: str | None = None
        self.filter_depth = 0
        self.filters_entered = 0
        self.upstream_name: str | None = None
        self.server_label: str | None = None
        self.upstream_seconds: float | None = None
        self.tries = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.request_id, self.trace_id, self.traceparent = identify(head, downstream.peer_trusted, settings.getrandbits)
        self.started = settings.seconds()

    @property
    def route_name(self) -> str:
        """The name of the matched route, or nothing."""
        return "" if self.route is None else self.route.name

    @property
    def content_length(self) -> int | None:
        """Bytes of the request body, if the client said."""
        return self.head.content_length

    @property
    def has_body(self) -> bool:
        """Whether a request body is to come."""
        return self.head.chunked or bool(self.head.content_length)

    @property
    def authority(self) -> bytes | None:
        """Host as received. The authority of an absolute-form target replaces it (RFC 9112 section 3.2.2): what routes
        must be what everybody behind is told."""
        authority = self.request.target.authority
        return self.head.host if authority is None else authority

    def header(self, name: bytes) -> bytes | None:
        """The first request header of this name (given in lower case), or None."""
        return self.authority if name == b"host" else get(self.headers, name)
