"""How long a connection waits for its client, and for what.

One deadline serves all of it, since a connection waits for one thing at a time. Two of them ask for more than a clock:
a body may be slow but not too slow, and a client that reads slowly is not one that reads nothing. Beside it a client
whose body nobody reads is looked after: that it is gone would show in nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import proxy

from twisted.internet.interfaces import IDelayedCall

from gwproxy.deadline import Deadline
from gwproxy.edge.farewell import Linger
from gwproxy.errors import BodyTimeout, ClientStalled, HeaderTimeout
from gwproxy.kernel import unsent, was_reset

if TYPE_CHECKING:
    from gwproxy.edge.body import RequestBody
    from gwproxy.edge.channel import EdgeChannel

IDLE: Final = 0  # for the next request
HEAD: Final = 1  # for the rest of a head
BODY: Final = 2  # for a body, at its least rate
RESPONSE: Final = 3  # for the response head: the route's timeout
READER: Final = 4  # for the client to read
LINGERING: Final = 5  # for the client to end
CLOSING: Final = 6  # for the last bytes to leave

# How long an orderly close may take while nothing moves, in seconds.
CLOSE_TIMEOUT: Final = 10.0

# Seconds between looks at a connection that is not read: its client's death is to be known within 100 ms.
LOOK_INTERVAL: Final = 0.08


class Patience:
    """The deadline of one connection, and the looks at it while it is not read."""

    __slots__ = (
        "_body",
        "_channel",
        "_deadline",
        "_look",
        "_mark",
        "_options",
        "_seconds",
        "_unsent",
        "_waited_for",
        "awaited",
    )

    def __init__(self, channel: EdgeChannel) -> None:
        listener = channel.listener
        self._channel = proxy(channel)  # its own: the channel would keep itself alive
        self._options = listener.options
        self._seconds = listener.reactor.seconds
        self._deadline = Deadline(listener.reactor, self._expired)
        self.awaited = IDLE
        self._body: RequestBody | None = None
        self._mark = 0  # bytes of the body when its rate was judged last
        self._waited_for = False  # since then the client was made to wait, so its rate says nothing
        self._unsent = 0
        self._look: IDelayedCall | None = None

    def for_request(self) -> None:
        """Until the next request begins: idle_timeout. While one is in flight this does nothing. A client that has not
        read its answer yet gets no further before it has."""
        if self._channel.write_paused:
            self.for_reader()
            return
        self.awaited = IDLE
        self._deadline.set(self._seconds() + self._options.idle_timeout)

    def for_first_request(self) -> None:
        """A client that connects and says nothing has as long as one that says it slowly."""
        self.awaited = IDLE
        self._deadline.set(self._seconds() + self._options.header_timeout)

    def for_head(self) -> None:
        """Until a head that has begun is whole: header_timeout in all, however it comes."""
        if self.awaited != HEAD:
            self.awaited = HEAD
            self._deadline.set(min(self._deadline.at, self._seconds() + self._options.header_timeout))

    def for_body(self, body: RequestBody) -> None:
        """While a request body comes: min_body_rate, looked at every idle_timeout."""
        self.awaited = BODY
        self._body = body
        self._mark = 0
        self._waited_for = False
        self._deadline.set(self._seconds() + self._options.idle_timeout)

    def not_reading(self) -> None:
        """The gateway reads no further now. That a body comes slowly is no fault of the client, then; which may be gone
        meanwhile (CORRECTNESS B5, B7)."""
        self._waited_for = True
        if self._look is None:
            self._look = self._channel.listener.reactor.callLater(LOOK_INTERVAL, self._look_for_client)

    def _look_for_client(self) -> None:
        self._look = None
        channel = self._channel
        if not channel.read_paused or channel.exchange is None:
            return
        if was_reset(channel.transport):
            channel.transport.abortConnection()
        else:
            self._look = channel.listener.reactor.callLater(LOOK_INTERVAL, self._look_for_client)

    def for_response(self, seconds: float) -> None:
        """Until the response begins: the route's timeout; 0 for none. The exchange knows if it has begun."""
        self.awaited = RESPONSE
        if seconds:
            self._deadline.set(self._seconds() + seconds)
        else:
            self._deadline.clear()

    def for_reader(self) -> None:
        """Until the client has read what is written: idle_timeout, as long as nothing moves."""
        self.awaited = READER
        self._unsent = unsent(self._channel.transport)
        self._deadline.set(self._seconds() + self._options.idle_timeout)

    def for_end(self) -> None:
        """Until the client, that has its answer, stops sending."""
        self.awaited = LINGERING
        self._unsent = unsent(self._channel.transport)
        self._deadline.set(self._seconds() + Linger.SECONDS)

    def for_close(self) -> None:
        """Until what is written has left."""
        self.awaited = CLOSING
        self._unsent = unsent(self._channel.transport)
        self._deadline.set(self._seconds() + CLOSE_TIMEOUT)

    def for_nothing(self) -> None:
        """The next step is not the client's."""
        self._deadline.clear()

    def end(self) -> None:
        """The connection is gone."""
        self._deadline.cancel()
        self._body = None
        look, self._look = self._look, None
        if look is not None:
            look.cancel()

    def _expired(self) -> None:
        channel = self._channel
        awaited = self.awaited
        if awaited == IDLE:
            if channel.exchange is None:
                channel.close()
        elif awaited == HEAD:
            if channel.exchange is None:  # else the head came whole, and a filter has not made up its mind yet
                channel.refuse(HeaderTimeout())
        elif awaited == BODY:
            self._judge_rate()
        elif awaited == RESPONSE:
            if channel.exchange is not None:
                channel.exchange.timed_out()
        elif self._still_reads():
            self._deadline.set(self._seconds() + (self._options.idle_timeout if awaited == READER else CLOSE_TIMEOUT))
        elif awaited == READER and channel.exchange is not None:
            channel.exchange.client_lost(ClientStalled("reads nothing of its response"))
        else:
            channel.abort()

    def _still_reads(self) -> bool:
        """Whether the client took anything of what is written since the last look."""
        before, self._unsent = self._unsent, unsent(self._channel.transport)
        return self._unsent not in (0, before)

    def _judge_rate(self) -> None:
        """Once in idle_timeout: did enough of the body come (SCORECARD C2)?"""
        body = self._body
        assert body is not None
        came = body.received - self._mark
        self._mark = body.received
        least = max(1, self._options.min_body_rate * self._options.idle_timeout)
        if came < least and not self._waited_for:
            self._channel.fail_body(BodyTimeout())
            return
        self._waited_for = self._channel.read_paused
        self._deadline.set(self._seconds() + self._options.idle_timeout)
