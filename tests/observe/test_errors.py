from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.application import service
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from zope.interface import implementer

from gwproxy.observe.errors import FIELDS, ErrorLog, observe_application


@implementer(IReactorFromThreads)
class Threads:
    """Keeps what other threads want done."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.calls.append((callable, *args))


def record_of(written: Any) -> dict[str, Any]:
    (line,) = written.lines()
    record: dict[str, Any] = json.loads(line)
    return record


def test_an_event(written: Any) -> None:
    Logger("gwproxy.x", observer=ErrorLog(written.sink, Threads())).warn("{n} left", n=3)
    record = record_of(written)
    assert list(record) == ["ts", "level", "namespace", "message"]
    assert list(record.values())[1:] == ["warn", "gwproxy.x", "3 left"]


def test_a_failure_with_its_request(written: Any) -> None:
    log = Logger("gwproxy.x", observer=ErrorLog(written.sink, Threads()))
    token = "hunter2"
    try:
        assert token
        raise ValueError("bad\nthing")
    except ValueError:
        log.failure("filter {name} failed", name="jwt", request_id="abc")
    record = record_of(written)
    assert tuple(record) == FIELDS
    assert [record[name] for name in ("level", "message", "id")] == ["critical", "filter jwt failed", "abc"]
    assert "ValueError: bad\nthing" in record["trace"]
    assert "test_errors.py" in record["trace"]
    # the lines of the source are there, the values of variables are not
    assert "token" not in record["trace"]


def test_levels_below_are_left_out(written: Any) -> None:
    log = Logger("x", observer=ErrorLog(written.sink, Threads(), level="warn"))
    log.debug("a")
    log.info("b")
    log.warn("c")
    assert record_of(written)["message"] == "c"


def test_an_event_of_the_old_kind(written: Any) -> None:
    ErrorLog(written.sink, Threads())({"log_time": 0.0, "log_format": "{log_text}", "log_text": "old"})
    record = record_of(written)
    assert [record["ts"], record["level"], record["message"]] == ["1970-01-01T00:00:00.000Z", "info", "old"]


def test_long_events_are_cut(written: Any) -> None:
    def deep(level: int) -> None:
        if level:
            deep(level - 1)
        raise ValueError("the end")

    try:
        deep(600)
    except ValueError:
        failure = Failure()
    Logger("x", observer=ErrorLog(written.sink, Threads())).emit(LogLevel.error, "m" * 99999, log_failure=failure)
    record = record_of(written)
    assert len(record["message"]) == 8192
    assert len(record["trace"]) < 33000
    assert record["trace"].rstrip().endswith("the end")


@pytest.mark.parametrize(
    "event", [{"log_level": LogLevel.error}, {"log_level": LogLevel.error, "log_time": "yesterday"}]
)
def test_an_event_that_cannot_be_formatted_is_not_silent(written: Any, event: dict[str, Any]) -> None:
    ErrorLog(written.sink, Threads())(event)
    assert record_of(written)["message"].startswith("an event that cannot be formatted")


def test_hostile_text_gives_one_line(written: Any) -> None:
    Logger("x", observer=ErrorLog(written.sink, Threads())).error("{a}", a='\r\n"\udc80\x00', request_id=b"\xff")
    assert record_of(written)["message"] == '\r\n"\udc80\x00'


def test_other_threads_go_by_the_reactor(written: Any) -> None:
    threads = Threads()
    log = Logger("x", observer=ErrorLog(written.sink, threads))
    thread = threading.Thread(target=log.info, args=("from a thread",))
    thread.start()
    thread.join()
    assert written.lines() == []
    ((call, *arguments),) = threads.calls
    call(*arguments)
    assert record_of(written)["message"] == "from a thread"


def test_the_application_gets_the_observer(written: Any) -> None:
    observer = ErrorLog(written.sink, Threads())
    application = service.Application("x")
    assert isinstance(application, Componentized)
    observe_application(application, observer)
    assert application.getComponent(ILogObserver) is observer
    observe_application(service.MultiService(), observer)
    observe_application(None, observer)


# What the gateway's own service does, in small.
TAC = """
import os
from twisted.application import service
from twisted.internet import reactor
from twisted.logger import Logger
from gwproxy.observe.errors import ErrorLog, observe_application
from gwproxy.observe.sink import LogSink

class Small(service.Service):
    def __init__(self):
        self.sink = LogSink(reactor, "error", "stdout")

    def setServiceParent(self, parent):
        observe_application(parent, ErrorLog(self.sink, reactor))
        super().setServiceParent(parent)

    def privilegedStartService(self):
        if "FAIL" in os.environ:
            raise ValueError("cannot listen")

    def startService(self):
        self.sink.start()
        Logger("small").info("serving")
        print("printed")
        reactor.callLater(0, reactor.stop)

application = service.Application("small")
Small().setServiceParent(application)
"""


def run_twistd(folder: Path, **environment: str) -> tuple[int, list[str]]:
    """twistd's exit status and the messages of the lines that it wrote, all of them to standard output."""
    (folder / "small.tac").write_text(TAC)
    twistd = Path(sys.executable).with_name("twistd")
    done = subprocess.run(
        [str(twistd), "-n", "-y", "small.tac", "--pidfile="],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == b""
    return done.returncode, [json.loads(line)["message"] for line in done.stdout.splitlines()]


def test_under_twistd_a_start_that_fails_says_why(tmp_path: Path) -> None:
    status, messages = run_twistd(tmp_path, FAIL="1")
    assert status == 1
    assert "ValueError: cannot listen" in messages


def test_under_twistd_every_line_is_ours_and_none_comes_twice(tmp_path: Path) -> None:
    status, messages = run_twistd(tmp_path)
    assert status == 0
    assert len(messages) == len(set(messages))
    assert messages[0] == "Loading small.tac..."
    assert any(message.startswith("twistd ") for message in messages)
    assert messages[messages.index("serving") + 1] == "printed"
    assert messages[-1] == "Server Shut Down."


def test_the_document_names_the_fields() -> None:
    text = (Path(__file__).parents[2] / "docs/logs.md").read_text()
    section = text.partition("\n## Error log\n")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == FIELDS
