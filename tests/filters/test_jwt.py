"""The filter `jwt`: who gets in, what goes upstream, what is remembered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gwproxy.config import ConfigMistake
from gwproxy.filters import jwt, jwt_options
from gwproxy.filters.api import Header, Principal
from gwproxy.filters.decision import Denial
from gwproxy.testing import FakeExchange, FilterHarness, Surroundings, parse_options
from gwproxy.tokens.verify import Refusal
from tests.tokens.kit.forge import CLAIMS, SECRET, jwk, key, public_pem, token
from tests.tokens.kit.login import ask, build, verdict

GOOD = token("HS256")
EXPIRED = token("HS256", {**CLAIMS, "exp": CLAIMS["iat"] - 60})


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


# Who gets in


def test_a_good_token(around: Surroundings) -> None:
    played = ask(build(around, issuer="https://idp.example", audience="api"), GOOD)
    assert played.status == 200
    assert played.exchange.principal == Principal("user-1", CLAIMS, "https://idp.example", "jwt")
    assert played.sent[0].headers[1:] == [(b"Authorization", b"Bearer " + GOOD)]
    assert around.decisions() == {("allow", "enforce"): 1}
    assert around.events == []


@pytest.mark.parametrize("scheme", [b"bearer ", b"BEARER ", b"Bearer   "])
def test_the_scheme_in_any_case(around: Surroundings, scheme: bytes) -> None:
    filter_object = build(around)
    for _ in range(2):
        played = FilterHarness(filter_object).run(FakeExchange(headers=[(b"authorization", scheme + GOOD)]))
        assert verdict(played) == "allowed"
    # one token, however it is written
    assert len(filter_object._known) == 1


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_shared_secrets(around: Surroundings, algorithm: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\n")
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [jwk(SECRET, kid="s")]}))
    for source in ({"secret": SECRET.decode()}, {"secret_file": str(file)}, {"jwks_file": str(keys)}):
        filter_object = build(around, algorithms=algorithm, **source)
        assert verdict(ask(filter_object, token(algorithm))) == "allowed"
        assert verdict(ask(filter_object, token(algorithm, signing_key=b"other" * 20))) == "token_signature"


PUBLIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_public_keys(around: Surroundings, algorithm: str, tmp_path: Path) -> None:
    pem, keys = tmp_path / "key.pem", tmp_path / "keys.json"
    pem.write_bytes(public_pem(key(algorithm)))
    keys.write_text(json.dumps({"keys": [jwk(key(algorithm), kid="k", alg=algorithm, use="sig")]}))
    for source in ({"public_key_file": str(pem)}, {"jwks_file": str(keys)}):
        filter_object = build(around, algorithms=algorithm, **source)
        assert verdict(ask(filter_object, token(algorithm, kid="k"))) == "allowed"
        forged = token(algorithm).rpartition(b".")[0] + b"." + token(algorithm, {}).rpartition(b".")[2]
        assert verdict(ask(filter_object, forged)) == "token_signature"


# Who does not


@pytest.mark.parametrize(
    ("headers", "reason", "challenge"),
    [
        ([], "no_credentials", b'Bearer realm="api"'),
        ([(b"Authorization", b"Basic YTpi")], "no_credentials", b'Bearer realm="api"'),
        (
            [(b"Authorization", b"Bearer " + GOOD)] * 2,
            "several_credentials",
            b'Bearer realm="api", error="invalid_request", error_description="more than one Authorization field"',
        ),
        ([(b"Authorization", b"Basic YTpi"), (b"authorization", b"Bearer " + GOOD)], "several_credentials", None),
        ([(b"Authorization", b"Bearer " + GOOD + b", Bearer " + GOOD)], "token_malformed", None),
        ([(b"Authorization", b"Bearer")], "token_malformed", None),
        (
            [(b"Authorization", b"Bearer " + EXPIRED)],
            "token_expired",
            b'Bearer realm="api", error="invalid_token", error_description="the token expired"',
        ),
        (
            [(b"Authorization", b"Bearer " + token("HS256", signing_key=b"other" * 20))],
            "token_signature",
            b'Bearer realm="api", error="invalid_token"',
        ),
    ],
)
def test_denials(around: Surroundings, headers: list[Header], reason: str, challenge: bytes | None) -> None:
    for optional in ("no", "yes"):
        around.events.clear()
        played = FilterHarness(build(around, optional=optional)).run(FakeExchange(headers=headers))
        if reason == "no_credentials" and optional == "yes":
            assert verdict(played) == "allowed"
            continue
        assert (played.status, verdict(played)) == (401, reason)
        assert played.header(b"www-authenticate") == challenge or challenge is None
        assert played.exchange.principal is None
        assert played.sent == []
        assert [(event["event"], event["reason"]) for event in around.events] == [("auth_failed", reason)]


def test_the_realm(around: Surroundings) -> None:
    assert ask(build(around, realm='my "own"'), None).header(b"www-authenticate") == rb'Bearer realm="my \"own\""'


def test_every_refusal_is_a_denial() -> None:
    assert {Denial(refusal) for refusal in Refusal} <= set(Denial)


def test_policy_options_count(around: Surroundings) -> None:
    for options, reason in (
        ({"issuer": "https://other.example"}, "token_issuer"),
        ({"audience": "other"}, "token_audience"),
        ({"required_claims": "exp, email"}, "token_claim"),
        ({"typ": "at+jwt"}, "token_critical"),
        ({"max_token_size": "256"}, "token_malformed"),
        ({"algorithms": "HS384", "secret": SECRET.decode()}, "token_algorithm"),
    ):
        given = token("HS256", {**CLAIMS, "more": "x" * 100})
        assert verdict(ask(build(around, **options), given)) == reason


def test_no_token_is_in_what_is_told(around: Surroundings) -> None:
    filter_object = build(around, claims_to_headers="sub: X-User-Id")
    ask(filter_object, GOOD)
    played = ask(filter_object, GOOD[:-4] + b"AAAA")
    told = repr(
        [filter_object, around.events, played.reply, around.keeper, filter_object._source, filter_object._known]
    )
    for secret in (GOOD, SECRET, GOOD.rpartition(b".")[2]):
        assert secret.decode() not in told


# Shadow mode, optional


def test_in_shadow_mode_all_is_decided_and_passes(around: Surroundings) -> None:
    filter_object = build(around, mode="shadow", claims_to_headers="sub: X-User-Id")
    for given in (EXPIRED, None, b"x"):
        played = ask(filter_object, given, (b"X-User-Id", b"admin"))
        assert (played.status, played.exchange.principal) == (200, None)
        assert b"X-User-Id" not in dict(played.sent[0].headers)
    assert verdict(ask(filter_object, GOOD)) == "allowed"
    assert around.decisions() == {("deny", "shadow"): 3, ("allow", "shadow"): 1}
    assert [event["reason"] for event in around.events] == ["token_expired", "no_credentials", "token_malformed"]


def test_optional_lets_nobody_pass_as_nobody(around: Surroundings) -> None:
    filter_object = build(around, optional="yes", claims_to_headers="sub: X-User-Id")
    played = ask(filter_object, None, (b"x_user_id", b"admin"))
    assert (played.status, played.exchange.principal) == (200, None)
    assert played.sent[0].headers[1:] == []
    assert around.decisions() == {("allow", "enforce"): 1}
    assert verdict(ask(filter_object, EXPIRED)) == "token_expired"


# What goes upstream


def test_claims_become_headers(around: Surroundings) -> None:
    filter_object = build(around, claims_to_headers="sub: X-User-Id, realm_access.roles: X-Roles, email: X-Email")
    given = token("HS256", {**CLAIMS, "sub": "a\nb", "realm_access": {"roles": ["dev", "admin"]}})
    for _ in range(2):  # at first, and when it is remembered
        played = ask(filter_object, given, (b"X-Email", b"a@b"), (b"x-user_id", b"0"), (b"Accept", b"*/*"))
        assert played.sent[0].headers[2:] == [
            (b"Accept", b"*/*"),
            (b"X-User-Id", b"a%0Ab"),
            (b"X-Roles", b"dev,admin"),
        ]


def test_a_header_of_ones_own(around: Surroundings) -> None:
    filter_object = build(around, header="X-Jwt")

    def judged(*headers: Header) -> str:
        return verdict(FilterHarness(filter_object).run(FakeExchange(headers=headers)))

    assert judged((b"x-jwt", GOOD)) == "allowed"
    assert judged((b"X-JWT", b"bearer " + GOOD)) == "allowed"
    assert judged((b"X-Jwt", b"")) == "token_malformed"
    assert judged((b"Authorization", b"Bearer " + GOOD)) == "no_credentials"
    assert judged((b"X-Jwt", GOOD), (b"X-Jwt", GOOD)) == "several_credentials"
    # a server may take the one for the other
    for twin in (b"X_Jwt", b"X.Jwt", b"x~jwt"):
        assert judged((b"X-Jwt", GOOD), (twin, b"x")) == "several_credentials"


# What is remembered


def count_verifications(filter_object: Any) -> list[bytes]:
    """The tokens that are verified from now on."""
    verified: list[bytes] = []

    class Counting:
        def __init__(self, verifier: Any) -> None:
            self._verifier = verifier

        def verify(self, given: bytes, *rest: Any) -> Any:
            verified.append(given)
            return self._verifier.verify(given, *rest)

    filter_object._verifier = Counting(filter_object._verifier)
    return verified


def test_a_token_is_verified_once(around: Surroundings) -> None:
    filter_object = build(around)
    verified = count_verifications(filter_object)
    for _ in range(5):
        assert verdict(ask(filter_object, GOOD)) == "allowed"
    assert verified == [GOOD]
    # the same signature under other claims is another token
    head, payload, signature = GOOD.split(b".")
    assert verdict(ask(filter_object, b".".join([head, payload[:-4] + b"AAAA", signature]))) == "token_signature"
    for _ in range(2):
        assert verdict(ask(filter_object, EXPIRED)) == "token_expired"
    assert len(filter_object._known) == 1


def test_a_remembered_token_ends_by_the_clock(around: Surroundings) -> None:
    filter_object = build(around)
    assert verdict(ask(filter_object, GOOD)) == "allowed"
    around.clock.advance(3600 + 29.5)
    assert verdict(ask(filter_object, GOOD)) == "allowed"
    around.clock.advance(0.5)
    assert verdict(ask(filter_object, GOOD)) == "token_expired"


@pytest.mark.parametrize("step", [600, -600, 1e9, -1e9])
def test_a_clock_that_jumps_lets_nothing_pass_that_is_not_good(around: Surroundings, step: float) -> None:
    filter_object = build(around)
    begins, ends = CLAIMS["iat"] - 30, CLAIMS["exp"] + 30
    right = around.epoch
    for _ in range(3):
        around.epoch = right + step
        good = begins <= around.wall() < ends
        wanted = "allowed" if good else "token_expired" if step > 0 else "token_not_yet"
        assert verdict(ask(filter_object, GOOD)) == wanted
        around.epoch = right
        assert verdict(ask(filter_object, GOOD)) == "allowed"


def test_what_is_remembered_is_bounded(around: Surroundings) -> None:
    filter_object = build(around, cache_size="8")
    for number in range(50):
        assert verdict(ask(filter_object, token("HS256", {**CLAIMS, "jti": str(number)}))) == "allowed"
    assert len(filter_object._known) <= 8
    nothing = build(around, cache_size="0")
    assert verdict(ask(nothing, GOOD)) == "allowed"
    assert len(nothing._known) == 0


def test_it_is_remembered_over_a_reload_that_changes_nothing(around: Surroundings) -> None:
    assert verdict(ask(build(around), GOOD)) == "allowed"
    again = build(around)
    verified = count_verifications(again)
    assert verdict(ask(again, GOOD)) == "allowed"
    assert verified == []


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"secret": "another secret, of fifty-one bytes: is long enough"}, "token_signature"),
        ({"audience": "other"}, "token_audience"),
        ({"issuer": "other"}, "token_issuer"),
        ({"required_claims": "exp, email"}, "token_claim"),
        ({"typ": "at+jwt"}, "token_critical"),
        ({"algorithms": "HS384", "secret": SECRET.decode()}, "token_algorithm"),
        ({"claims_to_headers": "sub: X-User-Id"}, "allowed"),
    ],
)
def test_a_reload_that_changes_a_rule_forgets(around: Surroundings, change: dict[str, str], wanted: str) -> None:
    assert verdict(ask(build(around), GOOD)) == "allowed"
    played = ask(build(around, **change), GOOD)
    assert verdict(played) == wanted
    if "claims_to_headers" in change:
        assert (b"X-User-Id", b"user-1") in played.sent[0].headers


def test_a_key_that_is_taken_out_of_its_file_is_gone_with_its_tokens(around: Surroundings, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    one, other = jwk(key("ES256"), kid="one"), jwk(key("EdDSA"), kid="other")
    file.write_text(json.dumps({"keys": [one, other]}))
    filter_object = build(around, algorithms="ES256, EdDSA", jwks_file=str(file))
    around.keeper.start()
    first, second = token("ES256", kid="one"), token("EdDSA", kid="other")
    assert [verdict(ask(filter_object, given)) for given in (first, second)] == ["allowed"] * 2
    file.write_text(json.dumps({"keys": [other]}))
    around.clock.advance(1)
    assert [verdict(ask(filter_object, given)) for given in (first, second)] == ["token_key", "allowed"]
    around.keeper.stop()


# What the operator is told


@pytest.mark.parametrize(
    ("options", "content", "words"),
    [
        ({"algorithms": "HS256", "secret": "short"}, b"", "secret: is too short for HS256"),
        ({"algorithms": "HS256, HS512", "secret": "s" * 32}, b"", "secret: is too short for HS512"),
        ({"algorithms": "HS256", "secret": '{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}'}, b"", "a JWK"),
        ({"algorithms": "HS256", "secret_file": ""}, b"short\n", "secret_file: is too short"),
        ({"algorithms": "HS256", "secret_file": ""}, public_pem(key("RS256")), "secret_file: is a PEM"),
        ({"algorithms": "RS256", "public_key_file": ""}, b"no key", "public_key_file: holds no public key"),
        ({"algorithms": "RS256", "public_key_file": ""}, public_pem(key("ES256")), "a key for ES256"),
        ({"algorithms": "RS256", "jwks_file": ""}, b"no json", "jwks_file: is no JSON"),
        ({"algorithms": "RS256", "jwks_file": ""}, b'{"keys": []}', "jwks_file: has no key"),
    ],
)
def test_keys_that_cannot_be_used(
    around: Surroundings, tmp_path: Path, options: dict[str, str], content: bytes, words: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(ConfigMistake) as mistake:
        build(around, **{name: text or str(file) for name, text in options.items()})
    assert words in mistake.value.message
    assert mistake.value.key in options
    assert "short\n" not in mistake.value.message and "c2VjcmV0" not in mistake.value.message


def test_what_it_means_for_a_chain() -> None:
    options = {"algorithms": "HS256", "secret": SECRET.decode(), "claims_to_headers": "sub: X-User-Id"}
    traits = jwt.traits(parse_options(jwt_options.Options, options))
    assert (traits.identifies, traits.costly, traits.vouches_for) == (True, True, (b"X-User-Id",))
    assert traits.judges == (b"Authorization",)
