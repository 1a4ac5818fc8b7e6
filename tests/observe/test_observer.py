from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogEvent

from gwproxy.errors import Reason
from gwproxy.observe.access import AccessLog
from gwproxy.observe.metrics import Metrics
from gwproxy.observe.observer import Observer
from gwproxy.observe.security import SecurityLog
from gwproxy.observe.sink import LogSink


def test_an_exchange_is_counted_and_logged(written: Any, finished: Callable[..., Any]) -> None:
    metrics = Metrics("1")
    observer = Observer(AccessLog(written.sink), metrics, SecurityLog(written.sink))
    observer.exchange_finished(finished())
    assert len(written.lines()) == 1
    observer.exchange_finished(finished(status=400, reason=Reason.BAD_HOST))
    access, security = written.lines()[1:]
    assert b'"status":400' in access
    assert b'"event":"bad_request"' in security
    body, _ = metrics.exposition()
    assert b'gateway_requests_total{route="users",method="GET",code="200"} 1\n' in body
    assert b'gateway_bad_requests_total{reason="bad_host"} 1.0\n' in body


def test_an_access_log_that_is_off_costs_nothing(written: Any, finished: Callable[..., Any]) -> None:
    off = AccessLog(LogSink(Clock(), "access", "off"))
    off.log = None  # type: ignore[method-assign, assignment]  # calling it would fail
    Observer(off, Metrics("1"), SecurityLog(written.sink)).exchange_finished(finished())
    assert written.lines() == []


def test_a_defect_here_is_logged_and_not_raised(
    written: Any, finished: Callable[..., Any], logged_errors: list[LogEvent]
) -> None:
    observer = Observer(AccessLog(written.sink), Metrics("1"), SecurityLog(written.sink))
    observer.exchange_finished(finished(started=None))
    (event,) = logged_errors
    assert event["request_id"] == "0123456789abcdef"
    logged_errors.clear()
