"""Where log lines go: standard output, standard error, a file, syslog.

Rules: a target belongs to one writer thread and may block there for as long as it likes; every call may raise OSError;
after an OSError the writer calls `close`, later `open` again. Nothing here is called by the reactor's thread.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import weakref
from typing import Protocol

SYSLOG_SOCKET = "/dev/log"
# RFC 5424 section 6.2.1: facility 3 (daemon) times 8, plus the severity.
_DAEMON = 3 << 3
_SEVERITY = {"error": 3, "security": 4, "access": 6}

# Created so that the group may read and nobody else; the umask may take more away.
_FILE_MODE = 0o640

# Logs that share one pipe or one file take turns, batch by batch, so that no line is written into another.
_Identity = tuple[int, int]
_turns: weakref.WeakValueDictionary[_Identity, threading.Lock] = weakref.WeakValueDictionary()


class Target(Protocol):
    """One place for lines."""

    turn: threading.Lock

    def open(self) -> bool:
        """Make ready to write. True if what was there before is gone, so that a line begun there must begin again."""

    def write(self, data: bytes, offset: int) -> int:
        """Write some of `data` from `offset`; returns how many bytes are done with. May block."""

    def close(self) -> None:
        """Let go. May be called twice."""


class StreamTarget:
    """A descriptor that the process was given (1 or 2). Never closed: others use it too."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.turn = threading.Lock()

    def open(self) -> bool:
        self.turn = _turn_of(self._descriptor)
        return False

    def write(self, data: bytes, offset: int) -> int:
        return _write(self._descriptor, data, offset)

    def close(self) -> None:
        """Nothing to let go of."""


class FileTarget:
    """A file, appended to and made when missing; also a FIFO or a device."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._identity: _Identity | None = None
        self.turn = threading.Lock()

    def open(self) -> bool:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        self._descriptor = os.open(self._path, flags, _FILE_MODE)
        before, self._identity = self._identity, _identity(self._descriptor)
        self.turn = _turn_of(self._descriptor)
        return before is not None and before != self._identity

    def write(self, data: bytes, offset: int) -> int:
        if self._descriptor is None:
            raise OSError("not open")
        return _write(self._descriptor, data, offset)

    def close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


class SyslogTarget:
    """The local syslog daemon, one datagram a line (RFC 3164 as syslog(3) writes it, without the time)."""

    def __init__(self, name: str, address: str = SYSLOG_SOCKET) -> None:
        self._address = address
        self._head = f"<{_DAEMON | _SEVERITY.get(name, 6)}>gwproxy[{os.getpid()}]: ".encode()
        self._socket: socket.socket | None = None
        self.turn = threading.Lock()

    def open(self) -> bool:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.connect(self._address)
        return False

    def write(self, data: bytes, offset: int) -> int:
        if self._socket is None:
            raise OSError("not open")
        end = data.index(b"\n", offset)
        self._socket.send(self._head + data[offset:end])
        return end + 1 - offset

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def make_target(name: str, where: str) -> Target:
    """The target that `[log]` calls `where`: stdout, stderr, syslog, or else a path. `name` is the log's own."""
    if where == "stdout":
        return StreamTarget(1)
    if where == "stderr":
        return StreamTarget(2)
    if where == "syslog":
        return SyslogTarget(name)
    return FileTarget(where)


def _write(descriptor: int, data: bytes, offset: int) -> int:
    while True:
        try:
            # A slice, not a view over all: the first write of a batch nearly always takes everything.
            return os.write(descriptor, data[offset:] if offset else data)
        except BlockingIOError:
            # Someone who shares the pipe made it non-blocking. Wait as a blocking write would.
            poller = select.poll()
            poller.register(descriptor, select.POLLOUT)
            poller.poll()


def _identity(descriptor: int) -> _Identity:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _turn_of(descriptor: int) -> threading.Lock:
    return _turns.setdefault(_identity(descriptor), threading.Lock())
