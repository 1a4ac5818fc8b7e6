"""One request and its answer, from the judged head to the last byte.

States: `FILTERING -> FORWARDING -> COMMITTED -> FINISHED`. A failure before the commit becomes an error page, after
it an abort (never a clean end of a broken body), after the finish nothing. Whatever happens, `_finish()` runs exactly
once.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from gwproxy.errors import BodyTooLarge, ClientGone, GatewayError, InternalError, Reason, RouteTimeout, Source
from gwproxy.filters.api import BodyTransform, Reply, Verdict
from gwproxy.filters.chain import FilterChain
from gwproxy.http.headers import Headers, get
from gwproxy.http.response import BODILESS
from gwproxy.http.writing import chunk, last_chunk
from gwproxy.proxy.buffered import BodyRefused
from gwproxy.proxy.downstream import Downstream, Request
from gwproxy.proxy.head import response_head
from gwproxy.proxy.intake import Intake
from gwproxy.proxy.producer import Producer
from gwproxy.proxy.settings import ProxySettings
from gwproxy.routing.route import Route

_log = Logger(namespace="gwproxy.proxy")

FILTERING: Final = 0
FORWARDING: Final = 1
COMMITTED: Final = 2
FINISHED: Final = 3


class Exchange(Intake):
    """See the module. Made by the edge for every request, refused ones too (then `route` is None)."""

    __slots__ = (
        "_body_open",
        "_chain",
        "_chunking",
        "_keep_alive",
        "_out",
        "_state",
        "_transforms",
        "_waiting",
        "producer",
    )

    def __init__(self, request: Request, downstream: Downstream, route: Route | None, settings: ProxySettings) -> None:
        Intake.__init__(self, request, downstream, route, settings)
        self._chain: FilterChain | None = None if route is None else route.filters
        self._state = FILTERING
        self.producer: Producer | None = None  # who is at work on the response
        self._waiting: Deferred[Verdict] | None = None
        self._transforms: list[BodyTransform] | None = None
        # Written together when the event that brought it is over: see flush().
        self._out: list[bytes] = []
        self._chunking = False
        self._body_open = True
        self._keep_alive = True
        settings.generation.enter()

    def __repr__(self) -> str:
        state = ("filtering", "forwarding", "committed", "finished")[self._state]
        return f"<Exchange {state} {self.method!r} {self.target!r} status={self.status} reason={self.reason}>"

    @property
    def committed(self) -> bool:
        """Whether the response head is written."""
        return self._state >= COMMITTED

    @property
    def finished(self) -> bool:
        """Whether all is over."""
        return self._state == FINISHED

    @property
    def chunking(self) -> bool:
        """Whether the response is on its way, and in chunks. Between two events it is between two chunks."""
        return self._chunking and self._state == COMMITTED

    # For filters

    def add_body_transform(self, transform: BodyTransform) -> None:
        """In `on_response` only: send the body through `transform`. The length becomes unknown."""
        if self._transforms is None:
            self._transforms = []
        self._transforms.append(transform)

    def over_limit(self) -> bool:
        """More of the body has come, on its way to a server. True: who set a bound has ended the exchange."""
        try:
            reply = self.judge_body()
        except Exception:
            self.crash("a filter's bound on the body")
            return True
        if reply is None:
            return False
        if self._state == COMMITTED:
            self.fail(BodyTooLarge(reply.detail))
        else:
            self._drop_work()
            self._answer(reply)
        return True

    # From the head to the action

    def start(self) -> None:
        """Runs the filters, then what the route does."""
        route = self.route
        assert route is not None
        self.downstream.limit_wait(route.options.timeout)
        chain = route.filters
        if not chain.empty:
            try:
                verdict = chain.run_request(self)
            except Exception:
                self._refused(Failure())
                return
            # Not isinstance(verdict, Deferred), the common None first: Deferred is an ABC, which costs a microsecond.
            if verdict is not None:
                if isinstance(verdict, Reply):
                    self._answer(verdict)
                else:
                    self._waiting = verdict
                    verdict.addCallbacks(self._decided, self._undecided)
                return
        self._act(route)

    def _decided(self, verdict: Verdict) -> None:
        self._waiting = None
        if self._state != FILTERING:
            return
        if verdict is not None:
            self._answer(verdict)
        elif self.route is not None:
            self._act(self.route)

    def _undecided(self, failure: Failure) -> None:
        if self._waiting is None:
            return  # cancelled by _drop_work(), which knows why
        self._waiting = None
        self._refused(failure)

    def _refused(self, failure: Failure) -> None:
        """What came out of a filter's on_request: what became of the body that it read, or a defect."""
        error = failure.value
        if isinstance(error, BodyRefused):
            self.filter_name = error.filter_name
            self._answer(error.reply)
        elif isinstance(error, BodyTooLarge):
            self.fail(error)
        else:
            self.crash("a filter's on_request", failure)

    def _answer(self, reply: Reply) -> None:
        """Answers with what a filter made, which may be nothing that can be written."""
        try:
            if reply.body is not None:
                memoryview(reply.body)  # raises for a str, before anything is written
            self.reply(reply)
        except Exception:
            self.crash("a filter's reply")

    def _act(self, route: Route) -> None:
        self._state = FORWARDING
        if self.body_limits is not None and self.over_limit():
            return  # whoever was told of it, and let it pass: that was not theirs to decide
        try:
            route.action.begin(self)
        except GatewayError as error:
            self.fail(error)
        except Exception:
            self.crash("the route's action")

    # The response

    def reply(self, reply: Reply) -> None:
        """Answers with a reply of the gateway's own. Only before the commit."""
        self.from_upstream = False
        self.reason = reply.reason
        if reply.detail:
            self.detail = reply.detail
        body = reply.body
        headers = reply.headers.copy()
        if body is None:
            content_type, body = self.settings.error_page(self, reply)
        else:
            content_type = reply.content_type
        if body and get(headers, b"content-type") is None:
            headers.append((b"Content-Type", content_type))
        self.commit(reply.status, b"", headers, len(body), len(body))
        if self._state != COMMITTED:
            return  # a response filter failed, and its error page is out already
        if body and self.method != b"HEAD":
            self.write(body)
        self.end([])

    def commit(
        self,
        status: int,
        phrase: bytes,
        headers: Headers,
        length: int | None,
        declared: int | None,
        hop: bytes = b"",
        dated: bool = False,
    ) -> None:
        """Writes the response head.

        `length` is of the body that follows, None if unknown; `declared` what Content-Length says where no body follows
        (HEAD, 304); `hop` has lines of Via and Trailer; `dated` says that Date is among the headers. When a response
        filter fails, it ends in an error page instead: the exchange is `finished` then.
        """
        self.status = status
        self.response_headers = headers
        if self._chain is not None and self._chain.has_response:
            try:
                self._chain.run_response(self)
            except Exception:
                self._transforms = None
                self.crash("a filter's on_response")
                return
            if self._transforms is not None:
                # How long it will be, nobody knows: not in the answer to HEAD either.
                declared = None
                length = None if length != 0 else 0
        self._keep_alive = self.head.keep_alive and (self.downstream.body_complete() or self._rest_at_hand())
        try:
            head, self._chunking, self._keep_alive = response_head(
                self, phrase, length, declared, self._keep_alive, hop, dated
            )
        except Exception:
            if self.reason is Reason.INTERNAL and not self.filter_depth:
                raise
            # A filter left what cannot be written. Which one, nobody knows: none of them has another say.
            self.filter_depth = 0
            self._transforms = None
            self.crash("what filters made of the response")
            return
        self._state = COMMITTED
        # A filter may have made it a status that has no body: what came as one would be taken for the next response.
        self._body_open = length != 0 and self.status not in BODILESS and self.method != b"HEAD"
        self._out.append(head)

    def _rest_at_hand(self) -> bool:
        """A reply of our own leaves the request body unread: what is here already is read, else the connection ends."""
        return self.producer is None and self.downstream.body_at_hand()

    def informational(self, status_line: bytes, lines: bytes) -> None:
        """Passes a 1xx on, before the commit, to clients that may know them (RFC 9110 section 15.2)."""
        if self._state < COMMITTED and self.head.minor:
            self.downstream.write(status_line + lines + b"\r\n")

    def write(self, data: bytes) -> None:
        """A piece of the body."""
        if self._transforms is not None:
            data = self._transform(self._transforms, data)
        if data and self._body_open:
            self.bytes_out += len(data)
            if self._chunking:
                self._out += chunk(data)
            else:
                self._out.append(data)

    def flush(self) -> None:
        """Sends what was written: after each event that brought something, so that a head waits for no body (B10), and
        a head, its body and its end that came together leave together."""
        out = self._out
        if out:
            self._out = []
            self.downstream.write(out[0] if len(out) == 1 else b"".join(out))

    def end(self, trailers: Headers) -> None:
        """The body is whole."""
        if self._state != COMMITTED:
            return
        if self._transforms is not None and self._body_open:
            rest = self._transform(self._transforms, b"", ends=True)
            self._transforms = None
            self.write(rest)
            if self.finished:
                return  # a transform failed
        if self._chunking:
            self._out.append(last_chunk(trailers))
        self.producer = None
        self.flush()
        self._finish()
        self.downstream.response_done(self._keep_alive)

    def _transform(self, transforms: list[BodyTransform], data: bytes, ends: bool = False) -> bytes:
        """What the transforms make of a piece; in the end each one's rest goes through those behind it."""
        try:
            for transform in transforms:
                data = (transform.data(data) if data else b"") + (transform.end() if ends else b"")
        except Exception:
            self.crash("a body transform")
            return b""
        return data

    # What goes wrong

    def fail(self, error: GatewayError) -> None:
        """Ends it by a failure: an error page before the commit, an abort after it."""
        if self._state == FINISHED:
            return
        if self._state == COMMITTED:
            self._abort(error)
            return
        self._drop_work()
        self._state = FORWARDING
        self.detail = error.detail
        headers: Headers = []
        if error.status == 503:
            headers.append((b"Retry-After", b"1"))
        self.reply(Reply(error.status, headers, reason=error.reason))

    def crash(self, where: str, failure: Failure | None = None) -> None:
        """Ends it by a defect: 500, with the trace in the error log. Call it where the exception was caught."""
        _log.failure(
            "{where} failed: {filter}",
            failure,
            where=where,
            filter=self.filter_name or self.route_name,
            request_id=self.request_id,
        )
        self.fail(InternalError())

    def timed_out(self) -> None:
        """For the edge: the route's timeout is over."""
        if self._state < COMMITTED:
            self.fail(RouteTimeout())

    def client_lost(self, error: GatewayError | None = None) -> None:
        """For the edge: the client is gone, or was cut for `error`. Nothing can be told any more."""
        if self._state != FINISHED:
            self._abort(error or ClientGone())

    def _abort(self, error: GatewayError) -> None:
        self._drop_work()
        self.reason = error.reason
        self.detail = error.detail
        if error.status == 499:
            self.status = 499
        broken = self._state == COMMITTED and error.source is not Source.CLIENT
        self._finish()
        if broken:
            self.flush()
            self.downstream.break_off()
        else:
            self.downstream.abort()

    def _drop_work(self) -> None:
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.cancel()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()

    def _finish(self) -> None:
        self._state = FINISHED
        settings = self.settings
        self.ended = settings.seconds()
        chain = self._chain
        if chain is not None and chain.has_done:
            chain.run_done(self)
        settings.observer.exchange_finished(self)
        settings.generation.leave()

    # Back-pressure, from the client's connection

    def pause_response(self) -> None:
        """The client does not take the response as fast as it comes."""
        if self.producer is not None:
            self.producer.pause_response()

    def resume_response(self) -> None:
        """It does again."""
        if self.producer is not None:
            self.producer.resume_response()
