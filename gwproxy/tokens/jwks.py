"""Keys of an identity provider, by HTTP: a JWKS (RFC 7517 section 5).

Rules:

* Fetched when the gateway serves, then again before they are old; while that fails, again and again, ever more rarely.
* The last good set stays in use for as long as it takes, over a restart too where there is a `state_dir`. A set that is
  refused (not JSON, too large, too many keys, none that fits) replaces nothing.
* A token with an unknown kid may ask for a fetch: one goes out however many ask, and after it none for a while.
* Nothing in a token says where keys are.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from gwproxy.calls import Calls
from gwproxy.runtime.meters import Meters
from gwproxy.runtime.waiting import Waiting
from gwproxy.tokens.keys import KeySet, keys_from_jwks
from gwproxy.tokens.provider import OUTCOMES, Fetched, FetchFailed, Provider
from gwproxy.tokens.saved import Saved, SavedKeys

MAX_KEYS: Final = 100
# A provider that calls its keys old sooner is not asked sooner.
SHORTEST_REFRESH: Final = 30.0
FIRST_BACKOFF: Final = 1.0
LONGEST_BACKOFF: Final = 60.0
# Keys that are as they were are saved this rarely: only their age is news.
SAVE_INTERVAL: Final = 60.0

_log = Logger(namespace="gwproxy")


class Around(Protocol):
    """What a source needs of the process: a FilterContext has it."""

    @property
    def name(self) -> str: ...
    @property
    def reactor(self) -> IReactorTime: ...
    @property
    def keep(self) -> Callable[[tuple[object, ...], Callable[[], Any]], Any]: ...
    @property
    def meters(self) -> Meters: ...
    @property
    def wall(self) -> Callable[[], float]: ...
    @property
    def calls(self) -> Calls: ...
    @property
    def state_dir(self) -> Path | None: ...
    @property
    def in_thread(self) -> Callable[..., Deferred[Any]]: ...


def jwks_source(
    around: Around,
    *,
    algorithms: Iterable[str],
    url: str = "",
    issuer: str = "",
    refresh: float = 300.0,
    min_interval: float = 1.0,
    timeout: float = 5.0,
    ca_file: Path | None = None,
) -> JwksSource:
    """The kept source of keys at `url` (a secure_url), or of the `issuer` (a secure_url) whose discovery document says
    where they are. One of the two. `refresh`: seconds after which they are fetched again at the latest;
    `min_interval`: seconds between two fetches however many requests ask; `timeout`: seconds for one fetch."""
    if bool(url) == bool(issuer):
        raise ValueError("either url or issuer")
    wanted = frozenset(algorithms)

    def make() -> JwksSource:
        provider = Provider(
            around.calls, around.reactor.seconds, url=url, issuer=issuer, timeout=timeout, ca_file=ca_file
        )
        saved = None if around.state_dir is None else SavedKeys(around.state_dir, issuer or url, around.in_thread)
        read = partial(keys_from_jwks, algorithms=wanted, max_keys=MAX_KEYS)
        return JwksSource(around, provider, read, saved, refresh=refresh, min_interval=min_interval)

    key = ("jwks", around.name, url, issuer, wanted, refresh, min_interval, timeout, ca_file, around.state_dir)
    source: JwksSource = around.keep(key, make)
    return source


class JwksSource:
    """A KeySource (keys.py) and a Worker (runtime/keep.py)."""

    def __init__(
        self,
        around: Around,
        provider: Provider,
        read: Callable[[Any], KeySet],
        saved: SavedKeys | None = None,
        *,
        refresh: float = 300.0,
        min_interval: float = 1.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`read` makes keys of a document, or raises ValueError. `jitter` gives numbers from 0 to 1: gateways that were
        started together do not ask together."""
        self.current: KeySet | None = None
        self._name = around.name
        self._reactor = around.reactor
        self._wall = around.wall
        self._provider = provider
        self._read = read
        self._saved = saved
        self._refresh = refresh
        self._min_interval = min_interval
        self._jitter = jitter
        self._running = False
        self._busy = False
        self._fetching: Deferred[Any] | None = None
        self._began = -math.inf
        self._fetched = -math.inf
        self._written = -math.inf
        self._failures = 0
        self._timer: IDelayedCall | None = None
        self._waiting: Waiting[KeySet | None] = Waiting()
        self._measure(around.meters)

    def __repr__(self) -> str:
        return f"<JwksSource {self._name} keys={len(self.current.keys) if self.current else 0}>"

    def _measure(self, meters: Meters) -> None:
        self._outcomes = {
            outcome: meters.counter("jwks_fetches", "Fetches of keys.", filter=self._name, outcome=outcome)
            for outcome in OUTCOMES
        }
        age = "Seconds since the keys in use were fetched; +Inf: there are none."
        meters.gauge("jwks_age_seconds", age, lambda: self._reactor.seconds() - self._fetched, filter=self._name)
        count = "Keys in use, of those that a provider publishes."
        meters.gauge("jwks_keys", count, lambda: len(self.current.keys) if self.current else 0, filter=self._name)

    # Worker

    def start(self) -> None:
        """Takes what was saved, and fetches."""
        self._running = True
        saved = self._saved.read() if self._saved is not None else None
        if saved is not None:
            try:
                self.current = self._keys(saved.document)
            except FetchFailed as failed:
                _log.warn(
                    "{file} is not used: {reason}", file=str(self._saved and self._saved.path), reason=str(failed)
                )
            else:
                self._fetched = self._reactor.seconds() - max(0.0, self._wall() - saved.fetched)
        self._fetch()

    def stop(self) -> None:
        """Ends the fetch under way; who waits for it hears that there is nothing new."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._fetching is not None:
            self._fetching.cancel()
        self._waiting.tell(None)

    # KeySource

    def refetch(self) -> Deferred[KeySet | None] | None:
        """Newer keys, once they are here, for a kid that `current` does not have; the Deferred gives None if they
        cannot be had. None at once: they were asked for less than `min_interval` ago, or the gateway does not serve."""
        if not self._running:
            return None
        if not self._busy and self._reactor.seconds() - self._began < self._min_interval:
            return None
        waiting = self._waiting.join()
        if not self._busy:
            self._fetch()
        return waiting

    # Fetching

    def _fetch(self) -> None:
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
        self._began = self._reactor.seconds()
        self._busy = True
        fetching = self._provider.fetch()
        fetching.addCallback(self._take).addErrback(self._fail).addErrback(self._log_bug)
        if self._busy:  # it may be answered already
            self._fetching = fetching

    def _keys(self, document: Any) -> KeySet:
        try:
            return self._read(document)
        except ValueError as error:
            raise FetchFailed("document", f"what was fetched {error}") from None

    def _take(self, fetched: Fetched) -> None:
        keys = self._keys(fetched.document)
        now = self._reactor.seconds()
        self._outcomes["ok"].value += 1
        changed = keys != self.current
        if changed or self._failures:
            _log.info("the keys of [filter:{name}] are here: {count}", name=self._name, count=len(keys.keys))
        if changed:  # the same object for the same keys
            self.current = keys
        self._fetched, self._failures = now, 0
        if self._saved is not None and (changed or now - self._written >= SAVE_INTERVAL):
            self._written = now
            self._saved.write(Saved(fetched.document, self._wall()))
        age = self._refresh if fetched.max_age is None else max(SHORTEST_REFRESH, fetched.max_age)
        self._end(min(self._refresh, age), self.current)

    def _fail(self, failure: Failure) -> None:
        if failure.check(CancelledError) and not self._running:
            return
        failure.trap(FetchFailed)
        error: Any = failure.value
        self._outcomes[error.outcome].value += 1
        if not self._failures:
            kept = "those that are here stay in use" if self.current else "there are none"
            _log.error(
                "the keys of [filter:{name}] cannot be fetched: {why}; {kept}",
                name=self._name,
                why=str(error),
                kept=kept,
            )
        self._failures += 1
        # 2 ** 10 is beyond the longest, and the number of failures has no bound
        backoff = FIRST_BACKOFF * 2.0 ** min(self._failures - 1, 10)
        self._end(min(backoff, LONGEST_BACKOFF, self._refresh), None)

    def _log_bug(self, failure: Failure) -> None:
        _log.failure("the keys of [filter:{name}] cannot be read", failure, name=self._name)
        self._end(LONGEST_BACKOFF, None)

    def _end(self, delay: float, newer: KeySet | None) -> None:
        """A fetch is over; the next is due after `delay` seconds, or up to a fifth sooner."""
        self._busy, self._fetching = False, None
        if self._running:
            self._timer = self._reactor.callLater(delay * (1.0 - 0.2 * self._jitter()), self._fetch)
        self._waiting.tell(newer)
