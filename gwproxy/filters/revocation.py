"""The filter type `revocation`: tokens that are good and yet no more to be accepted, by a file, a store, or both.

Rules:

* It stands behind the filter that verified the token, and asks about its claims `jti`, `sub` and `iat`. Who is not
  logged in passes: whether somebody must be is for others to say.
* The file (`revoked.py`) is read again when it changes. A new content with a mistake changes nothing.
* The store is asked with one round trip, and what it says is believed for `cache_ttl`. Without its answer nobody knows
  whether a token is revoked: unless `on_store_error` says otherwise, it does not pass (503).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from gwproxy.config.mistakes import ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.values import choice, duration, file, token
from gwproxy.filters.api import Exchange, FilterContext, Header, IRequestFilter, Reply, Traits, Verdict
from gwproxy.filters.bearer import challenge
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, OnError, mode_option
from gwproxy.filters.keys import short
from gwproxy.filters.revoked import RevokedTokens, Token, read_revoked
from gwproxy.runtime.recent import Recent
from gwproxy.runtime.watched import WatchedFile
from gwproxy.store.redis import Store, StoreFailed

MOST_KNOWN: Final = 10_000
_DEFAULT_TTL: Final = 1.0

# KEYS: of the jti, of the sub, of all tokens' date, of the sub's. ARGV: when the token was issued.
# A date that is none revokes: whoever wrote it wanted to revoke something, and sees at once that all is.
SCRIPT: Final = """\
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return 1 end
for i = 3, 4 do
  local date = redis.call('GET', KEYS[i])
  if date and not (tonumber(ARGV[1]) >= (tonumber(date) or math.huge)) then return 1 end
end
return 0
"""


@attrs.frozen
class Options:
    """`[filter:NAME] type = revocation`. A file, a store, or both."""

    file: Path | None = option(file, default=None, doc="The list of revoked tokens, read again when it changes.")
    store: str | None = option(token, default=None, metavar="NAME", doc="A [store:NAME] with a list for all gateways.")
    cache_ttl: float = option(
        duration, default=_DEFAULT_TTL, doc="How long an answer of the store holds for a token; 0: for one request."
    )
    on_store_error: OnError = option(
        choice(OnError),
        default=OnError.DENY,
        doc="Without an answer of the store: deny answers 503, allow lets pass what the file does not refuse.",
    )
    mode: Mode = mode_option()

    def check_options(self) -> None:
        """Something must say what is revoked."""
        if self.file is None and self.store is None:
            raise ConfigMistake("needs a file or a store")
        if self.store is None and self.on_store_error is not OnError.DENY:
            raise ConfigMistake("on_store_error needs a store", "on_store_error")
        if self.store is None and self.cache_ttl != _DEFAULT_TTL:
            raise ConfigMistake("cache_ttl needs a store", "cache_ttl")


def traits(options: Options) -> Traits:
    """It asks about who is logged in."""
    return Traits(needs_principal=True)


class StoredRevocations:
    """What a store says, remembered for a while; bounded."""

    __slots__ = ("_known", "_seconds", "_store", "_ttl")

    def __init__(self, store: Store, ttl: float, seconds: Callable[[], float]) -> None:
        self._store = store
        self._ttl = ttl
        self._seconds = seconds
        # By token: until when it is known, and whether it is revoked.
        self._known: Recent[tuple[str, str, float], tuple[float, bool]] = Recent(MOST_KNOWN)

    def known(self, token: Token) -> bool | None:
        """Whether it is revoked, if that is known."""
        known = self._known.get(_key(token))
        return known[1] if known is not None and self._seconds() < known[0] else None

    def ask(self, token: Token) -> Deferred[bool] | None:
        """Whether it is revoked; None if the store cannot be asked now. Fails with StoreFailed."""
        store = self._store
        if not store.available:
            return None
        keys = (
            f"revoked:jti:{token.jti}",
            f"revoked:sub:{token.sub}",
            "revoked:before",
            f"revoked:before:{token.sub}",
        )
        return store.run(SCRIPT, keys, (repr(token.issued),)).addCallback(self._answered, _key(token))

    def _answered(self, answer: Any, key: tuple[str, str, float]) -> bool:
        revoked = bool(answer)
        if self._ttl:
            self._known.put(key, (self._seconds() + self._ttl, revoked))
        return revoked


def _key(token: Token) -> tuple[str, str, float]:
    return short(token.jti), short(token.sub), token.issued


@implementer(IRequestFilter)
class RevocationFilter:
    """Asks the file first, for it costs nothing."""

    def __init__(
        self,
        options: Options,
        context: FilterContext,
        watched: WatchedFile[RevokedTokens] | None,
        stored: StoredRevocations | None,
    ) -> None:
        self._file = watched
        self._stored = stored
        self._allows_unknown = options.on_store_error is OnError.ALLOW
        self._wall = context.wall
        self._decisions = Decisions(context, options.mode, Event.AUTH_FAILED)
        self._allowed = self._decisions.allowed
        # RFC 6750 section 3.1
        self._challenge: list[Header] = [challenge(error="invalid_token", description="the token was revoked")]

    def on_request(self, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        principal = exchange.principal
        if principal is None:
            self._allowed.value += 1
            return None
        token = Token(principal.claims, principal.subject)
        if self._file is not None and self._file.value.has(token, self._wall()):
            return self._refuse(exchange)
        if self._stored is None:
            self._allowed.value += 1
            return None
        return self._ask(self._stored, token, exchange)

    def _ask(self, stored: StoredRevocations, token: Token, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        revoked = stored.known(token)
        if revoked is not None:
            return self._answered(revoked, exchange)
        asked = stored.ask(token)
        if asked is None:
            return self._unknown(exchange)
        return asked.addCallbacks(self._answered, self._failed, callbackArgs=(exchange,), errbackArgs=(exchange,))

    def _answered(self, revoked: bool, exchange: Exchange) -> Verdict:
        if revoked:
            return self._refuse(exchange)
        self._allowed.value += 1
        return None

    def _failed(self, failure: Failure, exchange: Exchange) -> Verdict:
        failure.trap(StoreFailed)
        return self._unknown(exchange)

    def _unknown(self, exchange: Exchange) -> Verdict:
        if self._allows_unknown:
            self._decisions.could_not(exchange, Denial.STORE_UNAVAILABLE)
            return None
        return self._decisions.deny(exchange, Denial.STORE_UNAVAILABLE, 503, [(b"Retry-After", b"1")])

    def _refuse(self, exchange: Exchange) -> Reply | None:
        return self._decisions.deny(exchange, Denial.TOKEN_REVOKED, 401, self._challenge)


def factory(options: Options, context: FilterContext) -> RevocationFilter:
    """Raises ConfigMistake for a file that cannot be read or has a mistake, with its line, and for a missing store."""
    watched: WatchedFile[RevokedTokens] | None = None
    if options.file is not None:
        watched = context.watched_file(options.file, read_revoked)
    stored: StoredRevocations | None = None
    if options.store is not None:
        stored = StoredRevocations(context.store(options.store), options.cache_ttl, context.reactor.seconds)
    return RevocationFilter(options, context, watched, stored)
