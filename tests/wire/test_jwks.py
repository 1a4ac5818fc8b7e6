"""SCORECARD E3 at the started gateway, with a key server whose every answer the test decides."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from tests.wire.kit.client import RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.upstream import Handler, ScriptedUpstream, UpstreamConnection, respond

CONFIG = """
[admin]
endpoint = tcp:@PORT_ADMIN@:interface=127.0.0.1

[log]
access = access.log
error = error.log
security = off

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[route:local]
path = /
respond = 200 in
filters = signed

[filter:signed]
type = jwt
algorithms = EdDSA
jwks_url = http://127.0.0.1:@KEYS@/jwks
"""


class Signer:
    """Signs tokens with one key."""

    def __init__(self, kid: str) -> None:
        self._kid = kid
        self._key = Ed25519PrivateKey.generate()
        self.jwk: dict[str, Any] = {**OKPAlgorithm.to_jwk(self._key.public_key(), as_dict=True), "kid": kid}

    def token(self, kid: str | None = None) -> bytes:
        claims = {"sub": "alice", "exp": int(time.time()) + 600}  # noqa: TID251  # a date in a token
        return jwt.encode(claims, self._key, "EdDSA", {"kid": kid or self._kid}).encode()


def answering(document: Any) -> Handler:
    body = json.dumps(document).encode()
    return respond(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def publishing(*signers: Signer) -> Handler:
    return answering({"keys": [signer.jwk for signer in signers]})


@pytest.fixture
def keys() -> Iterator[ScriptedUpstream]:
    """The key server."""
    server = ScriptedUpstream()
    yield server
    server.close()


@pytest.fixture
def signer() -> Signer:
    return Signer("a")


@pytest.fixture
def gateway(keys: ScriptedUpstream, signer: Signer, tmp_path: Path) -> Iterator[GatewayProcess]:
    """One that has the keys of `signer`."""
    keys.handler = publishing(signer)
    with running(CONFIG, tmp_path, {"KEYS": keys.port}) as process:
        keys.wait_for_requests(1)
        with process.connect() as client:
            assert status(client, signer.token()) == 200
        yield process


def ask(token: bytes) -> bytes:
    return request(b"Authorization: Bearer " + token, target=b"/")


def status(client: RawClient, token: bytes) -> int:
    return client.ask(ask(token)).status


def test_e3_unknown_kids_make_at_most_one_fetch_a_second(
    gateway: GatewayProcess, keys: ScriptedUpstream, signer: Signer
) -> None:
    """From several clients at once, and each with another kid."""
    before = len(keys.requests)
    began = time.monotonic()
    asked = 0
    clients = [gateway.connect() for _ in range(8)]
    while time.monotonic() - began < 3:
        for number, client in enumerate(clients):
            client.send(ask(signer.token(f"unknown-{asked}-{number}")))
        for client in clients:
            assert client.read_response().status == 401
            asked += 1
    took = time.monotonic() - began
    for client in clients:
        client.close()
    fetches = len(keys.requests) - before
    assert 1 <= fetches <= took + 1, f"{fetches} fetches in {took:.2f} s, of {asked} requests"
    assert asked > 50


def test_e3_a_slow_fetch_holds_up_nobody_whose_key_is_known(
    gateway: GatewayProcess, keys: ScriptedUpstream, signer: Signer
) -> None:
    """The key server does not answer before all of them have passed; who waits for the new key passes then."""
    fetching, gate = threading.Event(), threading.Event()
    new = Signer("b")
    publish = publishing(signer, new)

    def slow(connection: UpstreamConnection) -> None:
        fetching.set()
        connection.wait(gate)
        publish(connection)

    keys.handler = slow
    with gateway.connect() as waiting, gateway.connect() as known:
        try:
            while not fetching.is_set():
                waiting.send(ask(new.token()))
                while not fetching.wait(0.05) and waiting.has_nothing():
                    pass
                if not fetching.is_set():  # so soon after the last fetch the answer is no, at once
                    assert waiting.read_response().status == 401
            for _ in range(100):
                assert status(known, signer.token()) == 200
            assert waiting.has_nothing()
        finally:
            gate.set()
        assert waiting.read_response().status == 200


def many(count: int) -> dict[str, Any]:
    jwk = Signer("a").jwk
    return {"keys": [{**jwk, "kid": str(number)} for number in range(count)]}


@pytest.mark.parametrize(
    ("document", "outcome"),
    [("garbage", "document"), ({"keys": []}, "document"), (many(101), "document"), (many(100_000), "too_large")],
    ids=["garbage", "none", "101", "100000"],
)
def test_what_is_no_key_set_replaces_nothing(
    gateway: GatewayProcess, keys: ScriptedUpstream, signer: Signer, document: Any, outcome: str
) -> None:
    keys.handler = answering(document)
    deadline = time.monotonic() + 15
    with gateway.connect() as client:
        while not gateway.metrics().value("gateway_jwks_fetches_total", filter="signed", outcome=outcome):
            assert time.monotonic() < deadline
            assert status(client, signer.token("unknown")) == 401
        assert status(client, signer.token()) == 200
    assert gateway.metrics().value("gateway_jwks_keys", filter="signed") == 1
