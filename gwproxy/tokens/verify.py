"""Judges one signed token (RFC 7515, RFC 7519): its bytes and the keys become claims, or a TokenRefused.

What a token says of itself chooses among what the configuration allows, and nothing else: `alg` must be configured,
`kid` is looked up among the keys there are, and `jku`, `jwk`, `x5u`, `x5c` are never read (RFC 8725 section 3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import attrs

from gwproxy.tokens.compact import Malformed, base64url, claims_of, header_of
from gwproxy.tokens.keys import MAX_KID, KeySet

# The end of the year 9999: a date beyond it is none, but milliseconds, say.
_LAST_DATE: Final = 253_402_300_799

# What a token that is a JWT may call itself, lower case and without `application/` (RFC 7515 section 4.1.9).
_USUAL_TYPES: Final = frozenset({None, "jwt", "at+jwt"})

_MAX_TYPE: Final = 64


class Refusal(StrEnum):
    """Why a token is refused. A closed list, part of `gwproxy.filters.decision.Denial`."""

    MALFORMED = "token_malformed"
    ALGORITHM = "token_algorithm"
    KEY = "token_key"
    SIGNATURE = "token_signature"
    EXPIRED = "token_expired"
    NOT_YET = "token_not_yet"
    ISSUER = "token_issuer"
    AUDIENCE = "token_audience"
    CLAIM = "token_claim"
    CRITICAL = "token_critical"


class TokenRefused(Exception):
    """A token that is not accepted. `unknown_kid`: newer keys, if there are any, might verify it."""

    def __init__(self, refusal: Refusal, unknown_kid: bool = False) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.unknown_kid = unknown_kid


@attrs.frozen
class Policy:
    """All that a verdict depends on besides the keys and the date."""

    algorithms: frozenset[str]
    issuers: frozenset[str] = frozenset()  # empty: any, or none
    audiences: frozenset[str] = frozenset()  # empty: any, or none
    leeway: float = 30.0  # seconds
    required_claims: tuple[str, ...] = ("exp",)
    typ: str = ""  # the only one; empty: JWT, at+jwt or none
    max_size: int = 16 << 10  # bytes


@attrs.frozen
class Verified:
    """A good token: its claims, and the seconds since 1970 between which it is one, leeway included."""

    claims: Mapping[str, Any]
    begins: float
    ends: float


class Verifier:
    """Judges tokens by one policy."""

    __slots__ = ("_leeway", "_policy", "_types")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._leeway = policy.leeway
        self._types = frozenset({_plain_type(policy.typ)}) if policy.typ else _USUAL_TYPES

    def verify(self, token: bytes, keys: KeySet, now: float) -> Verified:
        """Judges `token` at `now`, seconds since 1970. Raises TokenRefused."""
        if len(token) > self._policy.max_size:
            raise TokenRefused(Refusal.MALFORMED)
        parts = token.split(b".", 3)
        if len(parts) != 3:
            raise TokenRefused(Refusal.MALFORMED)
        try:
            header = header_of(parts[0])
            signature = base64url(parts[2])
        except Malformed:
            raise TokenRefused(Refusal.MALFORMED) from None
        algorithm, kid = self._read_header(header)
        message = token[: len(parts[0]) + 1 + len(parts[1])]
        _check_signature(keys, kid, algorithm, message, signature)
        try:
            claims = claims_of(parts[1])
        except Malformed:
            raise TokenRefused(Refusal.MALFORMED) from None
        return self._judge(claims, now)

    def _read_header(self, header: dict[str, Any]) -> tuple[str, str | None]:
        """Algorithm and kid, once nothing in the header speaks against the token."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._policy.algorithms:
            raise TokenRefused(Refusal.ALGORITHM)
        # RFC 7515 section 4.1.11: extensions that must be understood; none is. RFC 7797: the payload as it is.
        if "crit" in header or header.get("b64", True) is not True:
            raise TokenRefused(Refusal.CRITICAL)
        self._check_type(header.get("typ"))
        if kid is not None and not isinstance(kid, str):
            raise TokenRefused(Refusal.MALFORMED)
        if kid is not None and len(kid) > MAX_KID:
            raise TokenRefused(Refusal.KEY)
        return algorithm, kid

    def _check_type(self, typ: Any) -> None:
        if typ is not None:
            if not isinstance(typ, str) or len(typ) > _MAX_TYPE:
                raise TokenRefused(Refusal.CRITICAL)
            typ = _plain_type(typ)
        if typ not in self._types:
            raise TokenRefused(Refusal.CRITICAL)

    def _judge(self, claims: dict[str, Any], now: float) -> Verified:
        """The registered claims (RFC 7519 section 4.1)."""
        for name in self._policy.required_claims:
            if claims.get(name) in (None, ""):
                raise TokenRefused(Refusal.CLAIM)
        for name in ("iss", "sub", "jti"):
            if name in claims and not isinstance(claims[name], str):
                raise TokenRefused(Refusal.CLAIM)
        issuers, audiences = self._policy.issuers, self._policy.audiences
        if issuers and claims.get("iss") not in issuers:
            raise TokenRefused(Refusal.ISSUER)
        audience = _audience(claims)
        if audiences and audiences.isdisjoint(audience):
            raise TokenRefused(Refusal.AUDIENCE)
        begins, ends = self._window(claims)
        if now >= ends:
            raise TokenRefused(Refusal.EXPIRED)
        if now < begins:
            raise TokenRefused(Refusal.NOT_YET)
        return Verified(claims, begins, ends)

    def _window(self, claims: dict[str, Any]) -> tuple[float, float]:
        """From when to when, exclusive, the token is good."""
        leeway = self._leeway
        begins = -math.inf
        for name in ("nbf", "iat"):
            if name in claims:
                begins = max(begins, _date(claims[name]) - leeway)
        return begins, _date(claims["exp"]) + leeway if "exp" in claims else math.inf


def _check_signature(keys: KeySet, kid: str | None, algorithm: str, message: bytes, signature: bytes) -> None:
    unknown = kid is not None and kid not in keys.kids
    candidates = keys.candidates(kid, algorithm)
    for key in candidates:
        if key.verifies(algorithm, message, signature):
            return
    raise TokenRefused(Refusal.SIGNATURE if candidates else Refusal.KEY, unknown)


def _plain_type(typ: str) -> str:
    return typ.lower().removeprefix("application/")


def _audience(claims: dict[str, Any]) -> tuple[str, ...] | list[str]:
    """RFC 7519 section 4.1.3: one text, or a list of them."""
    found = claims.get("aud", ())
    if isinstance(found, str):
        return (found,)
    if found != () and (type(found) is not list or not all(isinstance(each, str) for each in found)):
        raise TokenRefused(Refusal.CLAIM)
    return found  # type: ignore[no-any-return]  # a list of str, as was just seen


def _date(value: Any) -> float:
    """A NumericDate (RFC 7519 section 2)."""
    # bool is an int; what JSON writes as 1e999 is infinite
    if type(value) not in (int, float) or not 0 <= value <= _LAST_DATE:
        raise TokenRefused(Refusal.CLAIM)
    return value  # type: ignore[no-any-return]  # an int or a float
