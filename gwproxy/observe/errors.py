"""The error log: what Twisted and the gateway log through twisted.logger, one JSON line an event.

Under twistd nothing needs to be replaced after the fact. twistd makes the service, puts it into an Application by
calling the service's `setServiceParent`, and only then begins logging: to the observer that `--logger` names, else to
the Application's ILogObserver component, else to standard output in a format of its own. So a service that sets that
component when it is given its parent (`observe_application`) has every line in its format, and none twice. Events from
before, which twistd keeps, come first.
"""

from __future__ import annotations

import json
import threading

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from zope.interface import implementer

from gwproxy.observe.dates import Stamp
from gwproxy.observe.sink import LogSink

FIELDS = ("ts", "level", "namespace", "message", "id", "trace")

_MAX_MESSAGE = 8192
_MAX_TRACE = 32768
_LEVELS = tuple(LogLevel.iterconstants())
_encode = json.JSONEncoder(separators=(",", ":"), default=repr).encode


@implementer(ILogObserver)
class ErrorLog:
    """An observer for twisted.logger that writes to a sink. May be called from any thread; never waits, never raises.

    Fields: `ts`, `level`, `namespace`, `message`; `id` if the event was logged with `request_id=`; `trace`, the
    traceback, if it has a failure.
    """

    def __init__(self, sink: LogSink, reactor: IReactorFromThreads, level: str = "info") -> None:
        """`level`: events below it are left out."""
        self.sink = sink
        self._reactor = reactor
        self._levels = frozenset(_LEVELS[_LEVELS.index(LogLevel.levelWithName(level)) :])
        self._stamp = Stamp()

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) not in self._levels:
            return
        try:
            line = self._format(event)
        except Exception as error:
            # Nobody is behind this observer: an event that cannot be formatted must neither raise nor be silent.
            fault = {"level": "error", "message": f"an event that cannot be formatted: {type(error).__name__}"}
            line = _encode(fault).encode("ascii") + b"\n"
        if threading.current_thread() is threading.main_thread():
            self.sink.write(line)
        else:
            self._reactor.callFromThread(self.sink.write, line)

    def _format(self, event: LogEvent) -> bytes:
        level = event.get("log_level", LogLevel.info)
        record: dict[str, object] = {
            "ts": self._stamp(event["log_time"]),
            "level": level.name,
            "namespace": event.get("log_namespace", ""),
            "message": formatEvent(event)[:_MAX_MESSAGE],
        }
        request_id = event.get("request_id")
        if request_id is not None:
            record["id"] = request_id
        failure = event.get("log_failure")
        if isinstance(failure, Failure):
            # No values of variables: a traceback of an authentication filter must not hold its token.
            record["trace"] = _tail(failure.getTraceback(elideFrameworkCode=False, detail="default"))
        return _encode(record).encode("ascii") + b"\n"


def observe_application(application: object, observer: ErrorLog) -> None:
    """Make `observer` the log of the Application that twistd has just made the parent of our service.

    To be called from the service's `setServiceParent`, whatever the parent: does nothing for one that is no
    Application. twistd's own `--logger` still wins.
    """
    if isinstance(application, Componentized):
        application.setComponent(ILogObserver, observer)


def _tail(trace: str) -> str:
    """The end of a traceback: there it says what went wrong."""
    return trace if len(trace) <= _MAX_TRACE else "...\n" + trace[-_MAX_TRACE:]
