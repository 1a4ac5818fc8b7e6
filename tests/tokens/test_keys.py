"""A key is good for its own algorithms, and for nothing that a token says."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gwproxy.tokens.keys import (
    ALGORITHMS,
    HMAC_ALGORITHMS,
    MAX_CANDIDATES,
    MAX_KID,
    PUBLIC_ALGORITHMS,
    BadKey,
    KeySet,
    VerificationKey,
    key_from_jwk,
    keys_from_jwks,
    keys_from_pem,
    keys_from_secret,
)
from tests.tokens.kit.forge import SECRET, b64, jwk, key, public_der, public_pem, sign

ALL = frozenset(ALGORITHMS)
RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


def allowed(made: dict[str, Any], algorithms: frozenset[str] = ALL) -> set[str]:
    """The algorithms of a JWK; none if it is of no use."""
    try:
        return set(key_from_jwk(made, algorithms).algorithms)
    except BadKey:
        return set()


def test_es256k_and_none_are_no_algorithms() -> None:
    assert {"ES256K", "none", "ES521"}.isdisjoint(ALGORITHMS)
    assert set(HMAC_ALGORITHMS) | set(PUBLIC_ALGORITHMS) == ALL


@pytest.mark.parametrize(
    ("algorithm", "fitting"),
    [
        ("HS512", set(HMAC_ALGORITHMS)),
        ("RS256", RSA_ALGORITHMS),
        ("ES256", {"ES256"}),
        ("ES384", {"ES384"}),
        ("ES512", {"ES512"}),
        ("EdDSA", {"EdDSA"}),
        ("Ed448", {"EdDSA"}),
        ("ES256K", set()),
    ],
)
def test_a_key_is_for_the_algorithms_of_its_type(algorithm: str, fitting: set[str]) -> None:
    assert allowed(jwk(key(algorithm))) == fitting
    for one in ALL:
        assert allowed(jwk(key(algorithm)), frozenset([one])) == fitting & {one}


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "EdDSA"])
def test_a_key_verifies_by_its_own_algorithms_only(algorithm: str) -> None:
    """Also where the mathematics would agree: an RSA key that is configured for RS256 is none for PS256."""
    made = key_from_jwk(jwk(key(algorithm)), frozenset([algorithm]))
    message = b"a message"
    assert made.verifies(algorithm, message, sign(algorithm, key(algorithm), message))
    assert not made.verifies(algorithm, message + b".", sign(algorithm, key(algorithm), message))
    for other in ALL - {algorithm}:
        assert not made.verifies(other, message, sign(other, key(other), message))
        if other in allowed(jwk(key(algorithm))):
            assert not made.verifies(other, message, sign(other, key(algorithm), message))


@pytest.mark.parametrize("signature", [b"", b"x", b"\0" * 64, b"\xff" * 64, b"\0" * 256, b"0" * 10_000])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_of_any_form_is_judged(algorithm: str, signature: bytes) -> None:
    assert not key_from_jwk(jwk(key(algorithm)), ALL).verifies(algorithm, b"a message", signature)


def test_keys_are_not_shown() -> None:
    keys = keys_from_secret(SECRET, {"HS256"})
    assert "secret" not in repr(keys) + repr(keys.keys) + str(keys._identity)


# Secrets


@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_is_as_long_as_the_hash(algorithm: str, least: int) -> None:
    (made,) = keys_from_secret(b"x" * least, {algorithm}).keys
    assert made.algorithms == {algorithm}
    with pytest.raises(BadKey, match=f"too short for {algorithm}, which needs {least} bytes"):
        keys_from_secret(b"x" * (least - 1), {algorithm})
    assert allowed(jwk(b"x" * least), frozenset([algorithm])) == {algorithm}
    assert allowed(jwk(b"x" * (least - 1)), frozenset([algorithm])) == set()


def test_a_secret_is_long_enough_for_all_its_algorithms() -> None:
    with pytest.raises(BadKey, match="HS512"):
        keys_from_secret(b"x" * 63, {"HS256", "HS512"})


@pytest.mark.parametrize(
    "secret",
    [
        public_pem(key("RS256")),
        public_pem(key("ES256")),
        public_der(key("RS256")),
        b"\n  " + public_pem(key("EdDSA")),
        b'{"kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx", "e": "AQAB"}',
        b'{"keys": [{"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}]}',
        b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDJ someone@example.com",
    ],
    ids=["pem", "ec pem", "der", "blanks", "jwk", "jwks", "ssh"],
)
def test_a_public_key_is_no_secret(secret: bytes) -> None:
    with pytest.raises(BadKey, match="not a shared secret"):
        keys_from_secret(secret, {"HS256"})


def test_a_secret_has_something_in_it_and_is_for_hmac() -> None:
    with pytest.raises(BadKey, match="empty"):
        keys_from_secret(b"", {"HS256"})
    with pytest.raises(BadKey, match="RS256 takes a public key"):
        keys_from_secret(SECRET, {"RS256"})


# PEM


def test_keys_of_a_pem_file() -> None:
    both = public_pem(key("RS256")) + b"a comment\n" + public_pem(key("ES256"))
    keys = keys_from_pem(both, {"RS256", "ES256"})
    assert [(made.kid, set(made.algorithms)) for made in keys.keys] == [(None, {"RS256"}), (None, {"ES256"})]
    pkcs1 = key("RS256").public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    assert keys_from_pem(pkcs1, {"RS256"}) == keys_from_pem(public_pem(key("RS256")), {"RS256"})


def private_pem(form: PrivateFormat) -> bytes:
    pem: bytes = key("RS256").private_bytes(Encoding.PEM, form, NoEncryption())
    return pem


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (b"", "holds no public key"),
        (b"k" * 64, "holds no public key"),
        (private_pem(PrivateFormat.PKCS8), "holds a private key"),
        (private_pem(PrivateFormat.TraditionalOpenSSL), "holds a private key"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "holds a certificate"),
        (b"-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n", "PUBLIC KEY that cannot be read"),
        (public_pem(key("ES256")), "for ES256, which algorithms does not name"),
        (public_pem(key("RS256", bits=1024)), "RSA key of 1024 bits; it must have 2048"),
        (public_pem(ec.generate_private_key(ec.SECP256K1())), "curve secp256k1"),
        (public_pem(x25519.X25519PrivateKey.generate()), "no RSA, EC or Ed25519"),
        (public_pem(dsa.generate_private_key(1024)), "no RSA, EC or Ed25519"),
        (public_pem(key("RS256")) * 9, "more than 8"),
    ],
    ids=[
        *("empty", "text", "pkcs8", "pkcs1", "certificate", "broken", "other", "short", "secp256k1", "x25519", "dsa"),
        "many",
    ],
)
def test_what_is_no_public_key_in_pem(pem: bytes, words: str) -> None:
    with pytest.raises(BadKey, match=words):
        keys_from_pem(pem, {"RS256"})


# JWK sets


def test_keys_of_a_set() -> None:
    document = {
        "keys": [
            jwk(key("RS256"), kid="r", use="sig", alg="RS256", x5t="ignored"),
            jwk(key("ES256"), kid="e", key_ops=["verify"]),
            jwk(key("EdDSA")),
        ]
    }
    keys = keys_from_jwks(document, ALL, 3)
    assert [(made.kid, set(made.algorithms)) for made in keys.keys] == [
        ("r", {"RS256"}),
        ("e", {"ES256"}),
        (None, {"EdDSA"}),
    ]


RSA_JWK = jwk(key("RS256"), kid="a")


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"use": None},
        {"use": ["sig"]},
        {"key_ops": ["encrypt"]},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"alg": "ES256"},
        {"alg": "HS256"},
        {"alg": "none"},
        {"alg": "RSA-OAEP"},
        {"alg": "rs256"},
        {"alg": 1},
        {"alg": ["RS256"]},
        {"kty": "rsa"},
        {"kty": "PQ"},
        {"kty": None},
        {"kty": ["RSA"]},
        {"kty": "EC"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": b64(b"\1" * 32).decode(), "y": b64(b"\1" * 32).decode()},
        {"n": None},
        {"n": ""},
        {"n": "ä"},
        {"n": "\ud800"},
        {"n": 65537},
        {"e": "AQ"},
        {"e": "AA"},
        {"e": "Ag"},
        {"e": ""},
        {"kid": 1},
        {"kid": ["a"]},
        {"kid": "k" * (MAX_KID + 1)},
    ],
    ids=str,
)
def test_keys_that_are_left_out(change: dict[str, Any]) -> None:
    good = jwk(key("ES256"), kid="good")
    assert [made.kid for made in keys_from_jwks({"keys": [RSA_JWK | change, good]}, ALL, 2).keys] == ["good"]


def test_a_short_rsa_key_is_left_out() -> None:
    assert allowed(jwk(key("RS256", bits=1024))) == set()
    assert allowed(jwk(rsa.generate_private_key(65537, 2048))) == RSA_ALGORITHMS


def test_the_private_part_of_a_key_is_not_looked_at() -> None:
    made = key_from_jwk(RSA_JWK | {"d": "AQAB", "p": 5, "oth": []}, ALL)
    assert isinstance(made.material, rsa.RSAPublicKey)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "no JWK set"),
        ([RSA_JWK], "no JWK set"),
        ({}, "no JWK set"),
        ({"keys": RSA_JWK}, "no JWK set"),
        ({"keys": []}, "no key that can be used"),
        ({"keys": [1, None, [], "x"]}, "no key that can be used"),
        ({"keys": [jwk(b"x" * 31)]}, "no key that can be used"),
        ({"keys": [RSA_JWK] * 6}, "6 keys, more than 5"),
        ({"keys": [{}] * 100_000}, "100000 keys, more than 5"),
    ],
    ids=["null", "list", "empty", "object", "none", "junk", "short", "six", "100,000"],
)
def test_what_is_no_set_of_keys(document: Any, words: str) -> None:
    with pytest.raises(BadKey, match=words):
        keys_from_jwks(document, ALL, 5)


# Which keys a token is tried with


def made_of(*keys: tuple[str | None, set[str]]) -> KeySet:
    return KeySet(VerificationKey(kid, frozenset(algorithms), b"%d" % at) for at, (kid, algorithms) in enumerate(keys))


def candidates(keys: KeySet, kid: str | None, algorithm: str) -> list[int]:
    """By their place in the set."""
    return [int(each.material) for each in keys.candidates(kid, algorithm)]


def test_a_kid_names_its_keys() -> None:
    keys = made_of(("a", {"RS256"}), ("b", {"RS256", "PS256"}), ("a", {"ES256"}), (None, {"RS256"}))
    assert candidates(keys, "a", "RS256") == [0]
    assert candidates(keys, "a", "ES256") == [2]
    assert candidates(keys, "b", "PS256") == [1]
    assert candidates(keys, "a", "PS256") == []  # there is such a key, and it is not for that
    assert candidates(keys, "c", "RS256") == [3]
    assert candidates(keys, "c", "PS256") == []
    assert candidates(keys, "", "PS256") == []
    assert candidates(keys, "A", "ES256") == []


def test_a_token_without_kid_is_for_keys_without_or_for_the_only_one() -> None:
    keys = made_of(("a", {"RS256"}), ("b", {"RS256"}), ("c", {"ES256"}), (None, {"PS256"}), (None, {"PS256"}))
    assert candidates(keys, None, "RS256") == []
    assert candidates(keys, None, "ES256") == [2]
    assert candidates(keys, None, "PS256") == [3, 4]
    assert candidates(keys, None, "EdDSA") == []


def test_few_keys_are_tried() -> None:
    keys = made_of(*[(None, {"RS256"})] * 50, *[("a", {"RS256"})] * 50)
    assert candidates(keys, None, "RS256") == list(range(MAX_CANDIDATES))
    assert candidates(keys, "a", "RS256") == list(range(50, 50 + MAX_CANDIDATES))


def test_sets_of_the_same_keys_are_equal() -> None:
    one = jwk(key("RS256"), kid="a")
    other = jwk(key("ES256"), kid="b")
    both = keys_from_jwks({"keys": [one, other]}, ALL, 9)
    again = keys_from_jwks({"keys": [other, one]}, ALL, 9)
    assert both == again
    assert hash(both) == hash(again)
    for different in (
        [one],
        [one, {**other, "kid": "c"}],
        [one, {**other, "kid": None}],
        [{**one, "alg": "RS256"}, other],
        [one, jwk(key("EdDSA"), kid="b")],
    ):
        assert both != keys_from_jwks({"keys": different}, ALL, 9)
    assert both != "keys"
