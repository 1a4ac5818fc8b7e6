"""How a connection to a server is made: TCP to an address or a name, unix sockets, services inside the gateway.

Connections are made with the reactor's own calls, not with endpoints: an endpoint leaves a wrapper between transport
and protocol that costs a call on every read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.error import ConnectError, DNSLookupError, TimeoutError
from twisted.internet.interfaces import IConnector
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from gwproxy.config.addresses import ServerAddress
from gwproxy.upstream.names import Names

Failed = Callable[[Failure], None]


class _Dial(ClientFactory):
    """One try to connect one address; the protocol tells by itself that it is connected."""

    noisy = False

    def __init__(self, protocol: Protocol, failed: Failed) -> None:
        self._protocol = protocol
        self._failed = failed

    def buildProtocol(self, addr: object) -> Protocol:
        return self._protocol

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._failed(reason)

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        """The protocol knows it already. Those part who would keep each other alive until they are found as garbage."""
        del self._protocol, self._failed
        connector.transport = None


class Dialer:
    """Makes connections to one server."""

    def __init__(
        self,
        address: ServerAddress,
        reactor: Any,  # IReactorTCP, -UNIX, -Time and IReactorPluggableNameResolver at once: zope has no such type
        connect_timeout: float,
        resolve_interval: float,
        builtins: Mapping[str, int],
    ) -> None:
        """`builtins` has the loopback port of each service inside the gateway, once it listens."""
        self._address = address
        self._reactor = reactor
        self._timeout = connect_timeout
        self._builtins = builtins
        self._names: Names | None = None
        self._turn = 0
        if address.kind == "tcp" and not _is_address(address.host):
            self._names = Names(address.host, reactor, resolve_interval)

    def connect(self, protocol: Protocol, failed: Failed) -> None:
        """Connects `protocol`: its connectionMade() is the good news, `failed` gets the bad, in connect_timeout.

        Neither is called before this returns.
        """
        address = self._address
        until = self._reactor.seconds() + self._timeout
        if address.kind == "unix":
            self._reactor.connectUNIX(address.path, _Dial(protocol, failed), timeout=self._timeout)
        elif address.kind == "builtin":
            port = self._builtins.get(address.host)
            if port is None:
                error = ConnectError(string=f"builtin:{address.host} does not listen yet")
                self._reactor.callLater(0, failed, Failure(error))
                return
            self._connect_any(["127.0.0.1"], port, until, protocol, failed)
        elif self._names is None:
            self._connect_any([address.host], address.port, until, protocol, failed)
        else:
            self._connect_name(self._names, until, protocol, failed)

    def _connect_name(self, names: Names, until: float, protocol: Protocol, failed: Failed) -> None:
        def resolved(found: Sequence[str]) -> None:
            if not found:
                self._reactor.callLater(0, failed, Failure(DNSLookupError(self._address.host)))
                return
            # Connections in turn to all addresses of a name: so it is a balancer of its own.
            self._turn = (self._turn + 1) % len(found)
            hosts = [*found[self._turn :], *found[: self._turn]]
            self._connect_any(hosts, self._address.port, until, protocol, failed)

        names.addresses(resolved, lambda: failed(Failure(TimeoutError("name lookup"))), self._timeout)

    def _connect_any(self, hosts: list[str], port: int, until: float, protocol: Protocol, failed: Failed) -> None:
        """One address after the other; each has an equal part of the time left, so that one which is silent leaves
        some to the others."""

        self._connect_next(hosts, port, until, protocol, failed, Failure(TimeoutError()))

    def _connect_next(
        self, hosts: list[str], port: int, until: float, protocol: Protocol, failed: Failed, reason: Failure
    ) -> None:
        left = until - self._reactor.seconds()
        if not hosts or left <= 0:
            failed(reason)
            return

        def others(reason: Failure) -> None:
            self._connect_next(hosts[1:], port, until, protocol, failed, reason)

        self._reactor.connectTCP(hosts[0], port, _Dial(protocol, others), timeout=left / len(hosts))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
