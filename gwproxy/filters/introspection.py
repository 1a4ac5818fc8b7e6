"""The filter type `introspection`: lets in who has a token that an authorisation server calls active (RFC 7662).

Rules:

* One question is under way for a token, however many requests bring it; and so many at a time for all of them.
* What was answered is good for `cache_ttl`, and never beyond the token's `exp`; that a token is not active, for
  `negative_ttl`. Neither can push the other out: a flood of bad tokens leaves the good ones where they are.
* An authority that cannot tell (down, slow, an error, an answer that is none) lets nobody in, unless `on_error` says
  so: then they come in as nobody.
* Fields that `claims_to_headers` names are taken out of every request first, whatever becomes of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from gwproxy.calls import ca_file, secure_url
from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.values import boolean, choice, duration, integer, list_of, plain, positive_duration, size, text
from gwproxy.filters.api import Exchange, FilterContext, Header, IRequestFilter, Principal, Reply, Traits
from gwproxy.filters.bearer import Challenges, bearer_token, well_formed
from gwproxy.filters.claim_fields import ClaimFields, ClaimToField, claims_to_headers
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, OnError, mode_option
from gwproxy.filters.realm import realm
from gwproxy.runtime.waiting import Waiting
from gwproxy.tokens.introspection import Authority, CannotTell, ClientAuth
from gwproxy.tokens.remembered import Remembered

_RETRY_AFTER: Final[list[Header]] = [(b"Retry-After", b"5")]
# The end of the year 9999: a date beyond it is none, but milliseconds, say.
_LAST_DATE: Final = 253_402_300_799

_log = Logger(namespace="gwproxy")


def _parse_credential(given: str) -> str:
    if not given or not given.isprintable():
        raise BadValue("must be one line of printable characters, and not empty")
    return given


_credential: Final = plain("text", _parse_credential)


@attrs.frozen
class Options:
    """`[filter:NAME] type = introspection`."""

    url: str = option(
        secure_url, doc="The introspection endpoint of the authorisation server. https, or a loopback address."
    )
    client_id: str = option(_credential, doc="Who the gateway is there.")
    client_secret: str = option(_credential, secret=True, doc="Its secret there: ${file:PATH} or ${NAME} reads it.")
    client_auth: ClientAuth = option(
        choice(ClientAuth),
        default=ClientAuth.BASIC,
        doc="basic: id and secret in an Authorization header; post: in the form.",
    )
    ca_file: Path | None = option(
        ca_file, default=None, doc="Certificates to trust instead of the system's when the endpoint is asked."
    )
    timeout: float = option(positive_duration, default=2.0, doc="How long one question may take.")
    max_calls: int = option(
        integer(1, 10_000),
        default=256,
        doc="How many questions may be under way at once; beyond that, nobody can tell (on_error).",
    )
    on_error: OnError = option(
        choice(OnError),
        default=OnError.DENY,
        doc="When the endpoint does not answer, or not as it should: deny with 503, or allow the request, as nobody.",
    )
    cache_ttl: float = option(
        duration,
        default=30.0,
        doc="How long an answer is good: so long may a revoked token still pass. Never beyond the token's exp.",
    )
    negative_ttl: float = option(
        duration, default=5.0, doc="How long a token that is not active is refused without asking."
    )
    cache_size: int = option(
        integer(0, 1_000_000), default=10_000, doc="How many tokens are remembered of each kind, by their hash."
    )
    issuer: tuple[str, ...] = option(
        list_of(text), default=(), doc="The answer must name one of these issuers (iss). Default: any, or none."
    )
    audience: tuple[str, ...] = option(
        list_of(text),
        default=(),
        doc="The token must be for one of these (aud). Default: any, also tokens that were made for other services.",
    )
    leeway: float = option(duration, default=30.0, doc="How far clocks may be apart when exp and nbf are compared.")
    max_token_size: int = option(
        size(256), default=16 << 10, doc="Larger tokens are refused without asking: the server might refuse to answer."
    )
    realm: str = option(realm, default="api", doc="What the challenge of a 401 calls the protected space.")
    optional: bool = option(
        boolean, default=False, doc="Let requests without a token pass, as nobody. A bad token is refused all the same."
    )
    claims_to_headers: tuple[ClaimToField, ...] = option(
        claims_to_headers,
        default=(),
        doc="Members of the answer that go upstream as headers: sub: X-User-Id, client_id: X-Client. What a client "
        "sends under these names is always removed.",
    )
    mode: Mode = mode_option()

    def check_options(self) -> None:
        """Raises ConfigMistake."""
        if any(name.lower() == b"authorization" for _, name in self.claims_to_headers):
            raise ConfigMistake("claims_to_headers: the token itself stands in that header", "claims_to_headers")
        if self.leeway > 3600:
            raise ConfigMistake("leeway: must be 1h or less", "leeway")


# What an active token stands for: who, and the fields that say so.
Known = tuple[Principal, list[Header]]
# None: nobody can tell.
Finding = Known | Denial | None


class Introspections:
    """What one endpoint said, and is being asked. To be kept, for all that its meaning depends on."""

    def __init__(self, options: Options, context: FilterContext) -> None:
        self.active: Remembered[Known] = Remembered(options.cache_size)
        self.inactive: Remembered[Denial] = Remembered(options.cache_size)
        self._options = options
        self._name = context.name
        self._authority = Authority(
            context.calls,
            options.url,
            options.client_id,
            options.client_secret,
            auth=options.client_auth,
            timeout=options.timeout,
            ca_file=options.ca_file,
        )
        self._issuers = frozenset(options.issuer)
        self._audiences = frozenset(options.audience)
        self._claim_fields = ClaimFields(options.claims_to_headers)
        self._seconds = context.reactor.seconds
        self._wall = context.wall
        self._asking: dict[bytes, Waiting[Finding]] = {}
        self._failing = False
        self._counters = {
            outcome: context.meters.counter(
                "introspection_calls", "Questions about tokens.", filter=context.name, outcome=outcome
            )
            for outcome in ("active", "inactive", "error")
        }

    def ask(self, token: bytes, digest: bytes) -> Deferred[Finding]:
        """What is to be thought of a token; all who ask for the same one share a call. Its answer is worth having even
        when all of them went away."""
        waiting = self._asking.get(digest)
        if waiting is not None:
            return waiting.join()
        if len(self._asking) >= self._options.max_calls:
            self._note_error("more questions than max_calls are under way")
            return succeed(None)
        waiting = self._asking[digest] = Waiting()
        answer = waiting.join()  # before the call, which may be answered at once
        asked: Deferred[Any] = self._authority.ask(token)
        asked.addCallbacks(self._answered, self._failed, callbackArgs=(digest,)).addErrback(self._log_bug)
        asked.addCallback(lambda finding: self._asking.pop(digest).tell(finding))
        return answer

    def _answered(self, claims: dict[str, Any] | None, digest: bytes) -> Finding:
        self._failing = False
        now, date, options = self._seconds(), self._wall(), self._options
        denial = Denial.TOKEN_INACTIVE if claims is None else self._judge(claims, date)
        if denial is not None or claims is None:
            self._counters["inactive"].value += 1
            refused = denial or Denial.TOKEN_INACTIVE
            self.inactive.add(digest, now + options.negative_ttl, math.inf, refused)
            return refused
        self._counters["active"].value += 1
        principal = Principal(claims.get("sub", ""), claims, claims.get("iss", ""), "introspection")
        known = (principal, self._claim_fields.fields(claims))
        self.active.add(digest, now + options.cache_ttl, claims.get("exp", math.inf), known)
        return known

    def _judge(self, claims: Mapping[str, Any], date: float) -> Denial | None:
        """RFC 7662 section 2.2: members as in a JWT."""
        if not all(isinstance(claims.get(name, ""), str) for name in ("sub", "iss", "jti")):
            return Denial.TOKEN_CLAIM
        if self._issuers and claims.get("iss") not in self._issuers:
            return Denial.TOKEN_ISSUER
        audience = claims.get("aud", [])
        audience = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(each, str) for each in audience):
            return Denial.TOKEN_CLAIM
        if self._audiences and self._audiences.isdisjoint(audience):
            return Denial.TOKEN_AUDIENCE
        if not all(_is_date(claims[name]) for name in ("exp", "nbf") if name in claims):
            return Denial.TOKEN_CLAIM
        if date >= claims.get("exp", math.inf) + self._options.leeway:
            return Denial.TOKEN_EXPIRED
        if date < claims.get("nbf", -math.inf) - self._options.leeway:
            return Denial.TOKEN_NOT_YET
        return None

    def _failed(self, failure: Failure) -> None:
        failure.trap(CannotTell)
        self._note_error(failure.getErrorMessage())

    def _log_bug(self, failure: Failure) -> None:
        _log.failure("an answer about a token for [filter:{name}] cannot be read", failure, name=self._name)
        self._counters["error"].value += 1

    def _note_error(self, why: str) -> None:
        self._counters["error"].value += 1
        if not self._failing:  # said once, until an answer comes
            self._failing = True
            _log.error("[filter:{name}] cannot ask about tokens: {why}", name=self._name, why=why)


def _is_date(value: Any) -> bool:
    # bool is an int; what JSON writes as 1e999 is infinite
    return type(value) in (int, float) and 0 <= value <= _LAST_DATE


@implementer(IRequestFilter)
class IntrospectionFilter:
    """Finds out who a token is for, mostly from memory."""

    __slots__ = (
        "_active",
        "_allow_on_error",
        "_challenges",
        "_decisions",
        "_inactive",
        "_introspections",
        "_max_size",
        "_optional",
        "_seconds",
        "_strip",
        "_wall",
        "vouched",
    )

    def __init__(self, options: Options, context: FilterContext, introspections: Introspections) -> None:
        self._introspections = introspections
        self._active = introspections.active
        self._inactive = introspections.inactive
        self.vouched = ClaimFields(options.claims_to_headers).vouched
        self._strip = self.vouched.strip if self.vouched else None
        self._max_size = options.max_token_size
        self._optional = options.optional
        self._allow_on_error = options.on_error is OnError.ALLOW
        self._challenges = Challenges(options.realm)
        self._decisions = Decisions(context, options.mode, Event.AUTH_FAILED)
        self._seconds = context.reactor.seconds
        self._wall = context.wall

    def on_request(self, exchange: Exchange) -> Reply | Deferred[Reply | None] | None:
        token = bearer_token(exchange.headers)
        if not isinstance(token, bytes):
            return self._without(exchange, token)
        digest = sha256(token).digest()
        seconds, date = self._seconds(), self._wall()
        found: Finding = self._active.find(digest, seconds, date)
        if found is None:
            found = self._inactive.find(digest, seconds, date)
            if found is None:
                if len(token) > self._max_size or not well_formed(token):
                    return self._deny(exchange, Denial.TOKEN_MALFORMED)
                return self._introspections.ask(token, digest).addCallback(self._decide, exchange)
        return self._decide(found, exchange)

    def _without(self, exchange: Exchange, denial: Denial | None) -> Reply | None:
        if denial is not None:
            return self._deny(exchange, denial)
        if not self._optional:
            return self._deny(exchange, Denial.NO_CREDENTIALS)
        self._decisions.allowed.value += 1
        return None

    def _decide(self, finding: Finding, exchange: Exchange) -> Reply | None:
        if finding is None:
            if not self._allow_on_error:
                return self._decisions.deny(exchange, Denial.AUTHORITY_UNAVAILABLE, 503, _RETRY_AFTER)
            self._decisions.could_not(exchange, Denial.AUTHORITY_UNAVAILABLE)
            return None
        if isinstance(finding, Denial):
            return self._deny(exchange, finding)
        exchange.principal, fields = finding
        if self._strip is not None:
            self._strip(exchange.headers)
            exchange.headers += fields
        self._decisions.allowed.value += 1
        return None

    def _deny(self, exchange: Exchange, denial: Denial) -> Reply | None:
        return self._decisions.deny(exchange, denial, 401, self._challenges[denial])


def traits(options: Options) -> Traits:
    """What it means for the rest of a chain."""
    return Traits(identifies=True, costly=True, vouches_for=tuple(name for _, name in options.claims_to_headers))


def factory(options: Options, context: FilterContext) -> IntrospectionFilter:
    """State is kept by name too: it counts and logs under it."""
    kept: Introspections = context.keep(
        ("introspection", context.name, options), lambda: Introspections(options, context)
    )
    return IntrospectionFilter(options, context, kept)
