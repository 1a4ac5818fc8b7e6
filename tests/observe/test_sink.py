from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import provider

from gwproxy.observe.sink import LogSink
from gwproxy.observe.targets import StreamTarget


@pytest.fixture
def make() -> Iterator[Callable[..., LogSink]]:
    """Makes and starts sinks, and closes them in the end."""
    sinks: list[LogSink] = []

    def make(where: Any, clock: Clock | None = None, **options: Any) -> LogSink:
        sink = LogSink(clock or Clock(), "access", where, **options)
        sink.start()
        sinks.append(sink)
        return sink

    yield make
    for sink in sinks:
        sink.close(10)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's two ends. The reader is closed first: that frees whoever is stuck in writing."""
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            pass  # the test closed it


def drain(reader: int, into: list[bytes]) -> threading.Thread:
    """A thread that reads until the last writer has closed."""

    def read() -> None:
        while data := os.read(reader, 65536):
            into.append(data)

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def test_lines_are_handed_over_within_a_second(make: Callable[..., LogSink], tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "access.log"
    sink = make(str(path), clock)
    sink.write(b"one\n")
    sink.write(b"two\n")
    assert sink._writer.drain(10)
    assert not path.exists()
    clock.advance(1.0)
    assert sink._writer.drain(10)
    assert path.read_bytes() == b"one\ntwo\n"
    assert sink.waiting == 0
    # and an idle log leaves the reactor alone
    assert clock.getDelayedCalls() == []


def test_a_full_batch_does_not_wait_for_the_second(make: Callable[..., LogSink], tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    sink = make(str(path), batch=8)
    for line in (b"one\n", b"two\n", b"three\n"):
        sink.write(line)
    assert sink._writer.drain(10)
    assert path.read_bytes() == b"one\ntwo\n"


def test_lines_from_before_the_start_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    clock = Clock()
    sink = LogSink(clock, "access", str(path))
    sink.write(b"early\n")
    clock.advance(1.0)
    sink.start()
    sink.close(10)
    assert path.read_bytes() == b"early\n"


def test_closing_writes_what_is_left_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    clock = Clock()
    sink = LogSink(clock, "access", str(path))
    sink.start()
    sink.write(b"last\n")
    sink.close(10)
    sink.close(10)
    assert path.read_bytes() == b"last\n"
    assert clock.getDelayedCalls() == []
    sink.write(b"too late\n")
    sink.reopen()
    assert sink.flush(0)
    assert sink.dropped == 1
    assert repr(sink) == "<LogSink access closed waiting=0 dropped=1 errors=0>"


def test_off_takes_nothing_and_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sink = LogSink(Clock(), "access", "off")
    sink.start()
    sink.write(b"x\n")
    sink.close()
    assert (sink.off, sink.dropped, sink.waiting) == (True, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_reopening_after_a_rotation(make: Callable[..., LogSink], tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    sink = make(str(path))
    sink.write(b"one\n")
    assert sink.flush(10)
    path.rename(tmp_path / "access.log.1")
    sink.write(b"two\n")
    sink.reopen()
    sink.write(b"three\n")
    assert sink.flush(10)
    assert (tmp_path / "access.log.1").read_bytes() == b"one\ntwo\n"
    assert path.read_bytes() == b"three\n"


def test_a_reader_that_stopped_holds_nobody_up(make: Callable[..., LogSink], pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = make(StreamTarget(writer), bound=1 << 20, batch=1 << 16)
    line = b"x" * 1023 + b"\n"
    for _ in range(4096):
        sink.write(line)
    # It got here: nothing waited. What does not fit is dropped and counted, and memory stays within the bound.
    assert sink.waiting <= 1 << 20
    assert sink.dropped >= 4096 - 1024 - 128
    assert not sink.flush(0.01)
    lost = sink.dropped
    got: list[bytes] = []
    thread = drain(reader, got)
    assert sink.flush(10)
    sink.close(10)
    os.close(writer)
    thread.join(10)
    assert b"".join(got) == line * (4096 - lost)


def test_a_reader_that_stopped_does_not_hold_up_closing(make: Callable[..., LogSink], pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = make(StreamTarget(writer))
    sink.write(b"x" * (1 << 20) + b"\n")
    sink.close(0.01)
    assert sink._writer._thread.is_alive()
    os.close(reader)
    sink._writer._thread.join(10)
    assert not sink._writer._thread.is_alive()
    assert sink.dropped == 1


def test_a_reader_that_is_gone(make: Callable[..., LogSink], pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    sink = make(StreamTarget(writer))
    sink.write(b"one\n")
    sink.write(b"two\n")
    sink.close(10)
    assert sink.dropped == 2
    assert sink.write_errors >= 1
    assert sink._writer.last_error == "Broken pipe"


def test_a_full_device(make: Callable[..., LogSink]) -> None:
    sink = make("/dev/full")
    sink.write(b"one\n")
    sink.close(10)
    assert sink.dropped == 1
    assert sink._writer.last_error == "No space left on device"


def test_a_folder_that_is_gone_and_comes_back(make: Callable[..., LogSink], tmp_path: Path) -> None:
    path = tmp_path / "logs" / "access.log"
    sink = make(str(path), retry=0.001)
    sink.write(b"one\n")
    assert not sink.flush(0.01)
    path.parent.mkdir()
    assert sink.flush(10)
    assert path.read_bytes() == b"one\n"
    assert sink.dropped == 0
    assert sink.write_errors >= 1


def test_a_log_that_fails_is_reported_once_in_a_while(make: Callable[..., LogSink], tmp_path: Path) -> None:
    clock = Clock()
    sink = make(str(tmp_path / "gone" / "access.log"), clock, bound=8, batch=4, retry=3600)
    events: list[LogEvent] = []

    @provider(ILogObserver)
    def collect(event: LogEvent) -> None:
        events.append(event)

    globalLogPublisher.addObserver(collect)
    try:
        sink.write(b"one\n")
        while not sink.write_errors:
            sink.flush(0.01)
        for _ in range(30):
            sink.write(b"two\n")
            clock.advance(1.0)
        assert [event["log_level"].name for event in events] == ["warn"]
        for _ in range(31):
            sink.write(b"two\n")
            clock.advance(1.0)
        assert [event["dropped"] for event in events] == [0, 60]
        assert "No such file" in str(events[1]["error"])
    finally:
        globalLogPublisher.removeObserver(collect)


def test_two_logs_in_one_pipe_do_not_break_each_others_lines(
    make: Callable[..., LogSink], pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    got: list[bytes] = []
    thread = drain(reader, got)
    sinks = [make(StreamTarget(writer)) for _ in range(2)]
    lines = [letter * 5000 + b"\n" for letter in (b"a", b"b")]
    for _ in range(500):
        for sink, line in zip(sinks, lines, strict=True):
            sink.write(line)
    for sink in sinks:
        sink.close(10)
    os.close(writer)
    thread.join(10)
    assert sorted(b"".join(got).splitlines(keepends=True)) == [lines[0]] * 500 + [lines[1]] * 500


SCRIPT = """
import sys
from twisted.internet.task import Clock
from gwproxy.observe.sink import LogSink
sink = LogSink(Clock(), "access", "stdout")
sink.start()
for number in range(int(sys.argv[1])):
    sink.write(b'{"number":%d,"filler":"%s"}\\n' % (number, b"x" * 1000))
print(sink.dropped, file=sys.stderr)
"""


def test_what_is_left_is_written_at_exit() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, "3"], capture_output=True, check=True)
    assert [json.loads(line)["number"] for line in done.stdout.splitlines()] == [0, 1, 2]


def test_a_process_ends_though_nobody_reads_its_standard_output() -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, "20000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert process.wait(60) == 0
    assert int(process.stderr.read()) > 0
    # The pipe held some. The last line may have been cut by the process' end, no other.
    numbers = [json.loads(line)["number"] for line in process.stdout.read().splitlines()[:-1]]
    assert numbers == list(range(len(numbers)))
    process.stdout.close()
    process.stderr.close()
