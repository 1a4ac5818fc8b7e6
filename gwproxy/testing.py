"""For authors of filters: an exchange without sockets, and a harness that plays it through filters.

    def test_a_version_that_does_not_exist_is_refused():
        versions = build_filter("api_version", {"versions": "1, 2"})
        played = run_filter(versions, FakeExchange(headers=[(b"API-Version", b"3")]))
        assert played.status == 400

The filters run in the gateway's own chain, so that order, replies and waiting are the real ones. What lies around the
chain is played: there is one attempt after another with nothing on the wire, and error pages have no body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from gwproxy.config.options import declared_options
from gwproxy.filters.api import BodyTransform, FilterContext, Header, Outgoing, Principal, Reply, Verdict
from gwproxy.filters.chain import FilterChain
from gwproxy.filters.registry import filter_types
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
        "body_transforms",
        "client_ip",
        "filter_depth",
        "filter_name",
        "filters_entered",
        "from_upstream",
        "headers",
        "host",
        "method",
        "outgoing",
        "path",
        "peer_ip",
        "principal",
        "query",
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


@attrs.define
class UpstreamResponse:
    """What the upstream answers in a test. `body` is one piece, or the pieces in which it arrives."""

    status: int = 200
    headers: Sequence[Header] = ()
    body: bytes | Sequence[bytes] = b""


@attrs.define
class Played:
    """What became of an exchange. Nothing of the response is set while `waiting`, nor after a disconnect."""

    exchange: FakeExchange
    waiting: bool = False
    # The filter's own answer, if one answered.
    reply: Reply | None = None
    # What one raised, if one did: the client gets a 500 then.
    failure: Failure | None = None
    # The heads that went upstream, one an attempt.
    sent: list[Outgoing] = attrs.field(factory=list)
    # What the client gets.
    status: int | None = None
    headers: list[Header] = attrs.field(factory=list)
    body: bytes = b""
    disconnected: bool = False
    _pending: Deferred[Verdict] | None = attrs.field(default=None, repr=False, alias="pending")

    @property
    def filter_name(self) -> str | None:
        """The filter that replied, raised, or is waited for."""
        return self.exchange.filter_name

    def header(self, name: bytes) -> bytes | None:
        """The first response header of this name (given in lower case), or None."""
        return fields.get(self.headers, name)

    def disconnect(self) -> None:
        """The client goes away while a filter waits: what it waits for is cancelled, and only `on_done` follows."""
        if self._pending is None or not self.waiting:
            raise AssertionError("no filter is waiting")
        self.disconnected = True
        self._pending.cancel()


class FilterHarness:
    """Plays exchanges through filters, given in the order of a route. Filters that wait do so by `clock`."""

    def __init__(self, *filters: object, clock: Clock | None = None) -> None:
        """Each filter is an object, named by its position (`0`, `1`, ...), or a pair of name and object."""
        self.clock = Clock() if clock is None else clock
        self._chain = FilterChain(
            [each if isinstance(each, tuple) else (str(i), each) for i, each in enumerate(filters)]
        )

    def run(
        self, exchange: FakeExchange | None = None, response: UpstreamResponse | None = None, *, attempts: int = 1
    ) -> Played:
        """Plays one exchange: the request, `attempts` attempts of which the last is answered by `response`, the end.

        While a filter waits, the Played is `waiting`; it goes on when the test advances `clock` or fires what it gave.
        """
        played = Played(FakeExchange() if exchange is None else exchange)
        answer = UpstreamResponse() if response is None else response
        try:
            verdict = self._chain.run_request(played.exchange)
        except Exception:
            self._fail(played, Failure())
            return played
        if isinstance(verdict, Deferred):
            played.waiting = True
            played._pending = verdict
            verdict.addCallback(lambda given: self._go_on(played, given, answer, attempts))
            verdict.addErrback(lambda failure: self._fail(played, failure))
        else:
            self._go_on(played, verdict, answer, attempts)
        return played

    def _go_on(self, played: Played, verdict: Verdict, answer: UpstreamResponse, attempts: int) -> None:
        played.waiting = False
        try:
            if verdict is None:
                self._forward(played, attempts)
                self._respond(played, answer.status, list(answer.headers), answer.body, from_upstream=True)
            else:
                played.reply = verdict
                self._respond(played, verdict.status, _head_of(verdict), verdict.body or b"", from_upstream=False)
        except Exception:
            self._fail(played, Failure())
            return
        self._chain.run_done(played.exchange)

    def _forward(self, played: Played, attempts: int) -> None:
        exchange = played.exchange
        for _ in range(attempts):
            headers = [(b"Host", exchange.header(b"host") or b""), *exchange.headers]
            exchange.outgoing = Outgoing(exchange.method, exchange.target, headers)
            self._chain.run_attempt(exchange)
            played.sent.append(exchange.outgoing)

    def _respond(
        self, played: Played, status: int, headers: list[Header], body: bytes | Sequence[bytes], *, from_upstream: bool
    ) -> None:
        exchange = played.exchange
        exchange.status, exchange.response_headers, exchange.from_upstream = status, headers, from_upstream
        exchange.body_transforms.clear()
        self._chain.run_response(exchange)
        if exchange.body_transforms:
            fields.remove(exchange.response_headers, b"content-length")
        played.status, played.headers = exchange.status, exchange.response_headers
        played.body = _transformed(exchange.body_transforms, [body] if isinstance(body, bytes) else body)

    def _fail(self, played: Played, failure: Failure) -> None:
        """The end after a disconnect, or after a filter raised: a 500 that the filters outside it still see."""
        played.waiting = False
        played.failure = failure
        if not played.disconnected:
            try:
                self._respond(played, 500, [], b"", from_upstream=False)
            except Exception:
                # One filter outside it raised as well; the first failure is the one to show.
                played.status, played.headers = 500, []
        self._chain.run_done(played.exchange)


def run_filter(
    filter_object: object,
    exchange: FakeExchange | None = None,
    response: UpstreamResponse | None = None,
    *,
    attempts: int = 1,
) -> Played:
    """Plays one exchange through one filter. Raises what the filter raised, and AssertionError if it waits."""
    played = FilterHarness(filter_object).run(exchange, response, attempts=attempts)
    if played.failure is not None:
        played.failure.raiseException()
    if played.waiting:
        raise AssertionError("the filter waits: use a FilterHarness, whose clock can be advanced")
    return played


def parse_options(options_class: type, texts: Mapping[str, str]) -> Any:
    """An options object from texts as they stand in a file, by key.

    Raises BadValue for a text that is no value, KeyError for a key that is no option, ConfigMistake for options that do
    not fit together.
    """
    declared = declared_options(options_class)
    values = {declared[key].attribute: declared[key].value(text) for key, text in texts.items()}
    options = options_class(**values)
    check = getattr(options, "check_options", None)
    if check is not None:
        check()
    return options


def build_filter(
    filter_type: Any,
    options: Mapping[str, str] | None = None,
    *,
    name: str = "test",
    clock: Clock | None = None,
    kept: dict[tuple[object, ...], Any] | None = None,
) -> Any:
    """The filter that `[filter:NAME]` with these options, texts by key as in a file, would build.

    `filter_type` is the name of an installed type, or what an entry point names: a module with `Options` and `factory`.
    Raises as parse_options does, what the factory raises, and KeyError when no such type is installed.
    Give the harness the same `clock` when the filter measures time or waits. What the filter keeps over a reload is in
    `kept`: hand the same dict to the filter that takes its place.
    """
    store: dict[tuple[object, ...], Any] = {} if kept is None else kept

    def keep(key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        if key not in store:
            store[key] = make()
        return store[key]

    context = FilterContext(name=name, reactor=Clock() if clock is None else clock, keep=keep)
    if isinstance(filter_type, str):
        installed = filter_types()[filter_type]
        return installed.factory(parse_options(installed.options_class, options or {}), context)
    return filter_type.factory(parse_options(filter_type.Options, options or {}), context)


def _head_of(reply: Reply) -> list[Header]:
    headers = list(reply.headers)
    if reply.body is not None and fields.get(headers, b"content-type") is None:
        headers.append((b"Content-Type", reply.content_type))
    return headers


def _end_to_end(headers: list[Header]) -> list[Header]:
    """The fields that travel end to end, without those that a Connection field names (RFC 9110 section 7.6.1)."""
    named = {item for value in fields.get_all(headers, b"connection") for item in fields.list_items(value)}
    return [
        (name, value)
        for name, value in headers
        if fields.REQUEST_KINDS[name] in (Kind.PLAIN, Kind.UNDERSCORE) and name.lower() not in named
    ]


def _transformed(transforms: list[BodyTransform], pieces: Iterable[bytes]) -> bytes:
    for transform in transforms:
        pieces = [*map(transform.data, pieces), transform.end()]
    return b"".join(pieces)
