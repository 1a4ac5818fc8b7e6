"""The thread that writes one log to its target.

Rules: only this thread touches the target; each counter has one thread that adds to it, so none needs a lock; nothing
is raised out of here. What cannot be written is tried again until the target takes it or the log is closed: how much
may wait meanwhile is the business of who hands it over.
"""

from __future__ import annotations

import queue
import threading

from gwproxy.observe.targets import Target


class _Reopen:
    """A place in the queue where the target is closed and opened again."""


_REOPEN = _Reopen()
_Item = list[bytes] | threading.Event | _Reopen | None


class Writer:
    """Takes batches of whole lines, in order, and writes them from a daemon thread."""

    def __init__(self, name: str, target: Target, retry: float) -> None:
        """`retry`: seconds between attempts while the target refuses."""
        self._target = target
        self._retry = retry
        self._open = False
        self._offset = 0  # how much of the batch in hand is written
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._hurry = threading.Event()  # set: no more pauses, what fails is given up
        self._thread = threading.Thread(target=self._run, name=f"log-{name}", daemon=True)
        self.done = 0  # bytes that wait no longer: written or given up
        self.lost = 0  # lines given up
        self.errors = 0  # failed attempts
        self.last_error = ""

    def start(self) -> None:
        """Begin. Not before the process has forked for the last time: threads do not survive that."""
        self._thread.start()

    def hand_over(self, lines: list[bytes]) -> None:
        """Take whole lines, each with its newline. Never waits."""
        self._queue.put(lines)

    def reopen(self) -> None:
        """Open the target anew after what has been handed over so far. Never waits."""
        self._queue.put(_REOPEN)

    def drain(self, wait: float) -> bool:
        """Wait at most `wait` seconds until all that was handed over is written; says whether it is."""
        if not self._thread.is_alive():
            return False
        reached = threading.Event()
        self._queue.put(reached)
        return reached.wait(wait)

    def stop(self, wait: float) -> bool:
        """Write what is left, trying once, and end. Waits at most `wait` seconds; says whether it ended."""
        self._hurry.set()
        self._queue.put(None)
        if self._thread.ident is None:
            # The service did not come to its start, and the log may say why. No thread can begin at exit, so it is
            # written from here.
            self._run()
        else:
            self._thread.join(wait)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, list):
                self._write(b"".join(item))
            elif isinstance(item, threading.Event):
                item.set()
            else:
                self._close()
        self._close()

    def _write(self, data: bytes) -> None:
        self._offset = 0
        while self._offset < len(data):
            try:
                self._advance(data)
            except OSError as error:
                self._note(error)
                self._close()
                if self._hurry.is_set():
                    self.lost += data.count(b"\n", self._offset)
                    break
                self._hurry.wait(self._retry)
        self.done += len(data)

    def _advance(self, data: bytes) -> None:
        """Write `data` from where it stands to its end. On OSError `_offset` says how far it came."""
        if not self._open:
            moved = self._target.open()
            self._open = True
            if moved:
                # The beginning of this line is in a file that is gone.
                self._offset = data.rfind(b"\n", 0, self._offset) + 1
        with self._target.turn:
            while self._offset < len(data):
                self._offset += self._target.write(data, self._offset)

    def _close(self) -> None:
        self._open = False
        try:
            self._target.close()
        except OSError as error:
            # Delayed write errors (network file systems, quotas) come with the close.
            self._note(error)

    def _note(self, error: OSError) -> None:
        self.errors += 1
        self.last_error = error.strerror or str(error)
