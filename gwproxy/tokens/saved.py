"""The last good keys of a provider in a file, so that a restart does without the provider.

Rules: written whole or not at all, readable by this user only; bound to where the keys are from; a file that others
could have written, or that is anything but what was saved here, is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

MAX_SIZE: Final = 1 << 20

_log = Logger(namespace="gwproxy")


def _no_link_no_pipe(path: str, flags: int) -> int:
    """Opens neither through a link nor waits at a pipe: those are not what was saved."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


@attrs.frozen
class Saved:
    """What a file had: the document, and when it was fetched, in seconds since 1970."""

    document: Any
    fetched: float


class SavedKeys:
    """The file for one origin: the issuer, or the URL of its keys."""

    def __init__(self, folder: Path, origin: str, in_thread: Callable[..., Deferred[Any]]) -> None:
        self.path = folder / f"jwks-{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"
        self._origin = origin
        self._in_thread = in_thread
        self._writing = False
        self._next: Saved | None = None
        self._failed = False

    def read(self) -> Saved | None:
        """What was saved, if anything usable was; otherwise why not goes into the log. Reads a small file."""
        try:
            return self._read()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            _log.warn("{path} is not used: {reason}", path=str(self.path), reason=reason)
            return None

    def write(self, saved: Saved) -> None:
        """Saves, in a thread; of what comes while that is at work, the last. That it fails is told once."""
        if self._writing:
            self._next = saved
            return
        self._writing = True
        self._in_thread(self._write, saved).addCallbacks(self._written, self._not_written)

    def _read(self) -> Saved:
        with open(self.path, "rb", opener=_no_link_no_pipe) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ValueError("it is no file")
            if found.st_mode & 0o022 or found.st_uid not in (os.geteuid(), 0):
                raise ValueError("others may write to it")
            data = file.read(MAX_SIZE + 1)
        if len(data) > MAX_SIZE:
            raise ValueError("it is too large")
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            raise ValueError("it is no JSON") from None
        if not isinstance(content, dict) or content.get("origin") != self._origin:
            raise ValueError("its keys are from somewhere else")
        fetched = content.get("fetched")
        # NaN, and what is too large for a float, too
        if not isinstance(fetched, (int, float)) or isinstance(fetched, bool) or not 0 <= fetched < 1e12:
            raise ValueError("it does not say when it was fetched")
        return Saved(content.get("jwks"), float(fetched))

    def _write(self, saved: Saved) -> None:
        content = {"origin": self._origin, "fetched": saved.fetched, "jwks": saved.document}
        descriptor, name = tempfile.mkstemp(".new", "jwks-", self.path.parent)  # 0600
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(descriptor)
            os.replace(name, self.path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise

    def _written(self, _: object) -> None:
        self._failed = False
        self._go_on()

    def _not_written(self, failure: Any) -> None:
        if not self._failed:
            error = failure.value
            reason = getattr(error, "strerror", None) or type(error).__name__
            _log.error("{path} cannot be written: {reason}", path=str(self.path), reason=reason)
        self._failed = True
        self._go_on()

    def _go_on(self) -> None:
        self._writing = False
        saved, self._next = self._next, None
        if saved is not None:
            self.write(saved)
