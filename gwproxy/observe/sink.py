"""A log's lines on their way from the reactor's thread to the writer's.

Rules: `write` neither waits nor raises, whatever became of the disk, the pipe or the reader at its other end. Lines
that wait are bounded; over the bound new ones are dropped and counted. All methods belong to the reactor's thread.
"""

from __future__ import annotations

import atexit

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from gwproxy.observe.targets import Target, make_target
from gwproxy.observe.writer import Writer

OFF = "off"

# What may wait for a target that does not take it: some 20,000 access lines, seconds of full load.
_BOUND = 8 << 20
# One system call takes this much: large enough to make the hand-over cheap, small enough to stay out of sight.
_BATCH = 64 << 10
# Seconds that a line waits at most before it is handed over.
_INTERVAL = 0.5
# Seconds between attempts to write to a target that refuses.
_RETRY = 1.0
# Seconds between two reports on the error log that a log cannot be written.
_REPORT_INTERVAL = 60.0

_log = Logger()


class LogSink:
    """One log's buffer: collects lines, hands them over in batches, counts what is lost.

    The sinks of two logs may share a target. Make it when the configuration is read, `start` it when the service starts
    (twistd forks in between), `close` it when nothing is to be logged any more. Closing also happens at exit, and then
    brings out what was logged if the service never started.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        name: str,
        where: str | Target,
        *,
        bound: int = _BOUND,
        batch: int = _BATCH,
        interval: float = _INTERVAL,
        retry: float = _RETRY,
    ) -> None:
        """`name`: access, error or security. `where`: stdout, stderr, syslog, off, a path, or a target of one's own.
        `bound` and `batch` are bytes, `interval` and `retry` seconds."""
        self.name = name
        self.off = where == OFF
        self._reactor = reactor
        self._bound = bound
        self._batch = batch
        self._interval = interval
        self._lines: list[bytes] = []
        self._size = 0  # bytes in _lines
        self._handed = 0  # bytes handed over since the start
        self._dropped = 0
        self._timer: IDelayedCall | None = None
        self._closed = self.off
        self._reported = (0, 0)
        self._report_after = 0.0
        self._writer = Writer(name, make_target(name, where) if isinstance(where, str) else where, retry)
        if not self.off:
            atexit.register(self.close)

    def __repr__(self) -> str:
        state = "off" if self.off else "closed" if self._closed else "open"
        return f"<LogSink {self.name} {state} waiting={self.waiting} dropped={self.dropped} errors={self.write_errors}>"

    @property
    def waiting(self) -> int:
        """Bytes that are not written yet."""
        return self._size + self._handed - self._writer.done

    @property
    def dropped(self) -> int:
        """Lines lost since the start."""
        return self._dropped + self._writer.lost

    @property
    def write_errors(self) -> int:
        """Failed attempts to open or to write the target since the start."""
        return self._writer.errors

    def start(self) -> None:
        """Begin to write. Lines from before are kept, within the bound."""
        if not self._closed:
            self._writer.start()

    def write(self, line: bytes) -> None:
        """Take one line, with its newline and no other. Never waits, never raises."""
        if self._timer is None:
            if self._closed:
                self._dropped += not self.off
                return
            self._timer = self._reactor.callLater(self._interval, self._tick)
        size = len(line)
        if self._size + size + self._handed - self._writer.done > self._bound:
            self._dropped += 1
            return
        self._lines.append(line)
        self._size += size
        if self._size >= self._batch:
            self._hand_over()

    def reopen(self) -> None:
        """Begin a new file at the same path: the old one was moved away. Never waits."""
        if not self._closed:
            self._hand_over()
            self._writer.reopen()

    def flush(self, wait: float) -> bool:
        """Hand over what is buffered; wait at most `wait` seconds (blocking) until it is written. Says if it is."""
        if self._closed:
            return True
        self._hand_over()
        return self._writer.drain(wait)

    def close(self, wait: float = 2.0) -> None:
        """Write what is left and end; waits at most `wait` seconds (blocking). Later lines are dropped."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
        self._hand_over()
        self._writer.stop(wait)

    def _tick(self) -> None:
        self._timer = None
        self._hand_over()
        self._report()

    def _hand_over(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._handed += self._size
            self._size = 0
            self._writer.hand_over(lines)

    def _report(self) -> None:
        state = (self.dropped, self.write_errors)
        now = self._reactor.seconds()
        if state == self._reported or now < self._report_after:
            return
        self._reported = state
        self._report_after = now + _REPORT_INTERVAL
        _log.warn(
            "the {name} log is not written as it should be: {errors} failed attempts so far (the last: {error}), "
            "{dropped} lines lost",
            name=self.name,
            errors=self.write_errors,
            error=self._writer.last_error or "none",
            dropped=self.dropped,
        )
