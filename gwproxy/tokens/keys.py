"""Keys that verify signatures, and where filters get them from.

A key is bound to the algorithms that it may be used with: those that the configuration names, as far as its type, its
`alg` and its `use` allow them. Nothing in a token ever widens that: what a key object verifies is decided here, from
what it is, so that an RSA key is never anybody's HMAC secret.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, Protocol

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from jwt.algorithms import Algorithm, HMACAlgorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError
from twisted.internet.defer import Deferred

# Shared secrets: who can verify can sign. The number is the least length of a key in bytes (RFC 7518 section 3.2).
HMAC_ALGORITHMS: Final[Mapping[str, int]] = {"HS256": 32, "HS384": 48, "HS512": 64}
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
# RFC 7518 section 3.4: an algorithm is of one curve.
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
PUBLIC_ALGORITHMS: Final = (*_RSA, *_CURVES.values(), "EdDSA")
ALGORITHMS: Final = (*HMAC_ALGORITHMS, *PUBLIC_ALGORITHMS)

# RFC 7518 section 3.3; and a bound, for the time that verifying takes grows with it.
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192

MAX_KID: Final = 256  # characters
# Keys that one token is tried with. More of one kid, or without any, are told apart by nobody.
MAX_CANDIDATES: Final = 8

# What of a JWK its public key is made of; whatever else stands in it (a private part, say) is not looked at.
_PUBLIC_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}

_verifiers: Final[dict[str, Algorithm]] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name in ALGORITHMS
}

# Two keys are compared by digest; with a salt, nothing can be learnt from one.
_SALT: Final = os.urandom(16)

_PEM_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----[^-]+-----END \1-----")


class BadKey(ValueError):
    """A key that cannot, or may not, be used. The words are for the user and repeat nothing of the key."""


@attrs.frozen(eq=False)
class VerificationKey:
    """One key. `material` is what PyJWT's algorithms verify with, prepared once: a key object, or an HMAC secret."""

    kid: str | None
    algorithms: frozenset[str]
    material: Any = attrs.field(repr=False)

    def verifies(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's, by `algorithm`, one of its own."""
        if algorithm not in self.algorithms:
            return False
        try:
            return _verifiers[algorithm].verify(message, self.material, signature)
        except (ValueError, UnsupportedAlgorithm):
            return False  # a signature of impossible form


class KeySet:
    """Keys of one issuer at one time. Immutable; sets of the same keys are equal."""

    __slots__ = ("_by_kid", "_identity", "keys", "kids")

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        self.keys = tuple(keys)
        self.kids = frozenset(key.kid for key in self.keys if key.kid is not None)
        self._identity = frozenset((key.kid, key.algorithms, _digest(key.material)) for key in self.keys)
        found: dict[tuple[str | None, str], list[VerificationKey]] = {}
        for key in self.keys:
            for algorithm in key.algorithms:
                found.setdefault((key.kid, algorithm), []).append(key)
        for algorithm in {algorithm for key in self.keys for algorithm in key.algorithms}:
            fitting = [key for key in self.keys if algorithm in key.algorithms]
            if len(fitting) == 1:
                found[None, algorithm] = fitting
        self._by_kid = {at: tuple(each[:MAX_CANDIDATES]) for at, each in found.items()}

    def __repr__(self) -> str:
        return f"<KeySet {len(self.keys)} keys>"

    def __eq__(self, other: object) -> bool:
        return self._identity == other._identity if isinstance(other, KeySet) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity)

    def candidates(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """The keys that a token with this header may be signed by, few: those of its kid, or, where no key has that,
        those without one; for a token without kid, all that have none or are the only one for the algorithm."""
        if kid in self.kids:
            return self._by_kid.get((kid, algorithm), ())
        found = self._by_kid.get((None, algorithm), ())
        # The only key of an algorithm stands there even if it has a kid: another kid than the token's, then.
        return found if kid is None else tuple([key for key in found if key.kid is None])


class KeySource(Protocol):
    """Where a filter's keys come from: a file, a secret, a JWKS endpoint."""

    @property
    def current(self) -> KeySet | None:
        """The keys now; None: there never were any."""

    def refetch(self) -> Deferred[KeySet | None] | None:
        """For a kid that `current` does not have: newer keys, once they are here. None: there is nothing newer to be
        had now (keys from a file, or asked for just now). However many ask, one request goes out."""


def _digest(material: Any) -> bytes:
    if isinstance(material, bytes):
        raw = b"oct" + material
    else:
        raw = material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.blake2b(raw, key=_SALT, digest_size=32).digest()


# Which algorithms a key is for


def _fitting(material: Any) -> tuple[str, ...]:
    """The algorithms that a key object, or a secret, is good and long enough for. Raises BadKey if there is none."""
    if isinstance(material, bytes):
        fitting = tuple(name for name, least in HMAC_ALGORITHMS.items() if len(material) >= least)
        if not fitting:
            raise BadKey("is too short: HS256 needs 32 bytes, HS384 48 and HS512 64")
        return fitting
    if isinstance(material, rsa.RSAPublicKey):
        if not MIN_RSA_BITS <= material.key_size <= MAX_RSA_BITS:
            raise BadKey(f"is an RSA key of {material.key_size} bits; it must have {MIN_RSA_BITS} to {MAX_RSA_BITS}")
        return _RSA
    if isinstance(material, ec.EllipticCurvePublicKey):
        algorithm = _CURVES.get(material.curve.name)
        if algorithm is None:
            raise BadKey(f"is a key of the curve {material.curve.name}; it must be P-256, P-384 or P-521")
        return (algorithm,)
    if isinstance(material, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        return ("EdDSA",)
    raise BadKey("is no RSA, EC or Ed25519 key")


def _bound(kid: str | None, material: Any, algorithms: Collection[str]) -> VerificationKey:
    fitting = _fitting(material)
    bound = frozenset(fitting).intersection(algorithms)
    if not bound:
        raise BadKey(f"is a key for {' or '.join(fitting)}, which algorithms does not name")
    return VerificationKey(kid, bound, material)


# Making keys


def keys_from_secret(secret: bytes, algorithms: Collection[str]) -> KeySet:
    """One shared secret. Raises BadKey for one that is too short for any of the algorithms, and for a text that is
    another kind of key: a public key as HMAC secret is a secret that everybody knows."""
    try:
        material = HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except InvalidKeyError:
        if not secret:
            raise BadKey("is empty") from None
        raise BadKey("is a PEM, a JWK or another written key, not a shared secret") from None
    for name in sorted(algorithms):
        least = HMAC_ALGORITHMS.get(name)
        if least is None:
            raise BadKey(f"is a shared secret, and {name} takes a public key")
        if len(material) < least:
            raise BadKey(f"is too short for {name}, which needs {least} bytes at least (RFC 7518 section 3.2)")
    return KeySet([_bound(None, material, algorithms)])


def keys_from_pem(pem: bytes, algorithms: Collection[str]) -> KeySet:
    """The public keys of a PEM file, one or several. Raises BadKey for anything else in it."""
    keys = []
    for match in _PEM_BLOCK.finditer(pem):
        label = match[1].decode()
        if "PRIVATE" in label:
            raise BadKey("holds a private key; give the public one: openssl pkey -pubout")
        if "CERTIFICATE" in label:
            raise BadKey("holds a certificate; give its public key: openssl x509 -pubkey -noout")
        try:
            material = load_pem_public_key(match[0])
        except (ValueError, UnsupportedAlgorithm):
            raise BadKey(f"holds a {label} that cannot be read") from None
        keys.append(_bound(None, material, algorithms))
    if not keys:
        raise BadKey("holds no public key in PEM (-----BEGIN PUBLIC KEY-----)")
    if len(keys) > MAX_CANDIDATES:
        raise BadKey(f"holds more than {MAX_CANDIDATES} keys; a JWKS can name them by kid")
    return KeySet(keys)


def keys_from_jwks(document: Any, algorithms: frozenset[str], max_keys: int) -> KeySet:
    """The keys of a JWK set (RFC 7517 section 5) that may verify signatures by one of `algorithms`.

    Keys that are of another use, of an unknown type, too short or malformed are left out, as section 5 asks. Raises
    BadKey for a document that is no JWK set, has more than `max_keys` keys in all, or none that can be used.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise BadKey("is no JWK set: it needs a list named keys")
    if len(listed) > max_keys:
        raise BadKey(f"has {len(listed)} keys, more than {max_keys}")
    keys = []
    for jwk in listed:
        try:
            keys.append(key_from_jwk(jwk, algorithms))
        except BadKey:
            continue
    if not keys:
        raise BadKey("has no key that can be used for the configured algorithms")
    return KeySet(keys)


def key_from_jwk(jwk: Any, algorithms: frozenset[str]) -> VerificationKey:
    """One JWK (RFC 7517 section 4). Raises BadKey if it may not verify signatures by one of `algorithms`."""
    if not isinstance(jwk, dict):
        raise BadKey("is no JWK")
    kid, alg, ops = jwk.get("kid"), jwk.get("alg"), jwk.get("key_ops")
    if kid is not None and not (isinstance(kid, str) and len(kid) <= MAX_KID):
        raise BadKey(f"has a kid that is no text of up to {MAX_KID} characters")
    if jwk.get("use", "sig") != "sig":
        raise BadKey("is not for signatures")
    if ops is not None and not (isinstance(ops, list) and "verify" in ops):
        raise BadKey("is not for verifying")
    if alg is not None:
        # An alg that is not configured, or is no text at all, leaves nothing.
        algorithms = algorithms.intersection([alg] if isinstance(alg, str) else ())
    return _bound(kid, _jwk_material(jwk), algorithms)


def _jwk_material(jwk: dict[str, Any]) -> Any:
    kind = jwk.get("kty")
    members = _PUBLIC_MEMBERS.get(kind) if isinstance(kind, str) else None
    if kind is None or members is None:
        raise BadKey("is of an unknown type")
    public = {name: jwk.get(name) for name in members}
    if not all(isinstance(member, str) for member in public.values()):
        raise BadKey("lacks a part")
    name = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA", "oct": "HS256"}[kind]
    try:
        return _verifiers[name].from_jwk({"kty": kind, **public})
    except (InvalidKeyError, ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("is malformed") from None
