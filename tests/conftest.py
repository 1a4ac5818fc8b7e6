"""What holds for every test: it leaves no timer and no socket behind, and logs no error that it did not look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from hypothesis import HealthCheck, settings
from twisted.internet import task
from twisted.internet.error import ConnectionAborted
from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import provider

# How long an example takes says more about the machine than about the code.
settings.register_profile("gwproxy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gwproxy")


@pytest.fixture(autouse=True)
def logged_errors() -> Iterator[list[LogEvent]]:
    """The errors logged so far. A test that provokes some looks at them and clears the list; what is left fails it."""
    errors: list[LogEvent] = []

    @provider(ILogObserver)
    def collect(event: LogEvent) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            errors.append(event)

    globalLogPublisher.addObserver(collect)
    yield errors
    globalLogPublisher.removeObserver(collect)
    if errors:
        pytest.fail("logged, and not expected:\n" + "\n".join(eventAsText(event) for event in errors), pytrace=False)


@pytest.fixture(autouse=True)
def clean_reactor() -> Iterator[None]:
    """What a test started in the reactor, it ends. Connections being closed have half a second for that."""
    from twisted.internet import reactor

    before = _busy(reactor)
    yield
    for _ in range(50):
        if not _busy(reactor) - before:
            break
        pytest_twisted.blockon(task.deferLater(reactor, 0.01, lambda: None))
    left = _busy(reactor) - before
    if not left:
        return
    names = ", ".join(sorted(map(repr, left)))
    for call in left & set(reactor.getDelayedCalls()):
        call.cancel()
    for selectable in left & set(reactor.removeAll()):
        selectable.connectionLost(Failure(ConnectionAborted()))
    pytest.fail(f"left in the reactor: {names}", pytrace=False)


def _busy(reactor: Any) -> set[Any]:
    """Timers, sockets and pipes that the reactor watches, apart from its own."""
    watched = {*reactor.getDelayedCalls(), *reactor.getReaders(), *reactor.getWriters()}
    return watched - set(reactor._internalReaders)
