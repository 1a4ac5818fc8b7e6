from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gwproxy.observe.targets import FileTarget
from gwproxy.observe.writer import Writer


class Faulty:
    """A target that does what it is told, write by write: a number takes so many bytes, an error is raised."""

    def __init__(self, *script: int | OSError) -> None:
        self.turn = threading.Lock()
        self.script = list(script)
        self.data = b""
        self.opened = 0
        self.closed = 0
        self.moves = False

    def open(self) -> bool:
        self.opened += 1
        return self.moves and self.opened > 1

    def write(self, data: bytes, offset: int) -> int:
        step = self.script.pop(0) if self.script else len(data)
        if isinstance(step, OSError):
            raise step
        taken = data[offset : offset + step]
        self.data += taken
        return len(taken)

    def close(self) -> None:
        self.closed += 1


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def started() -> Iterator[list[Writer]]:
    """Writers to be stopped at the end."""
    writers: list[Writer] = []
    yield writers
    for writer in writers:
        assert writer.stop(10)


def start(started: list[Writer], target: Faulty, retry: float = 0.001) -> Writer:
    writer = Writer("test", target, retry)
    writer.start()
    started.append(writer)
    return writer


def test_batches_are_written_in_order(started: list[Writer]) -> None:
    target = Faulty()
    writer = start(started, target)
    writer.hand_over([b"one\n", b"two\n"])
    writer.hand_over([b"three\n"])
    assert writer.drain(10)
    assert target.data == b"one\ntwo\nthree\n"
    assert (writer.done, writer.lost, writer.errors) == (14, 0, 0)


def test_a_partial_write_goes_on_where_it_stopped(started: list[Writer]) -> None:
    target = Faulty(2, 1, 3)
    writer = start(started, target)
    writer.hand_over([b"one\n", b"two\n"])
    assert writer.drain(10)
    assert target.data == b"one\ntwo\n"


def test_a_full_disk_loses_nothing_and_breaks_no_line(started: list[Writer]) -> None:
    target = Faulty(6, FULL, FULL, 1)
    writer = start(started, target)
    writer.hand_over([b"one\n", b"two\n"])
    assert writer.drain(10)
    assert target.data == b"one\ntwo\n"
    assert (writer.done, writer.lost, writer.errors) == (8, 0, 2)
    assert writer.last_error == "No space left on device"
    assert target.opened == 3


def test_a_line_begun_in_a_file_that_is_gone_begins_again(started: list[Writer]) -> None:
    target = Faulty(6, FULL)
    target.moves = True
    writer = start(started, target)
    writer.hand_over([b"one\n", b"two\n"])
    assert writer.drain(10)
    assert target.data == b"one\ntw" + b"two\n"


def test_stopping_tries_once_and_counts_what_is_lost(started: list[Writer]) -> None:
    target = Faulty(5, *[FULL] * 1000)
    writer = start(started, target, retry=3600)
    writer.hand_over([b"one\n", b"two\n"])
    writer.hand_over([b"three\n"])
    assert writer.stop(10)
    assert target.data == b"one\nt"
    assert writer.lost == 2
    assert writer.done == 14
    assert target.closed


def test_a_writer_that_never_started_still_writes_what_it_has(started: list[Writer]) -> None:
    target = Faulty()
    writer = Writer("test", target, 3600)
    writer.hand_over([b"cannot listen\n"])
    assert not writer.drain(3600)
    assert writer.stop(10)
    assert target.data == b"cannot listen\n"


def test_an_error_of_close_is_only_counted(started: list[Writer]) -> None:
    class Delayed(Faulty):
        def close(self) -> None:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    writer = start(started, Delayed())
    writer.hand_over([b"one\n"])
    writer.reopen()
    assert writer.drain(10)
    assert (writer.errors, writer.last_error) == (1, "Disk quota exceeded")


def test_reopening_takes_its_place_in_the_queue(started: list[Writer], tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    writer = Writer("test", FileTarget(str(path)), 0.001)
    writer.start()
    started.append(writer)
    writer.hand_over([b"one\n"])
    assert writer.drain(10)
    path.rename(tmp_path / "access.log.1")
    writer.hand_over([b"two\n"])
    writer.reopen()
    writer.hand_over([b"three\n"])
    assert writer.drain(10)
    assert (tmp_path / "access.log.1").read_bytes() == b"one\ntwo\n"
    assert path.read_bytes() == b"three\n"
