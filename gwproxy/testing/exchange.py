"""A request as filters see it, without sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from gwproxy.errors import BodyTooLarge
from gwproxy.filters.api import BodyTransform, Header, Outgoing, Principal, Verdict
from gwproxy.http import headers as fields
from gwproxy.http.headers import Kind
from gwproxy.http.target import parse_target


class FakeExchange:
    """A request as filters see it, made from what a test cares about; the rest has ordinary values.

    `target` is judged as at the edge: raises BadTarget for one that no filter would ever see. Of `headers` a filter
    gets what it gets in the gateway: no Host (but `header()` knows it), nothing that frames the message or ends at this
    hop, and nothing that the gateway writes itself, such as X-Forwarded-For.
    """

    __slots__ = (
        "_host_field",
        "_was_read",
        "body",
        "body_limits",
        "body_transforms",
        "client_ip",
        "content_length",
        "filter_depth",
        "filter_name",
        "filters_entered",
        "from_upstream",
        "has_body",
        "headers",
        "host",
        "method",
        "outgoing",
        "path",
        "peer_ip",
        "principal",
        "query",
        "reading",
        "request_id",
        "response_headers",
        "route_name",
        "scheme",
        "started",
        "status",
        "target",
        "trace_id",
    )

    def __init__(
        self,
        method: bytes = b"GET",
        target: bytes = b"/",
        headers: Iterable[Header] = (),
        *,
        scheme: bytes = b"http",
        host: bytes = b"example.com",
        peer_ip: str = "192.0.2.1",
        client_ip: str | None = None,
        route_name: str = "test",
        principal: Principal | None = None,
        request_id: str = "0123456789abcdef",
        trace_id: str = "0af7651916cd43dd8448eb211c80319c",
        started: float = 0.0,
        body: bytes = b"",
        chunked: bool = False,
    ) -> None:
        parsed = parse_target(method, target)
        self.method = method
        self.target = target
        self.path = parsed.path
        self.query = parsed.query
        received = list(headers)
        self.headers = _end_to_end(received)
        self.scheme = scheme
        self.host = host
        self._host_field = fields.get(received, b"host") or host
        self.peer_ip = peer_ip
        self.client_ip = peer_ip if client_ip is None else client_ip
        self.route_name = route_name
        self.principal = principal
        self.request_id = request_id
        self.trace_id = trace_id
        self.started = started
        self.body = body
        self.has_body = bool(body) or chunked
        self.content_length = None if chunked or not body else len(body)
        self._was_read = False
        self.reading: Deferred[bytes] | None = None
        self.body_limits: list[tuple[int, Callable[[Any], Verdict]]] = []
        self.filter_depth = 0
        self.filters_entered = 0
        self.filter_name: str | None = None
        self.body_transforms: list[BodyTransform] = []
        # Not there before their time, as in the gateway: reading them earlier raises AttributeError.
        self.outgoing: Outgoing
        self.status: int
        self.response_headers: list[Header]
        self.from_upstream: bool

    def header(self, name: bytes) -> bytes | None:
        """The first request header of this name (given in lower case), or None."""
        return self._host_field if name == b"host" else fields.get(self.headers, name)

    def add_body_transform(self, transform: BodyTransform) -> None:
        """Sends the response's body through `transform`."""
        self.body_transforms.append(transform)

    def read_body(self, limit: int) -> Deferred[bytes]:
        """The request body, at once. A test that wants a filter to wait for it gives its own Deferred as `reading`."""
        if self.reading is not None:
            return self.reading
        self._was_read = True
        return succeed(self.body) if len(self.body) <= limit else fail(BodyTooLarge())

    def limit_body(self, limit: int, exceeded: Callable[[Any], Verdict]) -> Verdict:
        """Remembers the bound: the harness calls `exceeded` while the request goes upstream, if the body is larger; it
        is called at once if a filter has read the body."""
        if self._was_read and len(self.body) > limit:
            return exceeded(self)
        self.body_limits.append((limit, exceeded))
        return None


def _end_to_end(headers: list[Header]) -> list[Header]:
    """The fields that travel end to end, without those that a Connection field names (RFC 9110 section 7.6.1)."""
    named = {item for value in fields.get_all(headers, b"connection") for item in fields.list_items(value)}
    return [
        (name, value)
        for name, value in headers
        if fields.REQUEST_KINDS[name] in (Kind.PLAIN, Kind.UNDERSCORE) and name.lower() not in named
    ]
