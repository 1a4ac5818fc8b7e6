"""What can go wrong with one exchange, and the one place that says which status each failure has.

An error knows three things: whose fault it is (`source`), what the client is told (`status` and `reason`), and whether
another attempt may help (`retryable`: yes only when the upstream cannot have acted on the request).
`Reason` is the closed list that stands in the access log, in error bodies and in metric labels; nothing else may.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Source(StrEnum):
    """Whose fault a failure is."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


class Reason(StrEnum):
    """Why the gateway, and not an upstream, decided how an exchange ended. A closed list, for log and metrics too."""

    # the request is refused as it is written
    BAD_REQUEST = "bad_request"  # 400: the head is not HTTP
    BAD_FRAMING = "bad_framing"  # 400: where the body ends is ambiguous
    BAD_HOST = "bad_host"  # 400: Host missing, twice or malformed
    BAD_TARGET = "bad_target"  # 400: the request target is malformed or leaves the root
    BAD_CHUNK = "bad_chunk"  # 400: the chunked body is malformed
    TARGET_TOO_LONG = "target_too_long"  # 414
    HEAD_TOO_LARGE = "head_too_large"  # 431
    BODY_TOO_LARGE = "body_too_large"  # 413
    TRANSFER_CODING = "transfer_coding"  # 501: a transfer coding other than chunked
    VERSION = "version"  # 505
    EXPECTATION = "expectation"  # 417
    METHOD = "method"  # 405
    MISDIRECTED = "misdirected"  # 421
    UPGRADE = "upgrade"  # 403: an upgrade on a route that takes none
    NO_ROUTE = "no_route"  # 404
    NO_FILE = "no_file"  # 404 and other refusals of a static route
    LOOP = "loop"  # 508: the request has passed this gateway before

    # the client is too slow, or gone
    HEADER_TIMEOUT = "header_timeout"  # 408
    BODY_TIMEOUT = "body_timeout"  # 408: the request body stalled or is slower than min_body_rate
    CLIENT_GONE = "client_gone"  # 499, in the log only
    CLIENT_STALLED = "client_stalled"  # 499, in the log only: the client read nothing for idle_timeout; cut

    # the upstream failed
    CONNECT_FAILED = "connect_failed"  # 502
    CONNECT_TIMEOUT = "connect_timeout"  # 504
    UPSTREAM_CLOSED = "upstream_closed"  # 502: closed or reset before the response head
    BAD_RESPONSE = "bad_response"  # 502: what it sent is not a valid response
    RESPONSE_TIMEOUT = "response_timeout"  # 504: no response head in time
    UPSTREAM_STALLED = "upstream_stalled"  # 504 before the head, abort after it: no byte came or went for idle_timeout
    UPSTREAM_BROKEN = "upstream_broken"  # abort: the response body broke off

    # the gateway has no room
    NO_SERVER = "no_server"  # 503
    QUEUE_FULL = "queue_full"  # 503
    QUEUE_TIMEOUT = "queue_timeout"  # 503
    OVERLOAD = "overload"  # 503: max_connections, of the listener or of one address
    DRAINING = "draining"  # 503 before the head, abort after it: the drain ended first
    ROUTE_TIMEOUT = "route_timeout"  # 504: no response head within the route's timeout, whatever was tried

    # the gateway answered by configuration
    RESPOND = "respond"  # a `respond =` route
    REDIRECT = "redirect"  # a `redirect =` route
    STATIC = "static"  # a `static =` route
    FILTER = "filter"  # a filter answered; the log's `filter` says which
    INTERNAL = "internal"  # 500: a defect of the gateway or of a filter


class GatewayError(Exception):
    """A failure of one exchange. Raised or passed on as a value; `status` and `reason` are what the client is told."""

    status: ClassVar[int] = 500
    source: ClassVar[Source] = Source.GATEWAY
    reason: ClassVar[Reason] = Reason.INTERNAL
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "") -> None:
        """`detail` is for the error log, never for the client."""
        super().__init__(detail)
        self.detail = detail

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status} {self.reason} {self.detail!r}>"


class ClientError(GatewayError):
    """The client's fault."""

    status = 400
    source = Source.CLIENT
    reason = Reason.BAD_REQUEST


class BadRequest(ClientError):
    """The head is not HTTP (RFC 9112 section 2.2)."""


class BadFraming(ClientError):
    """Where the body ends is ambiguous (RFC 9112 section 6.3)."""

    reason = Reason.BAD_FRAMING


class BadHost(ClientError):
    """Host missing, repeated or malformed (RFC 9112 section 3.2)."""

    reason = Reason.BAD_HOST


class BadTarget(ClientError):
    """The request target is malformed, or its dot segments leave the root."""

    reason = Reason.BAD_TARGET


class BadChunk(ClientError):
    """The chunked body is malformed (RFC 9112 section 7.1)."""

    reason = Reason.BAD_CHUNK


class TargetTooLong(ClientError):
    """The target is longer than max_target."""

    status = 414
    reason = Reason.TARGET_TOO_LONG


class HeadTooLarge(ClientError):
    """The head is larger than max_header_size, or has more than max_headers fields."""

    status = 431
    reason = Reason.HEAD_TOO_LARGE


class BodyTooLarge(ClientError):
    """The body is larger than the route's max_body; may come after the upstream has had a part of it."""

    status = 413
    reason = Reason.BODY_TOO_LARGE


class UnknownTransferCoding(ClientError):
    """A transfer coding other than exactly `chunked` (RFC 9112 section 6.1)."""

    status = 501
    reason = Reason.TRANSFER_CODING


class UnknownVersion(ClientError):
    """Not HTTP/1.0 or HTTP/1.1."""

    status = 505
    reason = Reason.VERSION


class UnknownExpectation(ClientError):
    """An Expect other than 100-continue (RFC 9110 section 10.1.1)."""

    status = 417
    reason = Reason.EXPECTATION


class MethodNotAllowed(ClientError):
    """The method is refused wherever it goes: CONNECT, TRACE."""

    status = 405
    reason = Reason.METHOD


class UpgradeRefused(ClientError):
    """An upgrade on a route that takes none."""

    status = 403
    reason = Reason.UPGRADE


class Misdirected(ClientError):
    """The Host is not one that this connection may ask for (RFC 9110 section 15.5.20)."""

    status = 421
    reason = Reason.MISDIRECTED


class HeaderTimeout(ClientError):
    """The request head did not arrive within header_timeout."""

    status = 408
    reason = Reason.HEADER_TIMEOUT


class BodyTimeout(ClientError):
    """The request body stalled, or came slower than min_body_rate."""

    status = 408
    reason = Reason.BODY_TIMEOUT


class ClientGone(ClientError):
    """The client went away. An outcome for the log; nobody is there to be told."""

    status = 499
    reason = Reason.CLIENT_GONE


class ClientStalled(ClientError):
    """The client read nothing of its response for idle_timeout."""

    status = 499
    reason = Reason.CLIENT_STALLED


class LoopDetected(ClientError):
    """The request came through this gateway before (RFC 9110 section 7.6.3)."""

    status = 508
    reason = Reason.LOOP


class UpstreamError(GatewayError):
    """The upstream's fault."""

    status = 502
    source = Source.UPSTREAM
    reason = Reason.UPSTREAM_CLOSED


class ConnectFailed(UpstreamError):
    """No connection could be made; the request was not sent."""

    reason = Reason.CONNECT_FAILED
    retryable = True


class ConnectTimeout(UpstreamError):
    """No connection within connect_timeout; the request was not sent."""

    status = 504
    reason = Reason.CONNECT_TIMEOUT
    retryable = True


class UpstreamClosed(UpstreamError):
    """Closed or reset before the response head. `retryable` is decided by who knows what was sent."""


class BadResponse(UpstreamError):
    """What the upstream sent is not a valid response."""

    reason = Reason.BAD_RESPONSE


class ResponseTimeout(UpstreamError):
    """No response head within response_timeout."""

    status = 504
    reason = Reason.RESPONSE_TIMEOUT


class UpstreamStalled(UpstreamError):
    """The upstream neither sent nor took a byte for idle_timeout."""

    status = 504
    reason = Reason.UPSTREAM_STALLED


class UpstreamBroken(UpstreamError):
    """The response body broke off."""

    reason = Reason.UPSTREAM_BROKEN


class NoServer(GatewayError):
    """No server of the upstream can be used."""

    status = 503
    reason = Reason.NO_SERVER


class QueueFull(GatewayError):
    """All connections to the server are busy and so many exchanges wait that one more is refused."""

    status = 503
    reason = Reason.QUEUE_FULL


class QueueTimeout(GatewayError):
    """No connection became free within queue_timeout."""

    status = 503
    reason = Reason.QUEUE_TIMEOUT


class Overload(GatewayError):
    """The listener, or one address at it, has as many connections as it may."""

    status = 503
    reason = Reason.OVERLOAD


class RouteTimeout(GatewayError):
    """No response head within the route's timeout, which runs from the end of the request (CORRECTNESS K9)."""

    status = 504
    reason = Reason.ROUTE_TIMEOUT


class Draining(GatewayError):
    """The drain ended before the exchange did."""

    status = 503
    reason = Reason.DRAINING


class InternalError(GatewayError):
    """A defect of the gateway or of a filter; the error log has its trace."""
