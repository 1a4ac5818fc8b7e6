"""What a token must be, rule by rule."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gwproxy.tokens.keys import MAX_KID, KeySet, keys_from_jwks, keys_from_secret
from gwproxy.tokens.verify import Policy, Refusal, TokenRefused, Verified, Verifier
from tests.tokens.kit.forge import CLAIMS, NOW, SECRET, jwk, key, token

HS256 = frozenset(["HS256"])
KEYS = keys_from_secret(SECRET, HS256)


def verify(given: bytes, now: float = NOW, keys: KeySet = KEYS, **policy: Any) -> Verified:
    return Verifier(Policy(**{"algorithms": HS256, **policy})).verify(given, keys, now)


def refusal(given: bytes, now: float = NOW, keys: KeySet = KEYS, **policy: Any) -> Refusal | None:
    """Why a token is refused; None: it is not."""
    try:
        verify(given, now, keys, **policy)
    except TokenRefused as refused:
        assert str(refused) == refused.refusal
        return refused.refusal
    return None


def claiming(**claims: Any) -> bytes:
    return token("HS256", {**CLAIMS, **claims})


def without(*names: str) -> bytes:
    return token("HS256", {name: value for name, value in CLAIMS.items() if name not in names})


def test_a_good_token() -> None:
    good = verify(token("HS256"))
    assert good == Verified(CLAIMS, NOW - 30, NOW + 3600 + 30)


def test_claims_of_ones_own_come_through() -> None:
    claims = {**CLAIMS, "realm_access": {"roles": ["admin"]}, "n": 1.5, "yes": True, "nothing": None, "name": "Zoë"}
    assert verify(token("HS256", claims)).claims == claims


# Dates


@pytest.mark.parametrize("leeway", [0.0, 30.0, 3600.0])
def test_it_ends_with_exp(leeway: float) -> None:
    ends = NOW + 3600 + leeway
    assert refusal(token("HS256"), ends - 0.001, leeway=leeway) is None
    for late in (ends, ends + 0.001, ends + 1, 1e12, 1e300):
        assert refusal(token("HS256"), late, leeway=leeway) is Refusal.EXPIRED


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize("leeway", [0.0, 30.0])
def test_it_begins_with_nbf_and_iat(name: str, leeway: float) -> None:
    begins = NOW + 100 - leeway
    given = claiming(**{name: NOW + 100})
    assert refusal(given, begins, leeway=leeway) is None
    for early in (begins - 0.001, begins - 1, 0, -1e9):
        assert refusal(given, early, leeway=leeway) is Refusal.NOT_YET


def test_the_later_of_nbf_and_iat_counts() -> None:
    assert verify(claiming(nbf=NOW - 50, iat=NOW - 10)).begins == NOW - 40
    assert verify(claiming(nbf=NOW - 10, iat=NOW - 50)).begins == NOW - 40


def test_dates_may_have_fractions() -> None:
    assert verify(claiming(exp=NOW + 0.5), leeway=0).ends == NOW + 0.5


NO_DATES = ["1700003600", True, False, None, [], {}, -1, -0.5, 253_402_300_800, NOW * 1_000_000, 10**300]


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", NO_DATES, ids=str)
def test_what_is_no_date(name: str, value: Any) -> None:
    assert refusal(claiming(**{name: value})) is Refusal.CLAIM


@pytest.mark.parametrize("value", [b"1e999", b"-1e999", b"1e400"])
def test_what_is_infinite_is_no_date(value: bytes) -> None:
    assert refusal(token("HS256", b'{"exp": %b}' % value)) is Refusal.CLAIM


# Claims


def test_exp_is_required_unless_the_policy_says_otherwise() -> None:
    assert refusal(without("exp")) is Refusal.CLAIM
    assert refusal(without("exp"), 1e12, required_claims=()) is None
    # it holds where it is
    assert refusal(token("HS256"), 1e12, required_claims=()) is Refusal.EXPIRED


@pytest.mark.parametrize("name", ["sub", "tenant"])
def test_a_required_claim_is_there_and_says_something(name: str) -> None:
    required = ("exp", name)
    assert refusal(without("sub"), required_claims=required) is Refusal.CLAIM
    for empty in (None, ""):
        assert refusal(claiming(**{name: empty}), required_claims=required) is Refusal.CLAIM
    assert refusal(claiming(**{name: "x"}), required_claims=required) is None
    assert refusal(claiming(tenant=0), required_claims=("tenant",)) is None


@pytest.mark.parametrize("name", ["iss", "sub", "jti"])
@pytest.mark.parametrize("value", [1, True, None, ["x"], {"x": "y"}], ids=str)
def test_names_are_texts(name: str, value: Any) -> None:
    assert refusal(claiming(**{name: value})) is Refusal.CLAIM


def test_issuers() -> None:
    issuers = frozenset({"https://idp.example", "other"})
    assert refusal(token("HS256"), issuers=issuers) is None
    assert refusal(claiming(iss="other"), issuers=issuers) is None
    for wrong in ("https://idp.example/", "https://IDP.example", "https://idp.example.evil", "", "https://idp"):
        assert refusal(claiming(iss=wrong), issuers=issuers) is Refusal.ISSUER
    assert refusal(without("iss"), issuers=issuers) is Refusal.ISSUER
    assert refusal(claiming(iss=["other"]), issuers=issuers) is Refusal.CLAIM


def test_audiences() -> None:
    audiences = frozenset({"api", "other"})
    for right in ("api", "other", ["api"], ["x", "other"]):
        assert refusal(claiming(aud=right), audiences=audiences) is None
    for wrong in ("API", "api2", "", [], ["x"], "api,other"):
        assert refusal(claiming(aud=wrong), audiences=audiences) is Refusal.AUDIENCE
    assert refusal(without("aud"), audiences=audiences) is Refusal.AUDIENCE
    assert refusal(claiming(aud="any")) is None


@pytest.mark.parametrize("value", [1, True, None, {"api": 1}, ["api", 1], [["api"]], ["api", None]], ids=str)
@pytest.mark.parametrize("audiences", [frozenset(), frozenset({"api"})], ids=["any", "api"])
def test_what_is_no_audience(value: Any, audiences: frozenset[str]) -> None:
    assert refusal(claiming(aud=value), audiences=audiences) is Refusal.CLAIM


# Header


@pytest.mark.parametrize(
    "alg", ["none", "None", "hs256", "HS256 ", "HS384", "RS256", "", None, 1, True, ["HS256"], {"HS256": 1}], ids=str
)
def test_the_algorithm_is_one_of_the_configured(alg: Any) -> None:
    assert refusal(token("HS256", header={"alg": alg})) is Refusal.ALGORITHM
    assert refusal(token("HS256", header={"typ": "JWT"})) is Refusal.ALGORITHM


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": []}, {"crit": None}, {"crit": "b64"}, {"b64": False}])
def test_extensions_that_nobody_here_understands(header: dict[str, Any]) -> None:
    assert refusal(token("HS256", **header)) is Refusal.CRITICAL


@pytest.mark.parametrize("b64", [None, "true", 1, 0, "", []], ids=str)
def test_the_payload_is_encoded(b64: Any) -> None:
    assert refusal(token("HS256", b64=b64)) is Refusal.CRITICAL
    assert refusal(token("HS256", b64=True)) is None


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"])
def test_usual_types(typ: str) -> None:
    assert refusal(token("HS256", typ=typ)) is None


def test_a_type_need_not_be_there() -> None:
    assert refusal(token("HS256", header={"alg": "HS256"})) is None
    assert refusal(token("HS256", header={"alg": "HS256"}), typ="JWT") is Refusal.CRITICAL


OTHER_TYPES = ["JOSE", "logout+jwt", "dpop+jwt", "", " JWT", "application/application/jwt", 1, ["JWT"], "j" * 20_000]


@pytest.mark.parametrize("typ", OTHER_TYPES, ids=lambda typ: str(typ)[:30])
def test_other_types(typ: Any) -> None:
    given = token("HS256", typ=typ)
    assert refusal(given, max_size=1 << 20) is Refusal.CRITICAL
    assert refusal(given, max_size=1 << 20, typ="at+jwt") is Refusal.CRITICAL


@pytest.mark.parametrize("pinned", ["at+jwt", "AT+jwt", "application/at+jwt"])
def test_a_pinned_type(pinned: str) -> None:
    assert refusal(token("HS256", typ="at+jwt"), typ=pinned) is None
    assert refusal(token("HS256", typ="application/AT+JWT"), typ=pinned) is None
    assert refusal(token("HS256", typ="JWT"), typ=pinned) is Refusal.CRITICAL


# Keys


def test_the_key_that_kid_names() -> None:
    algorithms = frozenset(["RS256", "ES256"])
    document = {"keys": [jwk(key("RS256"), kid="r"), jwk(key("RS256", "another"), kid="s"), jwk(key("ES256"), kid="e")]}
    keys = keys_from_jwks(document, algorithms, 9)

    def judged(given: bytes) -> tuple[Refusal, bool] | None:
        try:
            Verifier(Policy(algorithms)).verify(given, keys, NOW)
        except TokenRefused as refused:
            return refused.refusal, refused.unknown_kid
        return None

    assert judged(token("RS256", kid="r")) is None
    assert judged(token("ES256", kid="e")) is None
    assert judged(token("ES256")) is None  # the only one of its algorithm
    assert judged(token("RS256", kid="s")) == (Refusal.SIGNATURE, False)
    assert judged(token("RS256", kid="e")) == (Refusal.KEY, False)
    assert judged(token("RS256")) == (Refusal.KEY, False)
    assert judged(token("RS256", kid="new")) == (Refusal.KEY, True)
    assert judged(token("RS256", kid="k" * MAX_KID)) == (Refusal.KEY, True)
    # nobody fetches keys for what can be none
    assert judged(token("RS256", kid="k" * (MAX_KID + 1))) == (Refusal.KEY, False)
    assert judged(token("RS256", kid=7)) == (Refusal.MALFORMED, False)
    assert judged(token("HS256", kid="new")) == (Refusal.ALGORITHM, False)
    assert judged(token("RS256", kid="new", crit=["x"])) == (Refusal.CRITICAL, False)


def test_keys_without_kid_are_tried_before_newer_ones_are_wanted() -> None:
    assert refusal(token("HS256", kid="any")) is None
    with pytest.raises(TokenRefused) as refused:
        verify(token("HS256", kid="any", signing_key=b"another" * 10))
    assert (refused.value.refusal, refused.value.unknown_kid) == (Refusal.SIGNATURE, True)


# Form


def test_a_token_is_not_larger_than_the_policy_allows() -> None:
    given = token("HS256")
    assert refusal(given, max_size=len(given)) is None
    assert refusal(given, max_size=len(given) - 1) is Refusal.MALFORMED
    assert refusal(claiming(more="x" * 20_000)) is Refusal.MALFORMED


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b".",
        b"..",
        b"...",
        b"a.b.c",
        token("HS256") + b".",
        b"." + token("HS256"),
        token("HS256") + b"=",
        token("HS256")[:-1],
        token("HS256").rpartition(b".")[0],
        token("HS256").rpartition(b".")[0] + b".",
        token("HS256").replace(b".", b". "),
        token("HS256").replace(b".", b".."),
        token("HS256").replace(b".", b"%2e"),
        json.dumps({"payload": "", "signatures": []}).encode(),
        b"\xff" * 100,
        token("HS256", header=b"[]"),
        token("HS256", header=b"null"),
        token("HS256", header=b'"HS256"'),
        token("HS256", header=b'{"alg":"HS256","alg":"HS256"}'),
        token("HS256", b"[]"),
        token("HS256", b"null"),
        token("HS256", b""),
        token("HS256", b'{"exp": NaN}'),
        token("HS256", b'{"exp": 1, "exp": 1700003600}'),
        token("HS256", b'{"exp": 1700003600, "a": "\xff"}'),
    ],
)
def test_what_is_malformed(given: bytes) -> None:
    assert refusal(given) is Refusal.MALFORMED


def test_claims_are_not_read_before_the_signature_is_checked() -> None:
    assert refusal(token("HS256", b"not json", signing_key=b"another" * 10)) is Refusal.SIGNATURE
