"""Connections to one server: reused last in, first out; bounded; with a bounded queue before them.

A connection is in one of three places: in use (its exchange holds it), idle (here), or being made (`_dialing`).
Nothing here is a Deferred on the usual way: `take()` gives an idle connection at once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from gwproxy.config.model import UpstreamOptions
from gwproxy.deadline import NEVER, Deadline
from gwproxy.errors import GatewayError, QueueFull, QueueTimeout
from gwproxy.upstream.dial import Dialer
from gwproxy.upstream.failures import connect_error
from gwproxy.upstream.protocol import UpstreamConnection

if TYPE_CHECKING:
    from gwproxy.upstream.server import Server


class Waiter(Protocol):
    """Who asked for a connection and did not get one at once. Exactly one of the two is called, unless it leaves."""

    def connection_ready(self, connection: UpstreamConnection) -> None:
        """The connection is the waiter's now."""

    def connection_failed(self, error: GatewayError) -> None:
        """There will be none."""


class Pool:
    """The connections to one server."""

    __slots__ = (
        "_closing",
        "_deadline",
        "_dialer",
        "_dialing",
        "_open",
        "_options",
        "_reactor",
        "_server",
        "_waiters",
        "idle",
    )

    def __init__(self, server: Server, options: UpstreamOptions, dialer: Dialer, reactor: IReactorTime) -> None:
        self._server = server
        self._options = options
        self._dialer = dialer
        self._reactor = reactor
        self.idle: list[UpstreamConnection] = []
        self._open = 0  # made or being made
        self._dialing = 0
        # With the time until which each may wait; NEVER for those for whom a connection is being made.
        self._waiters: deque[tuple[Waiter, float]] = deque()
        self._deadline = Deadline(reactor, self._expire_waiters)
        self._closing = False

    def __repr__(self) -> str:
        return f"<Pool open={self._open} idle={len(self.idle)} dialing={self._dialing} waiting={len(self._waiters)}>"

    @property
    def open(self) -> int:
        """Connections that are made or being made."""
        return self._open

    @property
    def in_use(self) -> int:
        """Connections with an exchange on them, or about to be lost."""
        return self._open - self._dialing - len(self.idle)

    @property
    def waiting(self) -> int:
        """Exchanges that wait for a connection."""
        return len(self._waiters)

    def take(self) -> UpstreamConnection | None:
        """An idle connection, the one used last, or None: then wait()."""
        return self.idle.pop() if self.idle else None

    def wait(self, waiter: Waiter) -> None:
        """Makes a connection for `waiter`, or puts it into the queue. Raises QueueFull."""
        if self._open < self._options.max_connections:
            self._waiters.append((waiter, NEVER))
            self._dial()
            return
        if len(self._waiters) - self._dialing >= self._options.queue:
            raise QueueFull(self._server.label)
        expires = self._reactor.seconds() + self._options.queue_timeout
        self._waiters.append((waiter, expires))
        if expires < self._deadline.at:
            self._deadline.set(expires)

    def leave(self, waiter: Waiter) -> None:
        """`waiter` no longer wants one. A connection being made for it will be idle, for the next."""
        for entry in self._waiters:
            if entry[0] is waiter:
                self._waiters.remove(entry)
                return

    def release(self, connection: UpstreamConnection) -> None:
        """The exchange on `connection` ended cleanly, so that it can carry another."""
        if self._waiters:
            self._waiters.popleft()[0].connection_ready(connection)
        elif len(self.idle) < self._options.keepalive and not self._closing:
            self.idle.append(connection)
            connection.rest(self._options.keepalive_timeout)
        else:
            connection.close()

    def discard(self, connection: UpstreamConnection) -> None:
        """`connection` is being closed: nobody gets it any more, and it counts until it is lost."""
        if connection in self.idle:
            self.idle.remove(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """`connection` is closed, whatever it was doing."""
        self._open -= 1
        self.discard(connection)
        self._dial_for_waiters()

    def close(self) -> None:
        """Keeps no idle connection from now on. Exchanges that are under way are served to their end."""
        self._closing = True
        for connection in tuple(self.idle):
            connection.close()
        if not self._waiters:
            # Leaves no timer in the reactor; somebody may still come to wait.
            self._deadline.cancel()
            self._deadline = Deadline(self._reactor, self._expire_waiters)

    def _dial_for_waiters(self) -> None:
        while len(self._waiters) > self._dialing and self._open < self._options.max_connections:
            self._dial()

    def _dial(self) -> None:
        self._open += 1
        self._dialing += 1
        connection = UpstreamConnection(self, self._options, self._reactor)
        self._dialer.connect(connection, self._failed)

    def connected(self, connection: UpstreamConnection) -> None:
        """A connection that was being made is there."""
        self._dialing -= 1
        self._server.connected()
        self.release(connection)

    def _failed(self, failure: Failure) -> None:
        self._dialing -= 1
        self._open -= 1
        self._server.unreachable(self._reactor.seconds())
        waiter = self._waiters.popleft()[0] if self._waiters else None
        # Those who were here first come before what this waiter does next.
        self._dial_for_waiters()
        if waiter is not None:
            waiter.connection_failed(connect_error(failure, self._server.label))

    def _expire_waiters(self) -> None:
        now = self._reactor.seconds()
        expired = [waiter for waiter, expires in self._waiters if expires <= now]
        self._waiters = deque(entry for entry in self._waiters if entry[1] > now)
        soonest = min((expires for _, expires in self._waiters), default=NEVER)
        if soonest < NEVER:
            self._deadline.set(soonest)
        for waiter in expired:
            waiter.connection_failed(QueueTimeout(self._server.label))
