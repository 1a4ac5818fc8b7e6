"""A small file that is read again when it changes: lists, keys, passwords.

Rules:

* Looking costs one stat() a second, some two microseconds. What it compares is device, inode, size, mtime and ctime:
  a file that is replaced, or rewritten with its old date, is another one all the same.
* The kernel's clock for these is coarse. What changed a moment before it was read may change once more and look the
  same, so it is read again at the next look. Content that is the same as before is no change.
* A new content that cannot be read or parsed changes nothing: the last good one stays in use, and the error log says
  so once. The same for a file that is gone.
* Who rewrites a file in place may be seen in the middle of it; at the next look that is put right. Better is a new
  file that is renamed into its place.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final, Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from gwproxy.runtime.wall import wall_clock

T = TypeVar("T")

INTERVAL: Final = 1.0
MAX_SIZE: Final = 16 << 20
# In seconds: more than any kernel's or file system's clock is coarse.
YOUNG: Final = 2.0

_log = Logger(namespace="gwproxy")


class WatchedFile(Generic[T]):
    """`value` is what `parse` made of the file's bytes. To be kept (`keep.py`), under a key with path and parser.

    `parse` raises ValueError, with words that repeat no secret, for a content that is wrong.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T], reactor: IReactorTime, interval: float = INTERVAL):
        """Reads the file. Raises ValueError, with a text for the user, if that fails."""
        self.path = path
        self._parse = parse
        self._reactor = reactor
        self._interval = interval
        self._timer: IDelayedCall | None = None
        self._seen = _stamp(path)
        self._young = _is_young(self._seen)
        data = _read(path)
        self._digest = sha256(data).digest()
        self.changes = 0  # how often another content came into use: who derives from `value` compares it
        self.value: T = parse(data)

    def __repr__(self) -> str:
        return f"<WatchedFile {self.path} changes={self.changes}>"

    def start(self) -> None:
        """Looks every `interval` seconds from now on."""
        self._timer = self._reactor.callLater(self._interval, self._tick)

    def stop(self) -> None:
        """Looks no more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def look(self) -> None:
        """Reads the file if it changed."""
        stamp = _stamp(self.path)
        if stamp == self._seen and not self._young:
            return
        # Of before it is read: what is written meanwhile is a change still to be seen. And noted whatever comes of it,
        # so that what is wrong is said once.
        said = stamp == self._seen
        self._seen = stamp
        self._young = _is_young(stamp)
        try:
            data = _read(self.path)
            digest = sha256(data).digest()
            if digest == self._digest:
                return
            self.value = self._parse(data)
        except ValueError as error:
            if not said:
                _log.error("{path}: {error}; the last good content stays in use", path=str(self.path), error=str(error))
            return
        self._digest = digest
        self.changes += 1
        _log.info("{path} was read again", path=str(self.path))

    def _tick(self) -> None:
        self._timer = self._reactor.callLater(self._interval, self._tick)
        self.look()


_Stamp = tuple[int, int, int, int, int]


def _stamp(path: Path) -> _Stamp | None:
    """None: there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_young(stamp: _Stamp | None) -> bool:
    return stamp is not None and abs(wall_clock() - stamp[4] / 1e9) < YOUNG


def _read(path: Path) -> bytes:
    """Raises ValueError with the reason."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError("cannot be read: is no regular file")  # opening a pipe waits for who writes it
        with path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_SIZE:
        raise ValueError(f"is larger than {MAX_SIZE >> 20} MiB")
    return data
