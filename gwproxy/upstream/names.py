"""Addresses of one host name, looked up before they are needed and again as time passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from zope.interface import implementer

Found = Callable[[Sequence[str]], None]


@implementer(IResolutionReceiver)
class _Receiver:
    """Collects the addresses of one lookup."""

    def __init__(self, done: Found) -> None:
        self._done = done
        self._found: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """For the resolver."""

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, IPv4Address | IPv6Address) and address.host not in self._found:
            self._found.append(address.host)

    def resolutionComplete(self) -> None:
        self._done(self._found)


class Names:
    """One host name. What was found stays in use until a later lookup finds something: a name server may be down."""

    def __init__(self, host: str, reactor: Any, interval: float) -> None:
        """`interval` in seconds: how old the addresses may be before they are looked up again, beside their use."""
        self._host = host
        self._reactor = reactor
        self._interval = interval
        self._found: tuple[str, ...] = ()
        self._looked_up = -interval
        self._looking = False
        self._waiting: list[Found] = []

    def addresses(self, found: Found, timed_out: Callable[[], None], timeout: float) -> None:
        """Calls `found` with the addresses, at once if there are any; with none if there are none."""
        if self._reactor.seconds() - self._looked_up >= self._interval:
            self._look_up()
        if self._found:
            found(self._found)
            return
        if not self._looking:
            found(())
            return

        def give_up() -> None:
            self._waiting.remove(told)
            timed_out()

        def told(addresses: Sequence[str]) -> None:
            timer.cancel()
            found(addresses)

        timer = self._reactor.callLater(timeout, give_up)
        self._waiting.append(told)

    def _look_up(self) -> None:
        if self._looking:
            return
        self._looking = True
        self._reactor.nameResolver.resolveHostName(_Receiver(self._done), self._host)

    def _done(self, addresses: Sequence[str]) -> None:
        self._looking = False
        if addresses:
            self._found = tuple(addresses)
            self._looked_up = self._reactor.seconds()
        else:
            # Soon again: a second is long for a name server and short for an operator.
            self._looked_up = self._reactor.seconds() - self._interval + min(1.0, self._interval)
        waiting, self._waiting = self._waiting, []
        for told in waiting:
            told(self._found)
