"""Logins by user and password: verified in threads, few at a time, and remembered for a while when they were right.

Rules:

* No password is kept, nor a hash of one that could be guessed at: what is remembered is a keyed hash, with a key that
  only this process has.
* What is not right is not remembered.
* However many requests come with the same login, it is verified once at a time.
* When the file of passwords changes, all is forgotten; what is being verified meanwhile is verified again if it was
  about another hash.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Any, Final

import attrs
import bcrypt
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gwproxy.filters.api import Principal
from gwproxy.filters.password_file import Passwords
from gwproxy.runtime.recent import Recent
from gwproxy.runtime.waiting import Waiting
from gwproxy.runtime.watched import WatchedFile

# bcrypt reads no further: two longer passwords that begin alike would be one.
LONGEST_PASSWORD: Final = 72


class Overloaded(Exception):
    """As many logins wait to be verified as may."""


@attrs.frozen
class Limits:
    """`size`: logins that are remembered, for `ttl` seconds. `parallel`: how many are verified at once; `queue`: how
    many more may wait."""

    size: int
    ttl: float
    parallel: int
    queue: int


@attrs.define(eq=False)
class _Check:
    """One login that is verified, or waits for that, and who waits for the result."""

    user: bytes
    password: bytes = attrs.field(repr=False)
    waiting: Waiting[Principal | None]
    begun: bool = False


class Logins:
    """All logins of one file. Kept over reloads."""

    def __init__(
        self,
        file: WatchedFile[Passwords],
        limits: Limits,
        seconds: Callable[[], float],
        in_thread: Callable[..., Deferred[Any]],
    ) -> None:
        self._file = file
        self._limits = limits
        self._seconds = seconds
        self._in_thread = in_thread
        self._secret = secrets.token_bytes(32)
        self._changes = file.changes
        # By keyed hash: who it is, and until when that is remembered.
        self._good: Recent[bytes, tuple[Principal, float]] = Recent(limits.size)
        self._checks: dict[bytes, _Check] = {}
        self._queue: deque[bytes] = deque()
        self._running = 0

    def __repr__(self) -> str:
        return f"<Logins {len(self._good)} remembered, {len(self._checks)} being verified>"

    def mark(self, login: bytes) -> bytes:
        """What stands for a login, user and password in whatever form, in the calls below."""
        return blake2b(login, digest_size=32, key=self._secret).digest()

    def known(self, mark: bytes) -> Principal | None:
        """Who it is, if it was right a while ago."""
        if self._changes != self._file.changes:
            self._changes = self._file.changes
            self._good.clear()
        found = self._good.get(mark)
        return found[0] if found is not None and self._seconds() < found[1] else None

    def verify(self, mark: bytes, user: bytes, password: bytes) -> Deferred[Principal | None]:
        """Who it is, or None if user or password are wrong. Raises Overloaded; may be cancelled.

        `password` is at most LONGEST_PASSWORD bytes and has no NUL.
        """
        check = self._checks.get(mark)
        if check is None:
            if len(self._checks) >= self._limits.parallel + self._limits.queue:
                raise Overloaded
            check = self._checks[mark] = _Check(user, password, Waiting(partial(self._give_up, mark)))
            self._queue.append(mark)
        answer = check.waiting.join()
        self._go_on()
        return answer

    def _give_up(self, mark: bytes) -> None:
        """Nobody waits for this login any more. It need not be verified, unless that is going on."""
        if not self._checks[mark].begun:
            del self._checks[mark]
            self._queue.remove(mark)

    def _go_on(self) -> None:
        while self._queue and self._running < self._limits.parallel:
            mark = self._queue.popleft()
            self._begin(mark, self._checks[mark])

    def _begin(self, mark: bytes, check: _Check) -> None:
        check.begun = True
        self._running += 1
        hashed = self._file.value.hash_of(check.user)
        self._in_thread(bcrypt.checkpw, check.password, hashed).addBoth(self._verified, mark, check, hashed)

    def _verified(self, result: bool | Failure, mark: bytes, check: _Check, hashed: bytes) -> None:
        self._running -= 1
        passwords = self._file.value
        current = passwords.hash_of(check.user) == hashed
        if not current and check.waiting:
            self._begin(mark, check)
            return
        del self._checks[mark]
        principal = None
        if result is True and current and check.user in passwords:
            name = check.user.decode()
            principal = Principal(name, {"sub": name}, method="basic_auth")
            self._remember(mark, principal)
        check.waiting.tell(result if isinstance(result, Failure) else principal)
        self._go_on()

    def _remember(self, mark: bytes, principal: Principal) -> None:
        self.known(mark)  # forgets, if the file changed
        self._good.put(mark, (principal, self._seconds() + self._limits.ttl))
