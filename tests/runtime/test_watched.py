"""A file that is read again when it changes, however it is changed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from gwproxy.runtime import watched
from gwproxy.runtime.watched import INTERVAL, MAX_SIZE, WatchedFile


def words(data: bytes) -> tuple[str, ...]:
    if b"!" in data:
        raise ValueError("line 1: has an exclamation mark")
    return tuple(data.decode().split())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "list.txt"
    path.write_text("one two")
    return path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(path: Path, clock: Clock) -> Iterator[WatchedFile[tuple[str, ...]]]:
    file = WatchedFile(path, words, clock)
    file.start()
    yield file
    file.stop()
    assert not clock.getDelayedCalls()


def take(errors: list[LogEvent]) -> list[str]:
    """What was said, which is then dealt with."""
    said = [event["error"] for event in errors]
    errors.clear()
    return said


@pytest.fixture
def old_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing counts as changed just now: only what stat() says makes a look read."""
    monkeypatch.setattr(watched, "YOUNG", -1.0)


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def rewrite(path: Path, text: str) -> None:
    with path.open("r+") as file:
        file.write(text)
        file.truncate()


def replace_by_an_old_one(path: Path, text: str) -> None:
    """As cp -p and rsync -t do it: same size, same date."""
    before = path.stat()
    new = path.with_suffix(".new")
    new.write_text(text)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.rename(path)


def rewrite_and_keep_the_date(path: Path, text: str) -> None:
    before = path.stat()
    rewrite(path, text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def point_elsewhere(path: Path, text: str) -> None:
    """As Kubernetes does it: what the link names is another file."""
    other = path.with_suffix(".other")
    other.write_text(text)
    link = path.with_suffix(".link")
    link.symlink_to(other)
    link.rename(path)


CHANGES: list[Callable[[Path, str], None]] = [
    replace,
    rewrite,
    replace_by_an_old_one,
    rewrite_and_keep_the_date,
    point_elsewhere,
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("old_enough")
def test_another_content_is_seen(file: Any, path: Path, clock: Clock, change: Callable[[Path, str], None]) -> None:
    assert (file.value, file.changes) == (("one", "two"), 0)
    change(path, "two one")
    clock.advance(INTERVAL / 2)
    assert file.changes == 0
    clock.advance(INTERVAL / 2)
    assert (file.value, file.changes) == (("two", "one"), 1)
    clock.advance(INTERVAL)
    assert file.changes == 1


def test_a_second_change_that_looks_like_the_first_is_seen(
    file: Any, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two changes within one tick of the file system's clock."""
    same = watched._stamp(path)
    monkeypatch.setattr(watched, "_stamp", lambda path: same)
    replace(path, "three")
    clock.advance(INTERVAL)
    assert file.value == ("three",)


@pytest.mark.usefixtures("old_enough")
def test_what_has_not_changed_is_not_read(file: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.advance(INTERVAL)

    def no(path: Path) -> bytes:
        raise AssertionError("read")

    monkeypatch.setattr(watched, "_read", no)
    clock.pump([INTERVAL] * 5)


def test_the_same_content_again_is_no_change(file: Any, path: Path, clock: Clock) -> None:
    before = file.value
    replace(path, "one two")
    clock.advance(INTERVAL)
    assert file.value is before
    assert file.changes == 0


def test_a_file_that_is_gone_stays_in_use_until_it_is_back(
    file: Any, path: Path, clock: Clock, logged_errors: list[LogEvent]
) -> None:
    path.unlink()
    clock.pump([INTERVAL] * 3)
    assert file.value == ("one", "two")
    assert take(logged_errors) == ["cannot be read: No such file or directory"]
    path.write_text("three")
    clock.advance(INTERVAL)
    assert (file.value, file.changes) == (("three",), 1)
    path.unlink()
    clock.advance(INTERVAL)
    assert len(take(logged_errors)) == 1, "said again when it is gone again"


def test_a_wrong_content_is_said_once_and_changes_nothing(
    file: Any, path: Path, clock: Clock, logged_errors: list[LogEvent]
) -> None:
    path.write_text("three!")
    clock.pump([INTERVAL] * 3)
    assert (file.value, file.changes) == (("one", "two"), 0)
    assert [event["path"] for event in logged_errors] == [str(path)]
    assert take(logged_errors) == ["line 1: has an exclamation mark"]
    path.write_text("one two")
    clock.advance(INTERVAL)
    assert (file.value, file.changes) == (("one", "two"), 0)
    path.write_text("four")
    clock.advance(INTERVAL)
    assert (file.value, file.changes) == (("four",), 1)


def test_one_that_is_half_written_is_read_again_when_it_is_whole(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, logged_errors: list[LogEvent]
) -> None:
    """Its writer goes on between the reading and whatever else a look does."""
    monkeypatch.setattr(watched, "YOUNG", -1.0)
    file: WatchedFile[Any] = WatchedFile(path, words, clock)
    path.write_text("three fo!")
    original = watched._read

    def read(path: Path) -> bytes:
        data = original(path)
        monkeypatch.setattr(watched, "_read", original)
        path.write_text("three four five")
        return data

    monkeypatch.setattr(watched, "_read", read)
    file.look()
    assert file.value == ("one", "two")
    assert take(logged_errors)
    file.look()
    assert file.value == ("three", "four", "five")


def unreadable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything


def a_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    os.mkfifo(path)


def huge(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with path.open("r+") as file:
        file.truncate(MAX_SIZE + 1)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (unreadable, "cannot be read: Permission denied"),
        (a_folder, "cannot be read: is no regular file"),
        (a_pipe, "cannot be read: is no regular file"),
        (huge, "is larger than 16 MiB"),
    ],
)
def test_one_that_cannot_be_read(
    path: Path,
    clock: Clock,
    logged_errors: list[LogEvent],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    why: str,
) -> None:
    file = WatchedFile(path, words, clock)
    path.write_text("other")
    spoil(path, monkeypatch)
    # In a thread: one that opens a pipe never comes back.
    looking = threading.Thread(target=file.look, daemon=True)
    looking.start()
    looking.join(10)
    assert not looking.is_alive()
    assert file.value == ("one", "two")
    assert take(logged_errors) == [why]
    with pytest.raises(ValueError, match=f"^{why}$"):
        WatchedFile(path, words, clock)


def test_wrong_from_the_start(path: Path, clock: Clock) -> None:
    path.write_text("!")
    with pytest.raises(ValueError, match="exclamation"):
        WatchedFile(path, words, clock)


def test_a_parser_with_a_defect_does_not_end_the_looking(path: Path, clock: Clock) -> None:
    def parse(data: bytes) -> int:
        return 1 // len(data)

    file = WatchedFile(path, parse, clock)
    file.start()
    path.write_text("")
    with pytest.raises(ZeroDivisionError):
        clock.advance(INTERVAL)
    path.write_text("x")
    clock.advance(INTERVAL)
    assert file.value == 1
    file.stop()


def test_nothing_is_looked_at_before_it_starts_and_after_it_stops(path: Path, clock: Clock) -> None:
    file = WatchedFile(path, words, clock)
    file.stop()
    assert not clock.getDelayedCalls()
    file.start()
    file.stop()
    path.write_text("three")
    clock.advance(INTERVAL)
    assert file.changes == 0
    file.start()
    clock.advance(INTERVAL)
    assert file.changes == 1
    file.stop()


def test_its_repr_shows_no_content(file: Any, path: Path) -> None:
    assert repr(file) == f"<WatchedFile {path} changes=0>"
