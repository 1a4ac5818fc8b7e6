"""One connection to a Redis: made, logged in, kept, and made again when it is lost.

Answers come in the order of the questions. So a question that gets none in time ends its connection, and what is still
on the way there is dropped with it: no late answer is ever taken for another's.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from gwproxy.store.protocol import encode, protocol_class

# Seconds: from the first packet to the answer to the last command of the login.
CONNECT_TIMEOUT: Final = 2.0
# Seconds until the next try: after the first failure, at most; with a fifth more or less, by chance, so that not all
# gateways come at once.
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0


class Question:
    """One script to be run. `rest`: the command behind the script itself, in which the script may be `source` or its
    hash."""

    __slots__ = ("answer", "deadline", "rest", "source", "whole")

    def __init__(self, deadline: float, source: bytes, rest: Sequence[bytes]) -> None:
        self.answer: Deferred[Any] = Deferred()
        self.deadline = deadline
        self.source = source
        self.rest = rest
        self.whole = False  # asked with the whole script already


class Owner(Protocol):
    """Whom a connection tells."""

    def ready(self, connection: Connection) -> None:
        """It is logged in: questions may be asked."""

    def answered(self, connection: Connection, question: Question, reply: Any) -> None:
        """An answer, maybe an Exception: what Redis says is wrong."""

    def lost(self, connection: Connection, questions: Sequence[Question], why: str) -> None:
        """It was ready and is no more, and these get no answer. `why` is `timeout` if the first of them is too late."""

    def unreachable(self, connection: Connection, why: str) -> None:
        """A try to connect failed; others follow."""


class Connection:
    """At rest until `start()`."""

    def __init__(
        self,
        endpoint: Callable[[], IStreamClientEndpoint],
        login: Sequence[Sequence[bytes]],
        timeout: float,
        reactor: Any,
        owner: Owner,
    ) -> None:
        """`login`: commands that all must succeed. `timeout`: seconds for an answer."""
        self._endpoint = endpoint
        self._login = login
        self._timeout = timeout
        self._reactor = reactor
        self._owner = owner
        self._protocol: Any = None  # connected
        self._attempt: Deferred[Any] | None = None  # connecting
        self._logged_in = 0  # commands of the login that were answered
        self._ready = False
        self._waiting: deque[Question] = deque()
        # One at a time: until the next try, the end of the login, or the deadline of the first question.
        self._timer: IDelayedCall | None = None
        self._failures = 0
        self._stopped = False

    @property
    def load(self) -> int:
        """Questions without an answer."""
        return len(self._waiting)

    def start(self) -> None:
        """Connects, and stays connected."""
        self._connect()

    def stop(self) -> None:
        """Ends for good. What waits for an answer is told so."""
        self._stopped = True
        self._set_timer(None)
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.cancel()
        self._end("stopped")

    def ask(self, command: bytes, question: Question) -> None:
        """Only when ready."""
        self._waiting.append(question)
        self._protocol.transport.write(command)
        if self._timer is None:
            self._set_timer(self._timeout, self._look)

    def end(self, why: str) -> None:
        """Connects anew."""
        self._end(why)
        self._retry()

    # Connecting

    def _connect(self) -> None:
        self._logged_in = 0
        self._set_timer(CONNECT_TIMEOUT, lambda: self._give_up("timeout"))
        factory = Factory.forProtocol(lambda: protocol_class()(self))
        factory.noisy = False
        try:
            attempt = self._endpoint().connect(factory)
        except Exception as error:  # a certificate's file that is gone, say
            self._give_up(type(error).__name__)
            return
        self._attempt = attempt
        attempt.addCallbacks(self._connected, self._failed)

    def _connected(self, _protocol: object) -> None:
        self._attempt = None

    def _failed(self, failure: Failure) -> None:
        if self._attempt is not None:
            self._attempt = None
            self._give_up(failure.getErrorMessage())

    def _give_up(self, why: str) -> None:
        """This try has failed."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.cancel()
        self._end(why)
        self._owner.unreachable(self, why)
        self._retry()

    def _retry(self) -> None:
        if self._stopped:
            return
        pause = min(FIRST_PAUSE * 2.0 ** min(self._failures, 16), LONGEST_PAUSE)
        self._failures += 1
        self._set_timer(pause * random.uniform(0.8, 1.2), self._connect)

    def _end(self, why: str) -> None:
        """Drops the connection, if there is one, and what is on the way in it."""
        protocol, self._protocol = self._protocol, None
        was_ready, self._ready = self._ready, False
        self._set_timer(None)
        if protocol is not None:
            protocol.transport.abortConnection()
        if was_ready:
            waiting, self._waiting = self._waiting, deque()
            self._owner.lost(self, waiting, why)

    # Receiver

    def made(self, protocol: Any) -> None:
        """Logs in."""
        if self._stopped:
            protocol.transport.abortConnection()
            return
        self._protocol = protocol
        protocol.transport.write(b"".join(map(encode, self._login)))

    def replied(self, protocol: Any, reply: Any) -> None:
        """The answer to the first question, or to a command of the login."""
        if protocol is not self._protocol:
            return  # ended: whatever still comes is nobody's
        if not self._ready:
            self._login_reply(reply)
        elif not self._waiting:
            self.end("an answer that nobody asked for")
        else:
            self._owner.answered(self, self._waiting.popleft(), reply)

    def _login_reply(self, reply: Any) -> None:
        if isinstance(reply, Exception):
            # Nothing but its first word: it may repeat what was sent, the password that is.
            word = str(reply).partition(" ")[0] or "ERR"
            self._give_up(f"{self._login[self._logged_in][0].decode()} was refused: {word}")
            return
        self._logged_in += 1
        if self._logged_in == len(self._login):
            self._set_timer(None)
            self._failures = 0
            self._ready = True
            self._owner.ready(self)

    def lost(self, protocol: Any, why: str) -> None:
        """Closed by Redis, or by what lies between."""
        if protocol is not self._protocol:
            return
        self._protocol = None
        if self._ready:
            self.end(why)
        else:
            self._give_up(why)

    # Deadlines

    def _look(self) -> None:
        """Is the first question too late?"""
        if not self._waiting:
            self._timer = None
            return
        left = self._waiting[0].deadline - self._reactor.seconds()
        if left > 0:
            self._set_timer(left, self._look)
        else:
            # Maybe it is we who were busy, and the answer is here to be read: timers come before sockets.
            self._set_timer(0, self._judge)

    def _judge(self) -> None:
        if self._waiting and self._waiting[0].deadline <= self._reactor.seconds():
            self.end("timeout")
        else:
            self._look()

    def _set_timer(self, seconds: float | None, function: Callable[[], None] | None = None) -> None:
        timer = self._timer
        if timer is not None and timer.active():
            timer.cancel()
        self._timer = None if seconds is None else self._reactor.callLater(seconds, function)
