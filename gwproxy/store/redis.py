"""A Redis that several gateways share, asked with a deadline and behind a circuit breaker.

Rules:

* A question is a Lua script: one round trip, by its hash; the script itself goes along only if Redis has forgotten it.
* Nothing waits longer than the store's timeout, nor for a connection: without one, the store is not available.
* What failed several times is not asked for a while (`breaker.py`): a dead Redis costs a request nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from hashlib import sha1
from typing import Any, Final

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from gwproxy.config.stores import StoreOptions
from gwproxy.runtime.meters import Meters
from gwproxy.store.breaker import Breaker
from gwproxy.store.connection import CONNECT_TIMEOUT, Connection, Question
from gwproxy.store.endpoint import endpoint_of
from gwproxy.store.protocol import encode

_log = Logger(namespace="gwproxy")

# What became of a question, as the metrics call it.
OUTCOMES: Final = ("answered", "error", "timeout", "lost", "refused")


class StoreFailed(Exception):
    """There is no answer: the store is down, too slow, or not asked because it was just now."""


class Store:
    """One [store:NAME]. Kept over reloads; connects when started."""

    def __init__(self, options: StoreOptions, reactor: Any, meters: Meters) -> None:
        self.name = options.name
        self._options = options
        self._reactor = reactor
        self._prefix = options.prefix.encode()
        self._breaker = Breaker(options.breaker_failures, options.breaker_pause, reactor.seconds)
        self._connections: list[Connection] = []
        self._ready: list[Connection] = []
        self._in_flight = 0
        self._scripts: dict[str, tuple[bytes, bytes]] = {}  # source and hash
        self._said_up: bool | None = None  # what the log said last
        self._counts = {
            outcome: meters.counter("store_questions", "Questions to stores.", store=self.name, outcome=outcome)
            for outcome in OUTCOMES
        }
        # Open for long enough counts as up: where nobody asks, nobody finds out.
        meters.gauge(
            "store_up",
            "Whether a store would be asked now.",
            lambda: float(bool(self._ready) and self._breaker.may_ask()),
            store=self.name,
        )

    def __repr__(self) -> str:
        return f"<Store {self.name} {self._options.url.label} up={self._up}>"

    @property
    def available(self) -> bool:
        """Whether a question is worth asking now: False costs nothing while the breaker is open."""
        return bool(self._ready) and self._in_flight < self._options.max_in_flight and self._breaker.may_ask()

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int | float]) -> Deferred[Any]:
        """Runs a Lua script in one round trip; `keys` without the store's prefix. Fails with StoreFailed.

        The Deferred gives what Redis answers: an int, bytes, None, or a list of these. Cancelling it only means that
        nobody waits any more.
        """
        if not self.available:
            self._counts["refused"].value += 1
            return fail(StoreFailed("not available"))
        self._breaker.asked()
        source, digest = self._scripts.get(script) or self._add_script(script)
        prefix = self._prefix
        # a key may come from a claim, whose JSON may hold half of a surrogate pair
        sent = [prefix + key.encode("utf-8", "surrogatepass") for key in keys]
        rest = [b"%d" % len(keys), *sent, *[str(each).encode() for each in arguments]]
        question = Question(self._reactor.seconds() + self._options.timeout, source, rest)
        self._in_flight += 1
        connection = min(self._ready, key=_load)
        connection.ask(encode((b"EVALSHA", digest, *rest)), question)
        return question.answer

    def start(self) -> None:
        """Connects, and stays connected."""
        options = self._options
        endpoint = partial(endpoint_of, options, self._reactor, CONNECT_TIMEOUT)
        self._connections = [
            Connection(endpoint, login_of(options), options.timeout, self._reactor, self)
            for _ in range(options.connections)
        ]
        for connection in self._connections:
            connection.start()

    def stop(self) -> None:
        """Closes its connections."""
        self._said_up = False
        for connection in self._connections:
            connection.stop()
        self._connections = []

    # Owner of the connections

    def ready(self, connection: Connection) -> None:
        """One more to ask."""
        self._ready.append(connection)
        self._say()

    def unreachable(self, connection: Connection, why: str) -> None:
        """Others are tried."""
        self._say(why)

    def answered(self, connection: Connection, question: Question, reply: Any) -> None:
        """An answer has come."""
        self._in_flight -= 1
        if isinstance(reply, Exception):
            self._refused(connection, question, str(reply).strip())
            return
        self._breaker.succeeded()
        self._counts["answered"].value += 1
        if not self._said_up:
            self._say()
        if not question.answer.called:
            question.answer.callback(reply)

    def lost(self, connection: Connection, questions: Sequence[Question], why: str) -> None:
        """One less to ask. However many waited on it: it is one failure, and none if nobody did."""
        self._ready.remove(connection)
        outcome = "timeout" if why == "timeout" else "lost"
        self._in_flight -= len(questions)
        self._counts[outcome].value += len(questions)
        if questions:
            self._breaker.failed()
        self._say(why)
        for question in questions:
            _fail(question, why)

    def _refused(self, connection: Connection, question: Question, error: str) -> None:
        """Redis says that something is wrong."""
        if error.startswith("NOSCRIPT") and not question.whole:
            question.whole = True
            self._in_flight += 1
            connection.ask(encode((b"EVAL", question.source, *question.rest)), question)
            return
        # Some errors repeat the command, whose keys are the clients' own business.
        why = error.partition(", with args")[0][:200]
        self._counts["error"].value += 1
        self._breaker.failed()
        self._say(why)
        if error.startswith("READONLY"):
            connection.end(why)  # a replica by now: the name leads to the new master
        _fail(question, why)

    # Others

    @property
    def _up(self) -> bool:
        return bool(self._ready) and self._breaker.closed

    def _add_script(self, script: str) -> tuple[bytes, bytes]:
        source = script.encode()
        # a name, not a signature
        known = self._scripts[script] = source, sha1(source, usedforsecurity=False).hexdigest().encode()
        return known

    def _say(self, why: str = "") -> None:
        """The log has a line when it goes down, and when it is back."""
        up = self._up
        if up == self._said_up:
            return
        if not up and self._said_up is None and not why:
            return
        self._said_up = up
        where = self._options.url.label
        if up:
            _log.info("[store:{name}] {where} answers", name=self.name, where=where)
        else:
            _log.warn("[store:{name}] {where} is not asked: {why}", name=self.name, where=where, why=why)


def login_of(options: StoreOptions) -> list[tuple[bytes, ...]]:
    """What is sent first. PING tells whether Redis takes commands at all."""
    address = options.url
    commands: list[tuple[bytes, ...]] = []
    if address.password:
        user = (address.user.encode(),) if address.user else ()
        commands.append((b"AUTH", *user, address.password.encode()))
    if address.database:
        commands.append((b"SELECT", b"%d" % address.database))
    return [*commands, (b"PING",)]


def _load(connection: Connection) -> int:
    return connection.load


def _fail(question: Question, why: str) -> None:
    if not question.answer.called:
        question.answer.errback(StoreFailed(why))
