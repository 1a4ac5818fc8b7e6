"""Keys that sign test tokens: made, written, read, and published as a JWK set."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gwproxy.tokens.keys import MIN_RSA_BITS

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

SHARED: Final = ("HS256", "HS384", "HS512")
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}
ALGORITHMS: Final = (*SHARED, *_RSA, *_CURVES, "EdDSA")
PUBLIC: Final = (*_RSA, *_CURVES, "EdDSA")

SECRET_BYTES: Final = 64  # enough for each of HS*

# RFC 7638 section 3.2: the members of a JWK that make the key.
_MEMBERS: Final = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


class BadSigningKey(ValueError):
    """A key that cannot sign what it should. The words repeat nothing of it."""


def make_key(algorithm: str) -> PrivateKey:
    """A new key for one of PUBLIC."""
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, MIN_RSA_BITS)


def make_secret() -> str:
    """A new shared secret, as text of one line."""
    return base64.urlsafe_b64encode(os.urandom(SECRET_BYTES)).rstrip(b"=").decode()


def private_pem(key: PrivateKey) -> bytes:
    """PKCS 8, without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: PrivateKey) -> bytes:
    """What `public_key_file` takes."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def write_new(path: Path, data: bytes) -> None:
    """A new file that only its owner may read. Raises OSError, also when it is there already."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def read_key(path: Path) -> PrivateKey:
    """The private key in a PEM file. Raises OSError and BadSigningKey."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a password
        raise BadSigningKey("is no private key in PEM, without a password") from None
    if not isinstance(key, PrivateKey):
        raise BadSigningKey("is no RSA, EC or Ed25519 key")
    algorithms_of(key)
    return key


def algorithms_of(key: PrivateKey) -> tuple[str, ...]:
    """What it can sign by, the usual one first. Raises BadSigningKey if that is nothing."""
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < MIN_RSA_BITS:
            raise BadSigningKey(f"is an RSA key of {key.key_size} bits; it must have {MIN_RSA_BITS}")
        return _RSA
    if isinstance(key, ec.EllipticCurvePrivateKey):
        found = tuple(name for name, curve in _CURVES.items() if curve.name == key.curve.name)
        if not found:
            raise BadSigningKey(f"is a key of the curve {key.curve.name}; it must be P-256, P-384 or P-521")
        return found
    return ("EdDSA",)


def public_jwk(key: PrivateKey, kid: str = "") -> dict[str, Any]:
    """The public half as a JWK (RFC 7517), for signatures only. Its kid is its thumbprint unless another is given."""
    public = key.public_key()
    jwk: dict[str, Any]
    if isinstance(public, rsa.RSAPublicKey):
        jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        jwk = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
    jwk.pop("key_ops", None)
    algorithms = algorithms_of(key)
    # An RSA key may sign by several: which one, its tokens say.
    named = {"alg": algorithms[0]} if len(algorithms) == 1 else {}
    return {"kid": kid or thumbprint(jwk), "use": "sig", **named, **jwk}


def thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638, with SHA-256."""
    members = {name: jwk[name] for name in _MEMBERS[jwk["kty"]]}
    written = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(written).digest()).rstrip(b"=").decode()
