"""Tokens with any header, payload and signature: what libraries that make tokens refuse to write, too."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

NOW = 1_700_000_000
SECRET = b"a secret of sixty-four bytes: long enough for HS256, 384 and 512"

CLAIMS: dict[str, Any] = {"sub": "user-1", "iss": "https://idp.example", "aud": "api", "iat": NOW, "exp": NOW + 3600}

_CURVES: dict[str, Any] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1, "ES256K": ec.SECP256K1}


def b64(data: bytes) -> bytes:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def part(value: Any) -> bytes:
    """A part of a token: bytes as they are, anything else as JSON."""
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


@cache
def key(algorithm: str, whose: str = "issuer", bits: int = 2048) -> Any:
    """The private key, or the secret, of `whose` for an algorithm: the same one each time."""
    if algorithm.startswith("HS"):
        return SECRET if whose == "issuer" else whose.encode() * 64
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return _rsa(whose, bits)


@cache
def _rsa(whose: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def sign(algorithm: str, signing_key: Any, message: bytes) -> bytes:
    """The signature of `message`."""
    return get_default_algorithms()[algorithm].sign(message, signing_key)


def token(
    algorithm: str,
    claims: Any = CLAIMS,
    *,
    header: Any = None,
    signing_key: Any = None,
    sign_as: str = "",
    **more: Any,
) -> bytes:
    """A token of the issuer's. `header`: instead of the usual one, to which `more` is added; `signing_key`: instead of
    the issuer's; `sign_as`: another algorithm than the header says."""
    usual = {"alg": algorithm, "typ": "JWT", **more}
    message = part(usual if header is None else header) + b"." + part(claims)
    by = sign_as or algorithm
    return message + b"." + b64(sign(by, key(by) if signing_key is None else signing_key, message))


def public_pem(private: Any) -> bytes:
    """The public half, as a file has it."""
    pem: bytes = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def public_der(private: Any) -> bytes:
    """The public half, as its bare bytes."""
    der: bytes = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der


def jwk(private: Any, **more: Any) -> dict[str, Any]:
    """The public half as a JWK, or the secret as one, with `more` members."""
    if isinstance(private, bytes):
        return {"kty": "oct", "k": b64(private).decode(), **more}
    algorithms = get_default_algorithms()
    kind = {
        rsa.RSAPrivateKey: "RS256",
        ec.EllipticCurvePrivateKey: "ES256",
        ed25519.Ed25519PrivateKey: "EdDSA",
        ed448.Ed448PrivateKey: "EdDSA",
    }
    (name,) = [name for type_, name in kind.items() if isinstance(private, type_)]
    made: dict[str, Any] = algorithms[name].to_jwk(private.public_key(), as_dict=True)
    made.pop("key_ops", None)
    return {**made, **more}
