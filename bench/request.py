"""The request that every peer serves: a bearer token that Envoy's policies accept, and an Origin that CORS knows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

KEY = b"my-secret-key-0123456789abcdef0123456789"  # for these measurements only; peers/envoy.yaml holds it as a JWK
PATH = "/api/user/123"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _token() -> str:
    header = _base64url(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    claims = {"iss": "https://idp.example", "aud": "api", "sub": "user-123", "exp": 4_102_444_800}  # 2100-01-01
    signed = f"{header}.{_base64url(json.dumps(claims).encode())}"
    return f"{signed}.{_base64url(hmac.digest(KEY, signed.encode(), hashlib.sha256))}"


HEADERS = {"Authorization": f"Bearer {_token()}", "Origin": "https://frontend.example.com"}


def request_bytes(method: str = "GET", path: str = PATH, *, length: int | None = None) -> bytes:
    """The head of a request as it goes over the wire; with `length` it announces a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in HEADERS.items())]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()
