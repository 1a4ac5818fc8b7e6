"""Keys in a file: whole or not at all, and nobody else's."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, execute
from twisted.logger import LogEvent, eventAsText

from gwproxy.tokens.saved import MAX_SIZE, Saved, SavedKeys

ORIGIN = "https://idp.example.com/"
# That are none, and yet read as numbers.
DATES = [b"1" * 400, b"NaN", b"Infinity", b"1e999", b"-1", b"true"]
SAVED = Saved({"keys": [{"kid": "ä"}]}, 1_700_000_000.5)


def saved_keys(folder: Path, origin: str = ORIGIN) -> SavedKeys:
    return SavedKeys(folder, origin, execute)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    keys = saved_keys(tmp_path)
    assert keys.read() is None
    keys.write(SAVED)
    assert saved_keys(tmp_path).read() == SAVED
    assert [path.name for path in tmp_path.iterdir()] == [keys.path.name]


def test_the_file_is_the_users_alone(tmp_path: Path) -> None:
    keys = saved_keys(tmp_path)
    before = os.umask(0)
    try:
        keys.write(SAVED)
    finally:
        os.umask(before)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600


def test_each_origin_has_its_own(tmp_path: Path) -> None:
    saved_keys(tmp_path).write(SAVED)
    assert saved_keys(tmp_path, "https://idp.example.com").read() is None


def test_a_file_of_another_origin_is_not_used(tmp_path: Path) -> None:
    other = saved_keys(tmp_path, "https://idp.example.org/")
    other.write(SAVED)
    keys = saved_keys(tmp_path)
    other.path.rename(keys.path)
    assert keys.read() is None


def _spoil_mode(path: Path) -> None:
    path.chmod(0o660)


def _spoil_link(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def _spoil_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _spoil_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _with(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        _spoil_mode,
        _spoil_link,
        _spoil_pipe,
        _spoil_folder,
        _with(b""),
        _with(b"\0" * 100),
        _with(b"[]"),
        _with(b"null"),
        _with(b"[" * 100_000),
        _with(b"{}"),
        _with(json.dumps({"origin": ORIGIN, "jwks": {}}).encode()),
        _with(json.dumps({"origin": ORIGIN, "jwks": {}, "fetched": "then"}).encode()),
        *(_with(b'{"origin": "%b", "jwks": {}, "fetched": %b}' % (ORIGIN.encode(), date)) for date in DATES),
        _with(b" " * (MAX_SIZE + 1)),
    ],
)
def test_a_file_that_is_anything_else_is_as_good_as_none(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    keys = saved_keys(tmp_path)
    keys.write(SAVED)
    spoil(keys.path)
    assert keys.read() is None


def test_half_a_file_is_never_seen(tmp_path: Path, logged_errors: list[LogEvent]) -> None:
    """What cannot be written leaves the last one, and nothing beside it."""
    keys = saved_keys(tmp_path)
    keys.write(SAVED)
    keys.write(Saved({"keys": [object()]}, 0.0))
    assert saved_keys(tmp_path).read() == SAVED
    assert [path.name for path in tmp_path.iterdir()] == [keys.path.name]
    logged_errors.clear()


def test_that_it_cannot_be_written_is_told_once(tmp_path: Path, logged_errors: list[LogEvent]) -> None:
    folder = tmp_path / "gone"
    keys = saved_keys(folder)
    keys.write(SAVED)
    keys.write(SAVED)
    assert len(logged_errors) == 1
    assert "No such file" in eventAsText(logged_errors[0])
    folder.mkdir()
    keys.write(SAVED)
    assert keys.read() == SAVED
    keys.path.unlink()
    folder.rmdir()
    keys.write(SAVED)
    assert len(logged_errors) == 2
    logged_errors.clear()


def test_of_what_comes_while_one_is_written_the_last_is(tmp_path: Path) -> None:
    at_work: list[tuple[Deferred[Any], Any]] = []

    def in_thread(function: Any, *arguments: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        at_work.append((done, lambda: function(*arguments)))
        return done

    def work() -> None:
        done, function = at_work.pop()
        done.callback(function())

    keys = SavedKeys(tmp_path, ORIGIN, in_thread)
    for number in range(4):
        keys.write(Saved([number], 0.0))
    assert len(at_work) == 1
    work()
    assert keys.read() == Saved([0], 0.0)
    work()
    assert keys.read() == Saved([3], 0.0)
    assert not at_work
