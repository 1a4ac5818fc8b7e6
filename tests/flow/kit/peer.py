"""Who is at the other end of a connection: a client of the gateway, or a server behind it.

    flow.client >> b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"     it says this
    flow.upstream << b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n"   it has got this since the last look, and no more

Fields that a hop adds and that say nothing about the flow (dates, ids, forwarding) are left out of what it got. They
have their own tests.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock

from tests.flow.kit.wire import FIN, Wire

_OWN_FIELDS: Final = re.compile(
    rb"^(?:Date|Via|X-Request-ID|traceparent|X-Forwarded-[A-Za-z-]+|X-Real-IP|Forwarded): [^\r\n]*\r\n",
    re.MULTILINE | re.IGNORECASE,
)


class Peer:
    """One connection, from outside."""

    def __init__(self, clock: Clock, wire: Wire) -> None:
        self._clock = clock
        self.wire = wire
        self._seen = 0

    def __rshift__(self, data: bytes) -> Peer:
        """Says `data`, in one piece."""
        assert data and not self.is_gone, "nobody is there to hear it"
        self.wire.deliver(data)
        self.turn()
        return self

    def __lshift__(self, expected: bytes) -> Peer:
        """Has got exactly `expected` since the last look."""
        got = self.take()
        assert got == expected, f"got {got!r}"
        return self

    def turn(self) -> None:
        """What is due in the gateway is done."""
        self._clock.advance(0)

    def take_raw(self) -> bytes:
        """All that came since the last look, as it came."""
        self.turn()
        arrived, self._seen = self.wire.arrived[self._seen :], len(self.wire.arrived)
        return arrived

    def take(self) -> bytes:
        """The same without the fields that each hop adds."""
        return _OWN_FIELDS.sub(b"", self.take_raw())

    def refused(self, status: int, reason: str, closes: bool = False) -> dict[bytes, bytes]:
        """Has got one of the gateway's own errors, and nothing else. Its fields."""
        head, _, body = self.take_raw().partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        assert line.startswith(b"HTTP/1.1 %d " % status), (line, body)
        fields: dict[bytes, bytes] = {}
        for text in lines:
            name, _, value = text.partition(b": ")
            fields[name.lower()] = value
        assert int(fields[b"content-length"]) == len(body)
        problem: dict[str, Any] = json.loads(body)
        assert (problem["status"], problem["reason"]) == (status, reason)
        assert problem["request_id"].encode() == fields[b"x-request-id"]
        assert (fields.get(b"connection") == b"close") == closes
        return fields

    # How it behaves

    def stops_reading(self) -> None:
        """Leaves unread what comes from now on."""
        self.wire.peer_reads = False

    def reads_on(self) -> None:
        """Reads it, and all that follows."""
        self.wire.read_on()
        self.turn()

    def shuts(self) -> None:
        """Sends its FIN: it says no more, and still reads."""
        self.wire.deliver(FIN)
        self.turn()

    def resets(self) -> None:
        """Is gone, all at once."""
        self.wire.lose(ConnectionLost())
        self.turn()

    # What it sees

    @property
    def is_gone(self) -> bool:
        """Whether the connection is over."""
        self.turn()
        return self.wire.lost is not None

    @property
    def was_closed(self) -> bool:
        """By the gateway and in order, everything said."""
        return self.is_gone and self.wire.lost is not None and self.wire.lost.check(ConnectionDone) is not None

    @property
    def was_reset(self) -> bool:
        """By the gateway: what it said is no whole message."""
        return self.is_gone and self.wire.lost is not None and self.wire.lost.check(ConnectionAborted) is not None

    @property
    def is_paused(self) -> bool:
        """Whether the gateway reads no more of it for now."""
        self.turn()
        return not self.is_gone and not self.wire.reading
