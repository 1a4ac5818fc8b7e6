"""Twisted's failures as ours."""

from __future__ import annotations

import pytest
from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from gwproxy.errors import ConnectFailed, ConnectTimeout, GatewayError, InternalError
from gwproxy.upstream.failures import connect_error, is_clean_end


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (error.TimeoutError(), ConnectTimeout),
        (error.TCPTimedOutError(), ConnectTimeout),
        (CancelledError(), ConnectTimeout),
        (error.ConnectionRefusedError(), ConnectFailed),
        (error.NoRouteError(), ConnectFailed),
        (error.ConnectError(), ConnectFailed),
        (error.ConnectBindError(), ConnectFailed),
        (error.UnknownHostError(), ConnectFailed),
        (error.DNSLookupError("name"), ConnectFailed),
        (OSError(24, "Too many open files"), ConnectFailed),
        (FileNotFoundError(2, "no such socket"), ConnectFailed),
        (ZeroDivisionError(), InternalError),
    ],
)
def test_m7_why_no_connection_could_be_made(raised: Exception, expected: type[GatewayError]) -> None:
    found = connect_error(Failure(raised), "10.0.0.1:80")
    assert type(found) is expected
    assert "10.0.0.1:80" in found.detail
    assert found.retryable is (expected is not InternalError)


def test_m6_only_an_orderly_close_is_a_clean_end() -> None:
    assert is_clean_end(Failure(error.ConnectionDone()))
    for other in (error.ConnectionLost(), error.ConnectionAborted(), error.TimeoutError(), OSError()):
        assert not is_clean_end(Failure(other))
