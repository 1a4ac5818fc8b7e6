"""What a filter that can deny says of its decisions: counted, in the security log, and without effect in shadow mode.

`Denial` is the closed list of why; it stands in logs, in error bodies and in docs/logs.md. `Event` is what the security
log calls it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from gwproxy.config.options import option
from gwproxy.config.values import choice
from gwproxy.errors import Reason
from gwproxy.filters.api import Exchange, FilterContext, Header, Reply
from gwproxy.runtime.meters import Counter


class Mode(StrEnum):
    """Whether a denial has an effect."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


class Event(StrEnum):
    """The `event` of a line in the security log."""

    AUTH_FAILED = "auth_failed"
    FORBIDDEN = "forbidden"
    IP_DENIED = "ip_denied"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    BODY_REFUSED = "body_refused"
    CORS_DENIED = "cors_denied"
    CSRF_DENIED = "csrf_denied"
    CHECK_FAILED = "check_failed"  # who could tell did not answer, whatever became of the request


class Denial(StrEnum):
    """Why a built-in filter denied a request. A closed list."""

    # who is it: 401
    NO_CREDENTIALS = "no_credentials"  # nothing was presented
    SEVERAL_CREDENTIALS = "several_credentials"  # two Authorization fields, or two ways at once
    TOKEN_MALFORMED = "token_malformed"
    TOKEN_ALGORITHM = "token_algorithm"  # not one of the configured
    TOKEN_KEY = "token_key"  # no key of ours with that kid, or not for that algorithm
    TOKEN_SIGNATURE = "token_signature"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_NOT_YET = "token_not_yet"  # nbf or iat in the future
    TOKEN_ISSUER = "token_issuer"
    TOKEN_AUDIENCE = "token_audience"
    TOKEN_CLAIM = "token_claim"  # a required claim is missing, or of the wrong type
    TOKEN_CRITICAL = "token_critical"  # crit names what we do not know, or typ is another
    TOKEN_INACTIVE = "token_inactive"  # introspection says so
    TOKEN_REVOKED = "token_revoked"
    KEY_UNKNOWN = "key_unknown"  # an API key that is none, expired or revoked
    KEY_EXPIRED = "key_expired"
    CREDENTIALS_MALFORMED = "credentials_malformed"  # Basic: no base64, no UTF-8, no colon, control characters
    BAD_PASSWORD = "bad_password"  # or no such user: nobody is told which
    # who could tell does not answer: 503
    KEYS_UNAVAILABLE = "keys_unavailable"  # no JWKS yet
    AUTHORITY_UNAVAILABLE = "authority_unavailable"  # introspection, forward_auth
    STORE_UNAVAILABLE = "store_unavailable"
    # may they: 403 (401 where nobody is logged in)
    NOT_LOGGED_IN = "not_logged_in"
    CLAIM_DENIED = "claim_denied"
    SCOPE_DENIED = "scope_denied"
    IP_DENIED = "ip_denied"
    AUTHORITY_DENIED = "authority_denied"  # forward_auth: the other service's own answer
    ORIGIN_DENIED = "origin_denied"
    # how much
    RATE_LIMIT = "rate_limit"  # 429
    CONCURRENCY_LIMIT = "concurrency_limit"  # 503
    BODY_LIMIT = "body_limit"  # 413
    # what is in it
    BODY_NOT_JSON = "body_not_json"  # 400
    BODY_TOO_DEEP = "body_too_deep"  # 400
    BODY_TOO_MANY_KEYS = "body_too_many_keys"  # 400
    BODY_TOO_MANY_VALUES = "body_too_many_values"  # 400
    BODY_KEY_TWICE = "body_key_twice"  # 400
    BODY_SCHEMA = "body_schema"  # 422
    BODY_TYPE = "body_type"  # 415


UNAVAILABLE: Final = frozenset({Denial.KEYS_UNAVAILABLE, Denial.AUTHORITY_UNAVAILABLE, Denial.STORE_UNAVAILABLE})
_CHECK_FAILED: Final = str(Event.CHECK_FAILED)


class OnError(StrEnum):
    """What becomes of a request when who could tell does not answer."""

    DENY = "deny"
    ALLOW = "allow"


def mode_option() -> Mode:
    """The option `mode`, which every filter that can deny has."""
    return option(
        choice(Mode),
        default=Mode.ENFORCE,
        doc="enforce, or shadow: decide, count and log, and let pass.",
    )


class Decisions:
    """One filter's decisions. `allowed.value += 1` counts that a request may pass; `deny()` does all there is to do."""

    __slots__ = ("_denied", "_event", "_failed", "_name", "_report", "_seconds", "_silent_until", "allowed", "mode")

    def __init__(self, context: FilterContext, mode: Mode, event: Event) -> None:
        """`event`: what a denial is in the security log."""

        def counter(decision: str) -> Counter:
            return context.meters.counter(
                "filter_decisions", "Decisions of filters.", filter=context.name, decision=decision, mode=str(mode)
            )

        self._name = context.name
        self._event = str(event)
        self._report = context.report
        self._seconds = context.reactor.seconds
        self._silent_until = 0.0
        self.mode = mode
        self.allowed = counter("allow")
        self._denied = counter("deny")
        self._failed = counter("error")

    def deny(
        self,
        exchange: Exchange,
        denial: Denial,
        status: int,
        headers: Iterable[Header] = (),
        *,
        reply: Reply | None = None,
    ) -> Reply | None:
        """Counts and logs a denial. What on_request should return: in shadow mode None.

        The reply is the error page of `status` with `headers`, or `reply` where the filter has one of its own.
        """
        self._denied.value += 1
        event = _CHECK_FAILED if denial in UNAVAILABLE else self._event
        self._report(exchange, event, filter=self._name, reason=str(denial), mode=str(self.mode))
        if self.mode is Mode.SHADOW:
            return None
        exchange.filter_name = self._name  # a denial may come later than from on_request: of a body, say
        return reply or Reply(status, list(headers), reason=Reason.FILTER, detail=str(denial))

    def could_not(self, exchange: Exchange, denial: Denial) -> None:
        """Counts that who could tell did not answer, where the configuration lets the request pass then. Logs it at
        most once a second: it goes for all requests alike."""
        self._failed.value += 1
        now = self._seconds()
        if now >= self._silent_until:
            self._silent_until = now + 1
            self._report(exchange, _CHECK_FAILED, filter=self._name, reason=str(denial), mode=str(self.mode))
