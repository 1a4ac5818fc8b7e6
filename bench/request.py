"""The request that every peer serves: a bearer token that Envoy's policies accept, and an Origin that CORS knows."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

KEY = b"my-secret-key-0123456789abcdef0123456789"  # for these measurements only; peers/envoy.yaml holds it as a JWK
PATH = "/api/user/123"
ORIGIN = "https://frontend.example.com"
CLAIMS: dict[str, Any] = {
    "iss": "https://idp.example",
    "aud": "api",
    "sub": "user-123",
    "exp": 4_102_444_800,
}  # 2100-01-01


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Signs the RS256 tokens of this run."""
    return rsa.generate_private_key(65537, 2048)


@cache
def token(algorithm: str) -> str:
    """A token that the policies let pass, signed by HS256 or RS256."""
    return jwt.encode(CLAIMS, KEY if algorithm == "HS256" else rsa_key(), algorithm, {"kid": algorithm})


def keys(algorithm: str) -> str:
    """The JWKS with the key that verifies them."""
    if algorithm == "HS256":
        key = {"kty": "oct", "k": base64.urlsafe_b64encode(KEY).rstrip(b"=").decode()}
    else:
        key = json.loads(RSAAlgorithm.to_jwk(rsa_key().public_key()))
    return json.dumps({"keys": [{**key, "kid": algorithm, "alg": algorithm}]})


def bearer(algorithm: str = "HS256") -> dict[str, str]:
    """The header fields of a client that sends its token itself."""
    return {"Authorization": f"Bearer {token(algorithm)}", "Origin": ORIGIN}


def cookie(algorithm: str = "HS256") -> dict[str, str]:
    """Those of a browser that has it in a cookie."""
    return {"Cookie": f"theme=dark; token={token(algorithm)}", "Origin": ORIGIN}


HEADERS = bearer()


def request_bytes(
    method: str = "GET", path: str = PATH, *, length: int | None = None, headers: Mapping[str, str] = HEADERS
) -> bytes:
    """The head of a request as it goes over the wire; with `length` it announces a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()
