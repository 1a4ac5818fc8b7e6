from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from gwproxy.errors import Reason
from gwproxy.observe import observer as observer_module
from gwproxy.observe.access import AccessLog
from gwproxy.observe.metrics import Metrics
from gwproxy.observe.observer import BATCH, INTERVAL, Observer
from gwproxy.observe.security import SecurityLog
from gwproxy.observe.sink import LogSink


def observer_of(written: Any, metrics: Metrics | None = None) -> tuple[Observer, Clock]:
    clock = Clock()
    return Observer(AccessLog(written.sink), metrics or Metrics("1"), SecurityLog(written.sink), clock), clock


def test_an_exchange_is_counted_and_logged(written: Any, finished: Callable[..., Any]) -> None:
    metrics = Metrics("1")
    observer, _ = observer_of(written, metrics)
    observer.exchange_finished(finished())
    observer.flush()
    assert len(written.lines()) == 1
    observer.exchange_finished(finished(status=400, reason=Reason.BAD_HOST))
    observer.close()
    access, security = written.lines()[1:]
    assert b'"status":400' in access
    assert b'"event":"bad_request"' in security
    body, _ = metrics.exposition()
    assert b'gateway_requests_total{route="users",method="GET",code="200"} 1\n' in body
    assert b'gateway_bad_requests_total{reason="bad_host"} 1.0\n' in body


def test_few_exchanges_wait_for_a_moment_and_many_for_nothing(written: Any, finished: Callable[..., Any]) -> None:
    observer, clock = observer_of(written)
    observer.exchange_finished(finished())
    clock.advance(INTERVAL / 2)
    assert written.lines() == []
    clock.advance(INTERVAL / 2)
    assert len(written.lines()) == 1
    for _ in range(BATCH):
        observer.exchange_finished(finished())
    assert len(written.lines()) == 1 + BATCH
    observer.close()
    assert clock.getDelayedCalls() == []


def test_a_line_says_when_its_exchange_began_not_when_it_was_written(
    written: Any, finished: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    observer, clock = observer_of(written)
    monkeypatch.setattr(observer_module, "wall_clock", lambda: 1_000_000.0 + clock.seconds())
    clock.advance(5)
    observer.exchange_finished(finished(started=2.0, ended=5.0))
    clock.advance(INTERVAL)
    (line,) = written.lines()
    assert line.startswith(b'{"ts":"1970-01-12T13:46:42.000Z"')
    observer.close()


def test_an_access_log_that_is_off_costs_nothing(written: Any, finished: Callable[..., Any]) -> None:
    off = AccessLog(LogSink(Clock(), "access", "off"))
    off.log = None  # type: ignore[method-assign, assignment]  # calling it would fail
    observer = Observer(off, Metrics("1"), SecurityLog(written.sink), Clock())
    observer.exchange_finished(finished())
    observer.close()
    assert written.lines() == []


def test_a_defect_here_is_logged_and_does_not_touch_the_others(
    written: Any, finished: Callable[..., Any], logged_errors: list[LogEvent]
) -> None:
    observer, _ = observer_of(written)
    observer.exchange_finished(finished(started=None))
    observer.exchange_finished(finished())
    observer.close()
    (event,) = logged_errors
    assert event["request_id"] == "0123456789abcdef"
    assert len(written.lines()) == 1
    logged_errors.clear()
