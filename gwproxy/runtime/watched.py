"""A small file that is read again when it changes: lists, keys, passwords.

Looking costs one stat() a second. A new content that cannot be read or parsed changes nothing: the last good one stays
in use, and the error log says so once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

T = TypeVar("T")

INTERVAL: Final = 1.0
MAX_SIZE: Final = 16 << 20

_log = Logger(namespace="gwproxy")

_Stamp = tuple[int, int, int]


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
        self._stamp: _Stamp | None = None
        self.changes = 0  # how often another content came into use: who derives from `value` compares it
        self.value: T = self._read()

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
        stamp = self._stamp
        if self._stat() == stamp:
            return
        try:
            self.value = self._read()
        except ValueError as error:
            if self._stamp == stamp:
                self._stamp = self._stat()  # said once, until it changes again
            _log.error("{path}: {error}; the last good content stays in use", path=str(self.path), error=str(error))
        else:
            self.changes += 1
            _log.info("{path} was read again", path=str(self.path))

    def _tick(self) -> None:
        self._timer = self._reactor.callLater(self._interval, self._tick)
        self.look()

    def _read(self) -> T:
        stamp = self._stat()
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_SIZE + 1)
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
        if len(data) > MAX_SIZE:
            raise ValueError(f"is larger than {MAX_SIZE >> 20} MiB")
        value = self._parse(data)
        # Of before it was read: what was written meanwhile is a change still to be seen.
        self._stamp = stamp
        return value

    def _stat(self) -> _Stamp | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
