"""What one filter alone costs a request that it lets pass: its hooks in the gateway's own chain, in memory.

And what it costs to verify a token that was not seen before. All of it is in this process: no sockets, no load.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import bcrypt
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from bench.gateways import Bench, Peer
from bench.measures.cpu import Samples
from bench.request import CLAIMS, KEY, ORIGIN, token
from gwproxy.calls import Answer
from gwproxy.filters.api import Principal
from gwproxy.filters.chain import FilterChain
from gwproxy.filters.key_file import make_key, written
from gwproxy.http.headers import Headers
from gwproxy.testing import FakeCalls, FakeExchange, Surroundings, build_filter

NOTHING = "(no filter)"
TELLS_OF_TOKENS = "http://127.0.0.1:9/introspect"
TELLS_OF_REQUESTS = "http://127.0.0.1:9/may"
TIMES = 20_000
TOKENS = 500  # of each algorithm

HEADERS: Headers = [
    (b"User-Agent", b"bench"),
    (b"Accept", b"*/*"),
    (b"Origin", ORIGIN.encode()),
    (b"Cookie", b"theme=dark; token=%b" % token("HS256").encode()),
    (b"X-API-Key", b"unknown"),
]
RESPONSE: Headers = [(b"Content-Type", b"application/json"), (b"Content-Length", b"100"), (b"Server", b"nginx")]
SOMEBODY = Principal("user-123", {**CLAIMS, "jti": "1", "scope": "read write", "roles": ["dev", "admin"]}, method="jwt")


def measure_filters(bench: Bench, peers: Sequence[Peer]) -> dict[str, Samples]:
    """By filter, one sample a round: microseconds a request, without what the chain costs by itself."""
    del peers  # none is started
    with tempfile.TemporaryDirectory() as folder:
        played = {name: _played(made, headers) for name, (made, headers) in _filters(Path(folder)).items()}
        empty = _played(None, HEADERS)
        samples: dict[str, Samples] = {name: {"us": []} for name in [NOTHING, *played]}
        for _ in range(bench.rounds):
            alone = _timed(empty)
            samples[NOTHING]["us"].append(alone)
            for name, run in played.items():
                samples[name]["us"].append(_timed(run) - alone)
        for algorithm in ("HS256", "RS256", "ES256"):
            samples[f"jwt, first {algorithm}"] = {"us": [_first_seen(algorithm) for _ in range(bench.rounds)]}
    return samples


def _filters(folder: Path) -> dict[str, tuple[object, Headers]]:
    """Each with a request that it lets pass."""
    active = Answer(200, [(b"Content-Type", b"application/json")], b'{"active": true, "sub": "user-123"}')
    calls = FakeCalls({TELLS_OF_TOKENS: [active], TELLS_OF_REQUESTS: [Answer(200, [(b"X-User", b"ann")], b"")]})
    around = Surroundings(calls=calls)
    names = ("secret", "users", "schema.json", "networks", "keys.ini", "revoked")
    secret, users, schema, networks, api_keys, revoked = (folder / name for name in names)
    api_key, stored = make_key("partner")
    api_keys.write_text(written(stored))
    revoked.write_text("".join(f"jti {n}-{n}\n" for n in range(1000)))
    secret.write_bytes(KEY)
    users.write_bytes(b"ann:%b\n" % bcrypt.hashpw(b"secret", bcrypt.gensalt(4)))
    schema.write_text(json.dumps({"type": "object", "properties": {"id": {"type": "integer"}}}))
    networks.write_text("".join(f"10.{a}.{b}.0/24\n" for a in range(20) for b in range(256)))
    bearer = (b"Authorization", b"Bearer %b" % token("HS256").encode())
    basic = (b"Authorization", b"Basic YW5uOnNlY3JldA==")
    keyed = {"algorithms": "HS256", "secret_file": str(secret), "issuer": CLAIMS["iss"], "audience": CLAIMS["aud"]}
    configured: dict[str, tuple[str, Mapping[str, object], Headers]] = {
        "cookie_to_header": ("cookie_to_header", {}, []),
        "jwt, seen before": ("jwt", keyed, [bearer]),
        "jwt, with claims": ("jwt", {**keyed, "claims_to_headers": "sub: X-User-Id"}, [bearer]),
        "basic_auth, seen": ("basic_auth", {"file": users}, [basic]),
        "introspection, seen": (
            "introspection",
            {"url": TELLS_OF_TOKENS, "client_id": "gw", "client_secret": "s", "cache_ttl": "1h"},
            [bearer],
        ),
        "revocation, 1,000": ("revocation", {"file": revoked}, []),
        "api_key": ("api_key", {"file": api_keys, "header": "X-Key"}, [(b"X-Key", api_key.encode())]),
        "forward_auth, seen": (
            "forward_auth",
            {"url": TELLS_OF_REQUESTS, "take_headers": "X-User", "cache_ttl": "1h"},
            [],
        ),
        "require": ("require", {"claim": "roles", "any": "admin, ops"}, []),
        "ip, 5,120 networks": ("ip", {"deny_file": networks}, []),
        "rate_limit": ("rate_limit", {"rate": "1000000/s", "burst": "1000000"}, []),
        "concurrency": ("concurrency", {"limit": "10"}, []),
        "body_limit": ("body_limit", {"max": "1m"}, []),
        "json_body": ("json_body", {"schema": schema}, [(b"Content-Type", b"application/json")]),
        "cors": ("cors", {"origins": ORIGIN}, []),
        "csrf": ("csrf", {"origins": ORIGIN}, []),
        "headers": ("headers", {"request_set": "X-Ip: $client_ip"}, []),
        "security_headers": ("security_headers", {"csp": "default-src 'none'"}, []),
    }
    return {
        title: (build_filter(kind, {key: str(value) for key, value in options.items()}, around=around), HEADERS + more)
        for title, (kind, options, more) in configured.items()
    }


def _played(filter_object: object | None, headers: Headers) -> Callable[[], None]:
    """One exchange through a filter, from the head to its end."""
    chain = FilterChain([] if filter_object is None else [("one", filter_object)])
    body = b'{"id": 1}' if (b"Content-Type", b"application/json") in headers else b""
    exchange = FakeExchange(b"POST" if body else b"GET", b"/api/user/123", headers, body=body)
    sent = exchange.headers

    def play() -> None:
        exchange.headers = sent.copy()
        exchange.principal = SOMEBODY
        verdict = chain.run_request(exchange)
        exchange.outgoing = exchange  # type: ignore[assignment]  # has all that an attempt's head has
        if chain.has_attempt:
            chain.run_attempt(exchange)
        exchange.status, exchange.from_upstream, exchange.response_headers = 200, True, RESPONSE.copy()
        if chain.has_response:
            chain.run_response(exchange)
        if chain.has_done:
            chain.run_done(exchange)
        assert verdict is None, verdict

    play()  # what is seen before, is seen now
    return play


def _timed(run: Callable[[], None]) -> float:
    began = time.process_time()
    for _ in range(TIMES):
        run()
    return (time.process_time() - began) / TIMES * 1e6


def _first_seen(algorithm: str) -> float:
    """Microseconds for a token that the filter sees for the first time."""
    signing, public = _key_pair(algorithm)
    tokens = [jwt.encode({**CLAIMS, "n": n}, signing, algorithm, {"kid": "k"}) for n in range(TOKENS)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.json"
        file.write_text(json.dumps({"keys": [{**public, "kid": "k", "alg": algorithm}]}))
        options = {"algorithms": algorithm, "jwks_file": str(file), "issuer": CLAIMS["iss"], "audience": CLAIMS["aud"]}
        tokens_filter = build_filter("jwt", options)
    exchanges = [FakeExchange(headers=[(b"Authorization", b"Bearer %b" % each.encode())]) for each in tokens]
    began = time.process_time()
    verdicts = [tokens_filter.on_request(exchange) for exchange in exchanges]
    spent = time.process_time() - began
    assert not any(verdicts), verdicts[0]
    return spent / TOKENS * 1e6


def _key_pair(algorithm: str) -> tuple[Any, dict[str, str]]:
    """What signs, and the JWK that verifies."""
    if algorithm == "HS256":
        return KEY, json.loads(jwt.algorithms.HMACAlgorithm.to_jwk(KEY))
    if algorithm == "RS256":
        key = rsa.generate_private_key(65537, 2048)
        return key, json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    curve = ec.generate_private_key(ec.SECP256R1())
    return curve, json.loads(ECAlgorithm.to_jwk(curve.public_key()))
