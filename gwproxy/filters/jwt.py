"""The filter type `jwt`: lets in who has a signed token (RFC 7519) that the configured keys verify.

Rules:

* The configuration says which algorithms and keys there are; a token chooses among them and brings none of its own
  (RFC 8725 section 3.1). Shared secrets and public keys do not stand in one filter.
* What a token says is judged by `gwproxy.tokens.verify`. One that was verified is found again by its hash, for as long
  as it is good and the keys are the same ones; there is no way past the checks of dates.
* Fields that `claims_to_headers` names are taken out of every request first, by the chain, whatever becomes of it.
* Only a token with a kid that no key has may wait for newer keys, and only as often as their source allows.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from twisted.internet.defer import Deferred
from zope.interface import implementer

from gwproxy.config.mistakes import ConfigMistake
from gwproxy.filters.api import Exchange, FilterContext, Header, IRequestFilter, Principal, Reply, Traits
from gwproxy.filters.bearer import Challenges, bearer_token
from gwproxy.filters.claim_fields import ClaimFields
from gwproxy.filters.decision import Decisions, Denial, Event
from gwproxy.filters.jwt_options import FETCHED, Options
from gwproxy.filters.vouched import VouchedFields
from gwproxy.http.headers import Headers
from gwproxy.tokens.files import READERS, FileKeys, FixedKeys
from gwproxy.tokens.jwks import jwks_source
from gwproxy.tokens.keys import KeySet, KeySource, keys_from_secret
from gwproxy.tokens.verified import VerifiedTokens
from gwproxy.tokens.verify import Policy, TokenRefused, Verifier

_RETRY_AFTER: Final[list[Header]] = [(b"Retry-After", b"5")]

# What a verified token stands for: who, and the fields that say so.
_Known = tuple[Principal, list[Header]]

_Answer = Reply | Coroutine[Any, Any, Reply | None] | None


@implementer(IRequestFilter)
class JwtFilter:
    """Verifies tokens, most of them by finding them again."""

    __slots__ = (
        "_challenges",
        "_claim_fields",
        "_decisions",
        "_known",
        "_optional",
        "_source",
        "_strip",
        "_token",
        "_verifier",
        "_wall",
        "vouched",
    )

    def __init__(
        self,
        options: Options,
        context: FilterContext,
        source: KeySource,
        verifier: Verifier,
        known: VerifiedTokens[_Known],
    ) -> None:
        self._source = source
        self._verifier = verifier
        self._known = known
        self._claim_fields = ClaimFields(options.claims_to_headers)
        self.vouched = self._claim_fields.vouched
        self._strip = self.vouched.strip if self.vouched else None
        self._token = _reader(options.header)
        self._optional = options.optional
        self._challenges = Challenges(options.realm)
        self._decisions = Decisions(context, options.mode, Event.AUTH_FAILED)
        self._wall = context.wall

    def on_request(self, exchange: Exchange) -> _Answer:
        headers = exchange.headers
        token = self._token(headers)
        if token.__class__ is not bytes:
            return self._without(exchange, token)
        keys = self._source.current
        if keys is None:
            waiting = self._source.refetch()
            return self._no_keys(exchange) if waiting is None else self._judge_later(exchange, token, waiting)
        found = self._known.find(token, keys, self._wall())
        if found is None:
            return self._judge(exchange, token, keys)
        exchange.principal, fields = found
        if self._strip is not None:
            self._strip(headers)
            headers += fields
        self._decisions.allowed.value += 1
        return None

    def _without(self, exchange: Exchange, denial: Denial | None) -> Reply | None:
        if denial is not None:
            return self._deny(exchange, denial)
        if not self._optional:
            return self._deny(exchange, Denial.NO_CREDENTIALS)
        self._decisions.allowed.value += 1
        return None

    def _judge(self, exchange: Exchange, token: bytes, keys: KeySet) -> _Answer:
        try:
            self._accept(exchange, token, keys)
        except TokenRefused as refused:
            waiting = self._source.refetch() if refused.unknown_kid else None
            if waiting is not None:
                return self._judge_later(exchange, token, waiting)
            return self._deny(exchange, Denial(refused.refusal))
        return None

    async def _judge_later(self, exchange: Exchange, token: bytes, waiting: Deferred[KeySet | None]) -> Reply | None:
        """With the keys that are there after a fetch, whatever came of it."""
        await waiting
        keys = self._source.current
        if keys is None:
            return self._no_keys(exchange)
        try:
            self._accept(exchange, token, keys)
        except TokenRefused as refused:
            return self._deny(exchange, Denial(refused.refusal))
        return None

    def _accept(self, exchange: Exchange, token: bytes, keys: KeySet) -> None:
        """Lets pass who has this token, if it is good. Raises TokenRefused."""
        verified = self._verifier.verify(token, keys, self._wall())
        claims = verified.claims
        principal = Principal(claims.get("sub", ""), claims, claims.get("iss", ""), "jwt")
        fields = self._claim_fields.fields(claims)
        self._known.add(token, keys, verified.begins, verified.ends, (principal, fields))
        exchange.principal = principal
        if self._strip is not None:
            self._strip(exchange.headers)
            exchange.headers += fields
        self._decisions.allowed.value += 1

    def _no_keys(self, exchange: Exchange) -> Reply | None:
        return self._decisions.deny(exchange, Denial.KEYS_UNAVAILABLE, 503, _RETRY_AFTER)

    def _deny(self, exchange: Exchange, denial: Denial) -> Reply | None:
        return self._decisions.deny(exchange, denial, 401, self._challenges[denial])


def _reader(header: bytes) -> Callable[[Headers], Any]:
    """A function of a request's fields that gives its token, None, or the Denial of those that it has."""
    if header.lower() == b"authorization":
        return bearer_token
    # Servers that take `X_Token` for `X-Token` would read the one that nobody verified.
    twins = VouchedFields([header])

    def read(headers: Headers) -> bytes | Denial | None:
        values = [value for name, value in headers if name in twins]
        if len(values) > 1:
            return Denial.SEVERAL_CREDENTIALS
        if not values or values[0][:7].lower() == b"bearer ":
            return bearer_token([(b"Authorization", value) for value in values])
        return values[0] or Denial.TOKEN_MALFORMED

    return read


def traits(options: Options) -> Traits:
    """What it means for the rest of a chain."""
    vouched = tuple(name for _, name in options.claims_to_headers)
    return Traits(identifies=True, costly=True, vouches_for=vouched, judges=(options.header,))


def factory(options: Options, context: FilterContext) -> JwtFilter:
    """Raises ConfigMistake for keys that cannot be used."""
    policy = Policy(
        algorithms=frozenset(options.algorithms),
        issuers=frozenset(options.issuer),
        audiences=frozenset(options.audience),
        leeway=options.leeway,
        required_claims=options.required_claims,
        typ=options.typ,
        max_size=options.max_token_size,
    )
    source = _source(options, policy.algorithms, context)
    known = context.keep(
        ("jwt", source, policy, options.claims_to_headers, options.cache_size),
        lambda: VerifiedTokens(options.cache_size),
    )
    return JwtFilter(options, context, source, Verifier(policy), known)


def _source(options: Options, algorithms: frozenset[str], context: FilterContext) -> KeySource:
    """Where the keys come from: kept, so that the tokens that they verified can be."""
    kind = options.source
    if kind in FETCHED:
        return jwks_source(
            context,
            algorithms=algorithms,
            url=options.jwks_url,
            issuer=options.issuer[0] if options.discover else "",
            refresh=options.jwks_refresh,
            timeout=options.jwks_timeout,
            ca_file=options.jwks_ca_file,
        )
    try:
        if kind == "secret":
            keys = keys_from_secret(options.secret.encode(), algorithms)
            fixed: FixedKeys = context.keep(("keys", keys), lambda: FixedKeys(keys))
            return fixed
        path, read = getattr(options, kind), READERS[kind]
        made: FileKeys = context.keep(
            ("keys", kind, path, algorithms),
            lambda: FileKeys(path, lambda data: read(data, algorithms), context.reactor),
        )
    except ValueError as error:
        raise ConfigMistake(f"{kind}: {error}", kind) from None
    return made
