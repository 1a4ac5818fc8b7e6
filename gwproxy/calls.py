"""HTTP calls of the gateway's own, by treq: for keys, for introspection, to ask another service. No client's traffic.

Rules:

* A call has one deadline, from the connection to the last byte, and a bound on what it reads.
* No redirects are followed, no cookies kept.
* Answers are asked for as they are, and one that is compressed all the same is refused: nothing expands in memory.
* Calls are questions: what finds its kept connection closed before a byte of an answer came is asked once more.
* Servers under https are verified by service-identity, against the system's certificates or a file of the caller's.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from hyperlink import EncodedURL, URLParseError
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web._newclient import BODY, DONE, HTTP11ClientProtocol, _WrapperException
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseNeverReceived,
    _HTTP11ClientFactory,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers as WebHeaders
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import Value, file, plain
from gwproxy.http.headers import Header

TIMEOUT: Final = 5.0
MAX_SIZE: Final = 1 << 20
MAX_HEAD: Final = 64 << 10  # of an answer, with all 1xx before it
# Idle connections: fewer seconds than servers keep them, and few.
KEEPALIVE: Final = 4
MOST_IDLE: Final = 8


class CallFailed(Exception):
    """There is no answer. `why` is one of timeout, connect, broken, too_large; nothing in it is secret."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why)
        self.why = why


@attrs.frozen
class Answer:
    """What came back: any status, headers as received (names in their usual case), the body whole."""

    status: int
    headers: list[Header]
    body: bytes


class Calls:
    """One a process. Connections are kept between calls, a few for each server."""

    def __init__(self, reactor: Any = None, agent: IAgent | None = None) -> None:
        """`agent` stands in for the network. Without a reactor, a call raises: nothing may be sent."""
        self._reactor = reactor
        self._agent = agent
        self._pools: list[HTTPConnectionPool] = []
        # By file of certificates, each with that file's mark: one that was replaced is read again.
        self._clients: dict[Path | None, tuple[object, HTTPClient]] = {}
        self._open: set[_Call] = set()

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
        trust instead of the system's certificates. Fails with CallFailed; cancelling ends the call and closes its
        connection."""
        if self._reactor is None:
            raise RuntimeError("calls are not possible here")
        web_headers = WebHeaders()
        for name, value in headers:
            web_headers.addRawHeader(name, value)

        def ask() -> Deferred[Any]:
            return self._client(ca_file).request(
                method, url, headers=web_headers, data=body, allow_redirects=False, unbuffered=True
            )

        call = _Call(ask, max_size)
        self._open.add(call)
        timer = self._reactor.callLater(timeout, call.fail, CallFailed("timeout"))

        def ended(result: Any) -> Any:
            self._open.discard(call)
            if timer.active():
                timer.cancel()
            return result

        call.answer.addBoth(ended)
        call.start()
        return call.answer

    def stop(self) -> Deferred[Any]:
        """Ends the calls under way, which fail as broken, and closes the connections kept."""
        for call in list(self._open):
            call.fail(CallFailed("broken", "the gateway stops"))
        pools, self._pools = self._pools, []
        self._clients.clear()
        return gatherResults([pool.closeCachedConnections() for pool in pools])

    def _client(self, ca_file: Path | None) -> HTTPClient:
        stat = None if ca_file is None else os.stat(ca_file)
        mark = stat and (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        known = self._clients.get(ca_file)
        if known is not None and known[0] == mark:
            return known[1]
        jar = IndexableCookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        client = HTTPClient(_Uncompressed(self._agent or self._make_agent(ca_file)), cookiejar=jar)
        self._clients[ca_file] = (mark, client)
        return client

    def _make_agent(self, ca_file: Path | None) -> IAgent:
        # A pool of its own for each trust: what one trusts, another need not.
        pool = HTTPConnectionPool(self._reactor)
        pool._factory = _Connections
        pool.maxPersistentPerHost = MOST_IDLE
        pool.cachedConnectionTimeout = KEEPALIVE
        pool.retryAutomatically = False  # we do, for every method
        trust = None if ca_file is None else trustRootFromCertificates(read_certificates(ca_file))
        policy = BrowserLikePolicyForHTTPS(trust)
        self._pools.append(pool)
        return Agent(self._reactor, policy, connectTimeout=TIMEOUT, pool=pool)


class _Connection(HTTP11ClientProtocol):
    """Twisted has a bound for each line of a head, and none for all of them."""

    transport: Any
    _head_bytes = 0

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted's has no annotations
        over = self._parser is None or self._parser.state in (BODY, DONE)
        self._head_bytes = 0 if over else self._head_bytes + len(data)
        if self._head_bytes > MAX_HEAD:
            self.transport.abortConnection()


class _Connections(_HTTP11ClientFactory):
    noisy = False  # no line in the log for each connection

    def buildProtocol(self, addr: object) -> HTTP11ClientProtocol:
        return _Connection(self._quiescentCallback)  # type: ignore[no-untyped-call]  # the same


@implementer(IAgent)
class _Uncompressed:
    """Beneath treq, which asks for gzip and undoes it without a bound."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: WebHeaders | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        asked = WebHeaders() if headers is None else headers
        asked.setRawHeaders(b"Accept-Encoding", [b"identity"])
        return self._agent.request(method, uri, asked, bodyProducer).addCallback(self._look)

    def _look(self, response: Any) -> IResponse:
        # Renamed, so that treq does not see it; `_Call` does.
        encodings = response.headers.getRawHeaders(b"Content-Encoding", [])
        response.headers.removeHeader(b"Content-Encoding")
        if any(encoding.strip().lower() not in (b"", b"identity") for encoding in encodings):
            response.headers.setRawHeaders(_ENCODED, [b"yes"])
        return response  # type: ignore[no-any-return]  # an IResponse, by whoever made the agent


_ENCODED: Final = b"x-gwproxy-encoded"


class _Call:
    """One call, from the question to the last byte of its answer. Ends exactly once."""

    def __init__(self, ask: Callable[[], Deferred[Any]], max_size: int) -> None:
        self.answer: Deferred[Answer] = Deferred(lambda _: self._leave())
        self._ask = ask
        self._max_size = max_size
        self._asked: Deferred[Any] | None = None
        self._again = True
        self._over = False
        self._body: _Body | None = None

    def start(self) -> None:
        """Asks."""
        self._asked = maybeDeferred(self._ask)
        self._asked.addCallbacks(self._head, self._failed)

    def fail(self, error: CallFailed) -> None:
        """Ends the call, if it is under way."""
        if not self._over:
            self._leave()
            self.answer.errback(error)

    def _leave(self) -> None:
        """Closes the connection; what still comes from it is nobody's."""
        self._over = True
        if self._body is not None:
            self._body.give_up()
        elif self._asked is not None:
            self._asked.cancel()

    def _head(self, response: Any) -> None:
        headers = [
            (name, value)
            for name, values in response.headers.getAllRawHeaders()
            for value in values
            if name != b"Content-Encoding"  # an empty one, which treq leaves
        ]
        body = _Body(self._max_size, lambda body: self._end(Answer(response.code, headers, body)), self._failed)
        self._body = body
        if response.headers.hasHeader(_ENCODED):
            self._over = True
            response.deliverBody(body)
            body.give_up()
            self.answer.errback(CallFailed("broken", "the answer is compressed"))
        else:
            response.deliverBody(body)

    def _end(self, answer: Answer) -> None:
        if not self._over:
            self._over = True
            self.answer.callback(answer)

    def _failed(self, failure: Failure) -> None:
        if self._over:
            return
        reasons = _reasons(failure)
        if self._again and self._body is None and _was_closed(failure, reasons):
            self._again = False
            self.start()
            return
        error = failure.value if isinstance(failure.value, CallFailed) else _call_failed(reasons)
        self.fail(error)


def _reasons(failure: Failure) -> list[BaseException]:
    """What lies at the bottom of a failure: Agent wraps some in others."""
    error = failure.value
    if isinstance(error, _WrapperException):
        return [each for reason in error.reasons for each in _reasons(reason)]
    return [error] if error is not None else []


def _was_closed(failure: Failure, reasons: list[BaseException]) -> bool:
    """The server closed a connection while nothing of an answer had come."""
    never = failure.check(ResponseNeverReceived, RequestTransmissionFailed)
    return never is not None and all(isinstance(reason, ConnectionClosed) for reason in reasons)


def _call_failed(reasons: list[BaseException]) -> CallFailed:
    detail = ", ".join(dict.fromkeys(type(reason).__name__ for reason in reasons))
    unreachable = (ConnectError, DNSLookupError, SSL.Error, VerificationError, OSError)
    connect = any(isinstance(reason, unreachable) for reason in reasons)
    return CallFailed("connect" if connect else "broken", detail)


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
        """Reads no further, and closes the connection."""
        if self._over:
            return
        self._over = True
        self._pieces.clear()
        # What the response hands over cannot abort, and under TLS merely closing waits for the other side.
        connection: Any = getattr(self.transport, "_producer", None) or self.transport
        abort = getattr(connection, "abortConnection", None) or getattr(connection, "stopProducing", None)
        if abort is not None:
            abort()


# Where the gateway may ask, and whom it trusts


def read_certificates(path: Path) -> list[Certificate]:
    """The certificates of a PEM file. Raises ValueError or OSError."""
    mark = b"-----END CERTIFICATE-----"
    try:
        found = [Certificate.loadPEM(part + mark) for part in path.read_bytes().split(mark)[:-1]]
    except crypto.Error:
        raise ValueError("has what is no certificate in it") from None
    if not found:
        raise ValueError("has no certificate in it")
    return found


def _read_ca_file(text: str, base: Path) -> Path:
    path = file.read(text, base)
    try:
        read_certificates(path)
    except (OSError, ValueError) as error:
        raise BadValue(getattr(error, "strerror", None) or str(error)) from None
    return path


def _parse_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        EncodedURL.from_text(text)  # what treq reads it by
    except (ValueError, URLParseError):
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
ca_file: Final[Value[Path]] = Value("file of certificates", _read_ca_file)
