"""Twisted's failures as ours. The only place that knows both."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, ConnectionDone, DNSLookupError, TCPTimedOutError, TimeoutError
from twisted.python.failure import Failure

from gwproxy.errors import ConnectFailed, ConnectTimeout, GatewayError, InternalError


def connect_error(failure: Failure, server: str) -> GatewayError:
    """Why no connection to `server` could be made. Any of these may be tried elsewhere: nothing was sent."""
    if failure.check(TimeoutError, TCPTimedOutError, CancelledError):
        return ConnectTimeout(server)
    if failure.check(ConnectError, DNSLookupError, OSError):
        return ConnectFailed(f"{server}: {failure.getErrorMessage()}")
    return InternalError(f"{server}: {failure.getErrorMessage()}")


def is_clean_end(failure: Failure) -> bool:
    """Whether the peer closed its side in order: the only end that may complete a body without a length."""
    return failure.check(ConnectionDone) is not None
