"""HTTP calls of the gateway's own, by treq: for keys, for introspection, to ask another service. No client's traffic.

Every call has one deadline, from the connection to the last byte, and a bound on what it reads. No redirects are
followed, no cookies kept. Servers under https are verified by service-identity, against the system's certificates or
a file of the caller's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers as WebHeaders
from twisted.web.iweb import IAgent

from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import Value, plain
from gwproxy.http.headers import Header

TIMEOUT: Final = 5.0
MAX_SIZE: Final = 1 << 20


class CallFailed(Exception):
    """There is no answer. `why` is one of timeout, connect, broken, too_large; nothing in it is secret."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why)
        self.why = why


@attrs.frozen
class Answer:
    """What came back: any status, headers as received, the body whole and decoded."""

    status: int
    headers: list[Header]
    body: bytes


class Calls:
    """One a process. Connections are kept between calls, a few for each server."""

    def __init__(self, reactor: Any = None, agent: IAgent | None = None) -> None:
        """`agent` stands in for the network. Without either, a call raises: nothing may be sent."""
        self._reactor = reactor
        self._agent = agent
        self._pool: HTTPConnectionPool | None = None
        self._clients: dict[Path | None, HTTPClient] = {}

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Iterable[Header] = (),
        body: bytes | None = None,
        timeout: float = TIMEOUT,
        max_size: int = MAX_SIZE,
        ca_file: Path | None = None,
    ) -> Deferred[Answer]:
        """Asks. `timeout` in seconds for the whole call, `max_size` in bytes of the answer's body. `ca_file`: whom to
        trust instead of the system's certificates. Fails with CallFailed; cancelling ends the call."""
        if self._reactor is None:
            raise RuntimeError("calls are not possible here")
        web_headers = WebHeaders()
        for name, value in headers:
            web_headers.addRawHeader(name, value)
        asked: Deferred[Any] = self._client(ca_file).request(
            method, url, headers=web_headers, data=body, allow_redirects=False, unbuffered=True
        )
        call = _Call(asked, max_size)
        timer = self._reactor.callLater(timeout, call.time_out)

        def ended(result: Any) -> Any:
            if timer.active():
                timer.cancel()
            return result

        return call.answer.addBoth(ended)

    def stop(self) -> Deferred[None] | None:
        """Closes the connections kept."""
        pool, self._pool = self._pool, None
        self._clients.clear()
        return None if pool is None else pool.closeCachedConnections()

    def _client(self, ca_file: Path | None) -> HTTPClient:
        client = self._clients.get(ca_file)
        if client is None:
            jar = IndexableCookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
            client = self._clients[ca_file] = HTTPClient(self._agent or self._make_agent(ca_file), cookiejar=jar)
        return client

    def _make_agent(self, ca_file: Path | None) -> IAgent:
        if self._pool is None:
            self._pool = HTTPConnectionPool(self._reactor)
            self._pool.maxPersistentPerHost = 8
            self._pool.cachedConnectionTimeout = 4
        trust = None
        if ca_file is not None:
            trust = trustRootFromCertificates(_certificates(ca_file))
        policy = BrowserLikePolicyForHTTPS(trust) if trust is not None else BrowserLikePolicyForHTTPS()
        agent: IAgent = Agent(self._reactor, policy, connectTimeout=TIMEOUT, pool=self._pool)
        return agent


def _certificates(file: Path) -> list[Certificate]:
    mark = b"-----END CERTIFICATE-----"
    return [Certificate.loadPEM(part + mark) for part in file.read_bytes().split(mark)[:-1]]


class _Call:
    """One call, from the question to the last byte of its answer. Ends exactly once."""

    def __init__(self, asked: Deferred[Any], max_size: int) -> None:
        self.answer: Deferred[Answer] = Deferred(lambda _: self._abandon())
        self._asked = asked
        self._max_size = max_size
        self._timed_out = False
        self._body: _Body | None = None
        asked.addCallbacks(self._head, self._failed)

    def time_out(self) -> None:
        self._timed_out = True
        self._abandon()

    def _abandon(self) -> None:
        if self._body is not None:
            self._body.give_up()
        self._asked.cancel()
        if not self.answer.called:
            self.answer.errback(CallFailed("timeout") if self._timed_out else CancelledError())

    def _head(self, response: Any) -> None:
        headers = [(name, value) for name, values in response.headers.getAllRawHeaders() for value in values]
        self._body = _Body(self._max_size, lambda body: self._end(Answer(response.code, headers, body)), self._failed)
        response.deliverBody(self._body)

    def _end(self, answer: Answer) -> None:
        if not self.answer.called:
            self.answer.callback(answer)

    def _failed(self, failure: Failure) -> None:
        if self.answer.called:
            return
        error = failure.value
        if isinstance(error, CallFailed):
            self.answer.errback(error)
        elif self._timed_out or failure.check(ConnectingCancelledError, CancelledError):
            self.answer.errback(CallFailed("timeout"))
        else:
            self.answer.errback(CallFailed(_why(failure), type(error).__name__))


def _why(failure: Failure) -> str:
    module = type(failure.value).__module__
    return "broken" if module.startswith("twisted.web") else "connect"


class _Body(Protocol):
    """Collects an answer's body, up to its bound."""

    def __init__(self, max_size: int, done: Callable[[bytes], None], failed: Callable[[Failure], None]) -> None:
        self._left = max_size
        self._done = done
        self._failed = failed
        self._pieces: list[bytes] = []
        self._over = False

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._over:
            return
        if self._left < 0:
            self.give_up()
            self._failed(Failure(CallFailed("too_large")))
            return
        self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._over:
            return
        self._over = True
        if reason.check(ResponseDone, PotentialDataLoss):
            self._done(b"".join(self._pieces))
        else:
            self._failed(reason)

    def give_up(self) -> None:
        """Reads no further."""
        if not self._over:
            self._over = True
            transport: Any = self.transport
            if transport is not None:
                transport.abortConnection() if hasattr(transport, "abortConnection") else transport.stopProducing()


# Where the gateway may ask


def _parse_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadValue("is no URL") from None
    if parts.scheme not in ("http", "https") or not host or port == 0 or not text.isascii() or not text.isprintable():
        raise BadValue("must be a URL, as in https://idp.example.com/keys")
    if parts.username is not None or parts.password is not None:
        raise BadValue("must not have a user or password in it")
    if parts.fragment or " " in text:
        raise BadValue("must not have a fragment or blanks")
    return text


def _parse_secure_url(text: str) -> str:
    url = _parse_url(text)
    if not is_secure(url):
        raise BadValue("must be https; plain http is for loopback addresses only")
    return url


def is_secure(url: str) -> bool:
    """Whether nobody on the way can read or change what is asked: https, or an address of this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    try:
        return parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


url: Final[Value[str]] = plain("URL", _parse_url)
secure_url: Final[Value[str]] = plain("https URL", _parse_secure_url)
