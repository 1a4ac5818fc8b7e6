"""One request, played through the real filters and the real way upstream of a gateway from which nothing is sent.

* Calls are taken down and never answered, stores are not connected, threads run at once, time stands still.
* A filter in shadow mode is asked twice: an enforcing twin says what it would have answered, then the filter itself
  does what it does to the request.
* A filter that waits ends it: what comes behind depends on an answer that nobody has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gwproxy.build import Builder, Gateway, Surroundings
from gwproxy.calls import Answer, Calls
from gwproxy.config import Config
from gwproxy.config.options import declared_options
from gwproxy.errors import GatewayError
from gwproxy.filters.api import Reply
from gwproxy.filters.chain import FilterChain
from gwproxy.filters.decision import Mode
from gwproxy.http.forwarded import PeerForwarding
from gwproxy.http.headers import Headers
from gwproxy.http.host import parse_host
from gwproxy.http.request import HeadLimits, RequestHead
from gwproxy.http.target import Target, parse_target
from gwproxy.proxy.exchange import Exchange
from gwproxy.proxy.forward import Forward
from gwproxy.routing.route import Route
from gwproxy.runtime.keep import Keeper
from gwproxy.store.redis import Store
from gwproxy.upstream.server import Server

PASSES: Final = "passes"
NOT_ASKED: Final = "is not asked"


class UnansweredCalls(Calls):
    """Takes down what would be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []  # method and URL

    def request(self, method: str, url: str, **options: Any) -> Deferred[Answer]:
        """As Calls.request(), and nothing ever comes of it."""
        self.asked.append((method, url))
        return Deferred()


class _Keeper(Keeper):
    """Sets to work what asks by calls or reads files; stores would connect."""

    def start(self) -> None:
        self._started.update((key, kept) for key, kept in self._kept.items() if isinstance(kept, Store))
        super().start()


class _Nobody:
    def exchange_finished(self, exchange: object) -> None:
        """Neither logs nor metrics."""


@attrs.define
class Received:
    """A judged request, as the exchange knows it."""

    head: RequestHead
    target: Target
    host_name: bytes


class Client:
    """The other end, which sends a head and then nothing, and takes what comes."""

    scheme = b"http"

    def __init__(self, peer: PeerForwarding, trusted: bool) -> None:
        self.peer = peer
        self.peer_trusted = trusted
        self.body_wanted = False

    def body_complete(self) -> bool:
        """There is none."""
        return not self.body_wanted

    def body_at_hand(self) -> bool:
        """Nor any of it."""
        return True

    def start_body(self, sink: object) -> None:
        """It does not come."""
        self.body_wanted = True

    def __getattr__(self, name: str) -> Any:
        """Whatever else a Downstream does has no effect here."""
        return lambda *arguments: None


@attrs.frozen
class Verdict:
    """What a filter says of the request. `passed`: the next one is asked."""

    name: str
    type: str
    words: str
    passed: bool


@attrs.frozen
class Sent:
    """What an upstream would get, and from which server's connection. `hop` has lines of the gateway's own fields."""

    server: Server
    method: bytes
    target: bytes
    headers: Headers
    hop: bytes


class Rehearsal:
    """A configuration, built for one request. Raises nothing that `load_checked` has not raised."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._calls = UnansweredCalls()
        self._keeper = _Keeper()
        self._clock = Clock()
        self.gateway = self._build(config)
        shadows = {
            name: attrs.evolve(section, options=attrs.evolve(section.options, mode=Mode.ENFORCE))
            for name, section in config.filters.items()
            if getattr(section.options, "mode", None) is Mode.SHADOW
        }
        self._twins = self._build(attrs.evolve(config, filters=shadows, routes={})).filters if shadows else {}
        self._keeper.start()
        self._secretive = set(_secretive(config))
        self.masked: set[bytes] = set()  # fields of the request, in lower case

    def _build(self, config: Config) -> Gateway:
        around = Surroundings(calls=self._calls)
        return Builder(config, self._clock, self._keeper, _Nobody(), {}, surroundings=around).build()

    def receive(
        self, head: bytes, limits: HeadLimits, peer_ip: str, port: int | None
    ) -> tuple[RequestHead, Client, Received]:
        """A request as a listener on `port` takes it. Raises GatewayError for one that is refused."""
        read = RequestHead()
        read.read(head, limits)
        target = parse_target(read.method, read.target)
        authority = read.host if target.authority is None else target.authority
        received = Received(read, target, parse_host(authority or b"").name)
        peer = PeerForwarding(peer_ip, Client.scheme, port)
        return read, Client(peer, peer.ip in self.gateway.site.settings.trusted), received

    def exchange(self, received: Received, client: Client, route: Route) -> Exchange:
        """The exchange, before its first filter."""
        downstream: Any = client
        return Exchange(received, downstream, route, self.gateway.site.settings)

    def ask_filters(self, exchange: Exchange, client: Client) -> Iterator[Verdict]:
        """Asks the route's filters in order; behind one that answers, fails or waits, none is asked."""
        asked = True
        assert exchange.route is not None
        strip = exchange.route.filters.strip_vouched
        if strip is not None:
            strip(exchange.headers)
        for name in exchange.route.options.filters:
            words = self._ask(exchange, client, name) if asked else NOT_ASKED
            passed = asked and words.startswith((PASSES, "shadow: would have answered"))
            yield Verdict(name, self._config.filters[name].type, words, passed)
            asked = passed

    def _ask(self, exchange: Exchange, client: Client, name: str) -> str:
        said = ""
        if name in self._twins:
            before = exchange.headers.copy(), exchange.principal, exchange.body_limits
            said = self._verdict(exchange, client, name, self._twins[name])
            exchange.headers[:], exchange.principal, exchange.body_limits = before
        before_it = exchange.headers.copy()
        words = self._verdict(exchange, client, name, self.gateway.filters[name])
        if name in self._secretive:
            self.masked.update(field.lower() for field, value in exchange.headers if (field, value) not in before_it)
        if words == PASSES and said and said != PASSES:
            return f"shadow: {said.replace('would answer', 'would have answered', 1)}"
        return words

    def _verdict(self, exchange: Exchange, client: Client, name: str, filter_object: object) -> str:
        """What one filter says, in words."""
        calls = len(self._calls.asked)
        exchange.filter_depth = exchange.filters_entered = 0
        try:
            outcome = FilterChain([(name, filter_object)], strips=False).run_request(exchange)
        except GatewayError as error:
            return f"would answer {error.status} {error.reason}"
        except Exception as error:
            return f"fails, which is a 500: {type(error).__name__}"
        if outcome is None:
            return PASSES
        if isinstance(outcome, Reply):
            return f"would answer {outcome.status} {outcome.detail or outcome.reason}"
        outcome.addErrback(lambda _: None)
        outcome.cancel()
        # Of this request, or what was asked when the gateway started and is not answered yet.
        asked = self._calls.asked[calls:] or self._calls.asked
        if client.body_wanted:
            return "would wait for the body of the request"
        if asked:
            return "would wait, because it asks " + ", ".join(f"{method} {url}" for method, url in dict.fromkeys(asked))
        return "would wait"

    def forward(self, exchange: Exchange, route: Route) -> Sent | None:
        """What the route's action would send upstream; None: it answers itself. Raises GatewayError."""
        action = route.action
        if not isinstance(action, Forward):
            return None
        wire = _Wire()
        action.client = wire  # type: ignore[assignment]  # nothing of it is used but forward()
        action.begin(exchange)
        sent = wire.sent
        if sent is not None and self._secretive.intersection(route.options.filters):
            own = [(b"Host", exchange.header(b"host") or b""), *exchange.headers]
            self.masked.update(field.lower() for field, value in sent.headers if (field, value) not in own)
            self.masked.discard(b"host")
        return sent


def _secretive(config: Config) -> Iterator[str]:
    """Filters that may put into a request what must not be shown: an option that could be read otherwise has it."""
    for kind, name, key in config.hidden:
        if kind == "filter" and key is not None:
            declared = declared_options(type(config.filters[name].options)).get(key)
            if declared is not None and not declared.secret:
                yield name


class _Wire:
    """An UpstreamClient and its connection in one: writes down the request."""

    def __init__(self) -> None:
        self.sent: Sent | None = None
        self._server: Server | None = None

    def forward(self, server: Server, attempt: Any, fresh: bool, careful: bool) -> None:
        """A connection, at once."""
        self._server = server
        attempt.connection_ready(self)

    def send(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        hop: bytes,
        length: int | None,
        chunked: bool,
        sink: object,
    ) -> None:
        """Notes what would be written."""
        assert self._server is not None
        if length is not None:
            hop += b"Content-Length: %d\r\n" % length
        if chunked:
            hop += b"Transfer-Encoding: chunked\r\n"
        self.sent = Sent(self._server, method, target, headers, hop)

    def __getattr__(self, name: str) -> Any:
        """What else a connection does has no effect here."""
        return lambda *arguments: None
