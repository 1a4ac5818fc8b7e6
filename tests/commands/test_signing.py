"""Keys that sign test tokens, against what RFC 7638 and cryptography say of them."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gwproxy.commands import signing


def test_the_thumbprint_of_the_rfc() -> None:
    """RFC 7638 section 3.1."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok"
        "njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu"
        "6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8a"
        "wapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert signing.thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_key_of_each_kind(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    made = signing.make_key(algorithm)
    signing.write_new(path, signing.private_pem(made))
    key = signing.read_key(path)
    assert algorithm in signing.algorithms_of(key)
    jwk = signing.public_jwk(key)
    assert jwk["use"] == "sig" and "d" not in jwk and jwk["kid"] == signing.thumbprint(jwk)
    assert jwk.get("alg") in (None, algorithm)
    assert signing.public_jwk(key, "mine")["kid"] == "mine"
    read: Any = jwt.PyJWK({**jwk, "alg": algorithm}).key
    assert read.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) == signing.public_pem(key)


def test_a_file_is_its_owners_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    signing.write_new(path, b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        signing.write_new(path, b"two")
    assert path.read_bytes() == b"one"


def test_secrets_differ_and_are_long_enough() -> None:
    secrets = {signing.make_secret() for _ in range(10)}
    assert len(secrets) == 10
    assert all(len(secret) >= 64 and secret.isascii() and secret.isprintable() for secret in secrets)


def _pem(key: Any, protection: Any = None) -> bytes:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection or NoEncryption())
    return pem


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (b"", "is no private key in PEM"),
        (b"sesame", "is no private key in PEM"),
        (signing.public_pem(signing.make_key("ES256")), "is no private key in PEM"),
        (_pem(signing.make_key("ES256"), BestAvailableEncryption(b"x")), "without a password"),
        (_pem(rsa.generate_private_key(65537, 1024)), "of 1024 bits"),
        (_pem(ec.generate_private_key(ec.SECP256K1())), "curve secp256k1"),
        (_pem(dsa.generate_private_key(2048)), "no RSA, EC or Ed25519 key"),
    ],
)
def test_what_cannot_sign(pem: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem)
    with pytest.raises(signing.BadSigningKey, match=why) as caught:
        signing.read_key(path)
    assert "sesame" not in str(caught.value)
