"""The seam between the gateway and its filters: what a filter may implement, what it is handed, what it may return.

A filter implements one or more of four hooks. Each is a plain call made at a fixed moment of an exchange:

* `on_request`: the head is judged and routed, nothing has gone upstream. The only hook that may answer or wait.
* `on_attempt`: before each try at a server; edits `exchange.outgoing`.
* `on_response`: the response head is known, nothing of it is written; edits status, headers, adds a body transform.
* `on_done`: the exchange is over. Exactly once, always, if `on_request` of this filter ran.

Names of headers are bytes in any case; compare them with `gwproxy.http.headers`. Filters must not keep an exchange.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred, execute
from zope.interface import Attribute, Interface

from gwproxy.calls import Calls
from gwproxy.config.mistakes import ConfigMistake, did_you_mean
from gwproxy.errors import Reason
from gwproxy.runtime.meters import Meters
from gwproxy.runtime.wall import wall_clock
from gwproxy.runtime.watched import WatchedFile

if TYPE_CHECKING:
    from pathlib import Path

    from twisted.internet.interfaces import IReactorTime

    from gwproxy.store.redis import Store

T = TypeVar("T")

Header = tuple[bytes, bytes]


@attrs.frozen
class Reply:
    """An answer made by the gateway itself. `body` None: the error page of `status` (problem+json or HTML)."""

    status: int
    headers: list[Header] = attrs.field(factory=list)
    body: bytes | None = None
    content_type: bytes = b"text/plain; charset=utf-8"
    reason: Reason = Reason.FILTER
    # What the error page says under `reason`, from the filter's own closed list ("token_expired"); the log has it too.
    detail: str = ""
    # More members of that page's problem+json: `pointer`, say, to what is wrong in a body.
    more: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Principal:
    """Who a request is for, as an authentication filter established it."""

    subject: str
    claims: Mapping[str, Any] = attrs.field(factory=dict)
    issuer: str = ""
    # How it was established: "jwt", "introspection", "api_key", "basic_auth", ...
    method: str = ""


class Outgoing:
    """The request head of one attempt, as it will be written. Filters edit `headers` and, rarely, `target` in place."""

    __slots__ = ("headers", "method", "target")

    def __init__(self, method: bytes, target: bytes, headers: list[Header]) -> None:
        self.method = method
        self.target = target
        self.headers = headers


class BodyTransform(Protocol):
    """Rewrites a response body as it streams. One per exchange; what it returns is written at once."""

    def data(self, data: bytes) -> bytes:
        """Called for each piece of the body; returns what to write now, maybe nothing."""

    def end(self) -> bytes:
        """Called once after the last piece; returns what is left."""


class Exchange(Protocol):
    """What a filter sees of one request and its answer.

    Read-only unless said otherwise. `headers` are the client's end-to-end fields, as received and in order: without
    Host (see `header()`), framing, hop-by-hop and forwarding fields. Filters may edit them in place in `on_request`,
    and every attempt is made from the edited list.
    """

    # the request
    method: bytes
    scheme: bytes  # b"http" | b"https"
    host: bytes  # lower case, without port and trailing dot: what routes are matched by
    target: bytes  # path and query as received
    path: bytes  # decoded and without dot segments: what routes and policies are matched by
    query: bytes  # as received, without the `?`; empty if there is none
    headers: list[Header]
    peer_ip: str  # the other end of the connection; "" for a unix socket
    client_ip: str  # the client as trusted_proxies defines it; "" when unknown
    request_id: str
    trace_id: str  # 32 hex digits
    started: float  # the reactor's seconds, when the head was complete

    # the body, before any of it is read
    @property
    def content_length(self) -> int | None:
        """Bytes of the request body; None if it comes in chunks, or there is none."""

    @property
    def has_body(self) -> bool:
        """Whether a request body is to come."""

    # what one filter leaves for others
    principal: Principal | None  # written by authentication filters

    # which filter answered; written by the chain, and by Decisions.deny()
    filter_name: str | None

    # the attempt: set while `on_attempt` runs
    outgoing: Outgoing

    # the response: set once `on_response` runs, and still there in `on_done`
    status: int  # may be edited in on_response
    response_headers: list[Header]  # may be edited in on_response
    from_upstream: bool  # False: a reply of the gateway's own

    @property
    def route_name(self) -> str:
        """The name of the matched route."""

    def header(self, name: bytes) -> bytes | None:
        """The first request header of this name (given in lower case), or None."""

    def add_body_transform(self, transform: BodyTransform) -> None:
        """In `on_response` only: send the body through `transform`. The length becomes unknown."""

    def read_body(self, limit: int) -> Deferred[bytes]:
        """In `on_request` only: the whole request body, held in memory and passed on byte for byte afterwards. Fails
        with BodyTooLarge when it has more than `limit` bytes, or more than the route's max_body; a filter that lets the
        request pass then lets the body stream on, and one that does not catch it answers 413. A client that is slow or
        goes away ends the exchange, and cancels the Deferred, by itself."""

    def limit_body(self, limit: int, exceeded: Callable[[Exchange], Verdict]) -> Verdict:
        """In `on_request` only: calls `exceeded` once, when more than `limit` bytes of the body have come; the Reply
        that it gives is the answer, None lets the body pass. What this gives is what on_request should return: when
        another filter has read so much already, it is what `exceeded` said."""


# What on_request may give: None goes on, a Reply answers now, an awaitable of either waits.
Verdict = Reply | None
Waiting = Deferred[Verdict] | Awaitable[Verdict]


class IRequestFilter(Interface):
    """Decides about a request before anything goes upstream.

    One that answers CORS preflights has an attribute `answers_preflight`, true: then the preflight of a request comes
    to the route of that request, whether or not it takes OPTIONS.
    One that vouches for fields has an attribute `vouched`, their names: the chain takes them out of the request before
    it asks anybody.
    """

    def on_request(exchange):  # type: ignore[no-untyped-def]  # zope interfaces have no self and no annotations
        """None: go on. Reply: answer now. A Deferred or coroutine of either: wait for it."""


class IAttemptFilter(Interface):
    """Edits what is sent upstream."""

    def on_attempt(exchange):  # type: ignore[no-untyped-def]
        """Called before each try, after hop-by-hop headers are gone. Must not wait."""


class IResponseFilter(Interface):
    """Edits what the client gets."""

    def on_response(exchange):  # type: ignore[no-untyped-def]
        """Called when the head is known and nothing is written, for own replies too. Must not wait."""


class IDoneFilter(Interface):
    """Releases and counts."""

    def on_done(exchange):  # type: ignore[no-untyped-def]
        """Called exactly once when the exchange is over, if `on_request` of this filter ran (or it has none)."""


class Report(Protocol):
    """Who is told of denials: the security log."""

    def __call__(self, exchange: Exchange, event: str, *, filter: str, reason: str, mode: str) -> None:
        """`filter` denied, or would have (`mode` shadow), for `reason`."""


def no_report(exchange: Exchange, event: str, *, filter: str, reason: str, mode: str) -> None:
    """For configurations that are only checked."""


@attrs.frozen
class FilterContext:
    """What a filter's factory gets besides its options: everything else of the gateway that it may use."""

    name: str  # the filter's own name, from [filter:NAME]
    reactor: IReactorTime
    # keep(key, make): state that outlives a reload. The key holds everything that its meaning depends on. What has
    # start() and stop() is started when the gateway serves (gwproxy.runtime.keep.Worker).
    keep: Callable[[tuple[object, ...], Callable[[], Any]], Any]
    # What Decisions need, and metrics of a filter's own.
    meters: Meters = attrs.field(factory=Meters)
    report: Report = no_report
    # Seconds since 1970, for what is dated by others: tokens, keys. Durations are the reactor's.
    wall: Callable[[], float] = wall_clock
    # HTTP calls of the gateway's own.
    calls: Calls = attrs.field(factory=Calls)
    # The [store:NAME] sections, by name.
    stores: Mapping[str, Store] = attrs.field(factory=dict)
    # Where state may outlive a restart; None: nowhere.
    state_dir: Path | None = None
    # in_thread(function, *arguments): a Deferred of what it returns, from a thread.
    in_thread: Callable[..., Deferred[Any]] = execute

    def store(self, name: str) -> Store:
        """A [store:NAME]. Raises ConfigMistake for one that there is not."""
        try:
            return self.stores[name]
        except KeyError:
            near = did_you_mean(name, self.stores)
            raise ConfigMistake(f"there is no such [store:NAME]{near}", "store") from None

    def watched_file(self, path: Path, parse: Callable[[bytes], T], key: str = "file") -> WatchedFile[T]:
        """A file that is read again when it changes; filters that read it the same way share it. `parse`, a function of
        a module, raises ValueError for a content that is wrong. Then, and for a file that cannot be read, raises
        ConfigMistake, of the option `key`."""
        try:
            watched: WatchedFile[T] = self.keep(
                ("watched", path, parse), lambda: WatchedFile(path, parse, self.reactor)
            )
        except ValueError as error:
            raise ConfigMistake(f"{path}: {error}", key) from None
        return watched


@attrs.frozen
class Traits:
    """What a filter means for the others of its chain: load-time warnings are made of it (`filters/order.py`)."""

    identifies: bool = False  # sets exchange.principal
    costly: bool = False  # deciding takes cryptography or a call
    cheap_guard: bool = False  # keeps much out for little: belongs ahead of what is costly
    needs_principal: bool = False  # does nothing good before one is set
    cors: bool = False  # answers preflights, which have no credentials
    checks_origin: bool = False
    credentials_from_cookie: bool = False
    vouches_for: tuple[bytes, ...] = ()  # request fields that it removes and sets
    removes: tuple[bytes, ...] = ()  # request fields that it takes away from clients
    judges: tuple[bytes, ...] = ()  # request fields with credentials, which it leaves there when they are good
    secret_parameters: tuple[str, ...] = ()  # query parameters with credentials, which no log may show


class IFilterType(Interface):
    """What an entry point in group `gwproxy.filters` names: usually a module with these two attributes."""

    Options = Attribute("A frozen attrs class; each option declared by gwproxy.config.options.option().")
    # May be missing:
    traits = Attribute("A function of the options that gives Traits.")

    def factory(options, context):  # type: ignore[no-untyped-def]
        """An object that provides one or more of the hooks. ConfigMistake for options that do not fit together."""
