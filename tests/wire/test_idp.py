"""The started gateway and a real identity provider: discovery, signed tokens, rotation, introspection, outages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.idp.provider import RESOURCE, IdentityProvider, secret_of
from tests.wire.kit.client import request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Response
from tests.wire.kit.upstream import ScriptedUpstream

CONFIG = """
[gateway]
@STATE@

[admin]
endpoint = tcp:@PORT_ADMIN@:interface=127.0.0.1

[log]
access = access.log
error = error.log
security = security.log

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[upstream:main]
servers = http://127.0.0.1:@MAIN@

[route:signed]
path = /signed/
upstream = main
filters = signed

[route:opaque]
path = /opaque/
upstream = main
filters = opaque, readers

[route:posted]
path = /posted/
upstream = main
filters = posted

[filter:signed]
type = jwt
algorithms = RS256
issuer = @ISSUER@
discover = yes
jwks_refresh = 1s
audience = @RESOURCE@
claims_to_headers = sub: X-User, scope: X-Scope

[filter:opaque]
type = introspection
url = @ISSUER@/token/introspection
client_id = gateway
client_secret = @SECRET@
cache_ttl = 500ms
negative_ttl = 100ms
issuer = @ISSUER@
claims_to_headers = client_id: X-Client

[filter:readers]
type = require
scopes = read

[filter:posted]
type = introspection
url = @ISSUER@/token/introspection
client_id = gateway-post
client_secret = @SECRET_POST@
client_auth = post
on_error = allow
claims_to_headers = client_id: X-Client
"""

SIGNED, OPAQUE, POSTED = b"/signed/x", b"/opaque/x", b"/posted/x"


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[IdentityProvider]:
    made = IdentityProvider(tmp_path / "provider.log")
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
def upstream(upstreams: dict[str, ScriptedUpstream]) -> ScriptedUpstream:
    upstreams["MAIN"].forget()
    return upstreams["MAIN"]


@contextmanager
def gateway_for(
    provider: IdentityProvider, upstream: ScriptedUpstream, folder: Path, state: str = ""
) -> Iterator[GatewayProcess]:
    values = {
        "STATE": state,
        "MAIN": upstream.port,
        "ISSUER": provider.issuer,
        "RESOURCE": RESOURCE,
        "SECRET": secret_of("gateway"),
        "SECRET_POST": secret_of("gateway-post"),
    }
    with running(CONFIG, folder, values) as gateway:
        yield gateway


def ask(gateway: GatewayProcess, target: bytes, token: bytes | None, *lines: bytes) -> Response:
    authorization = [] if token is None else [b"Authorization: Bearer " + token]
    with gateway.connect() as client:
        return client.ask(request(*authorization, *lines, target=target))


def reason(response: Response) -> str:
    """What the error page says."""
    return next(word for word in response.body.decode().split('"') if word.startswith(("token_", "keys_", "auth")))


def wait_for_status(gateway: GatewayProcess, target: bytes, token: bytes, status: int) -> Response:
    """The provider is looked at in the background, and tells nobody when."""
    deadline = time.monotonic() + 15
    while (response := ask(gateway, target, token)).status != status:
        assert time.monotonic() < deadline, f"still {response}"
        time.sleep(0.05)
    return response


def test_signed_tokens(provider: IdentityProvider, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """Found by discovery: tokens for us pass, others do not."""
    with gateway_for(provider, upstream, tmp_path) as gateway:
        token = provider.jwt("read write")
        for _ in range(2):
            assert ask(gateway, SIGNED, token, b"X-User: mallory", b"x_scope: admin").status == 200
        sent = upstream.requests[-1].headers
        assert (sent.all(b"x-user"), sent.all(b"x-scope"), sent.all(b"x_scope")) == ([b"reports"], [b"read write"], [])

        head, payload, signature = token.split(b".")
        forged = b".".join([head, payload, signature[::-1]])
        assert ask(gateway, SIGNED, forged).status == 401
        other = ask(gateway, SIGNED, provider.jwt(resource="https://other.example.com/"))
        assert (other.status, reason(other)) == (401, "token_audience")
        assert ask(gateway, SIGNED, provider.opaque()).status == 401
        nobody = ask(gateway, SIGNED, None)
        assert (nobody.status, nobody.headers.get(b"www-authenticate")) == (401, b'Bearer realm="api"')
        assert len(upstream.requests) == 2
        metrics = gateway.metrics()
        assert metrics.value("gateway_jwks_keys", filter="signed") == 1
        assert metrics.value("gateway_jwks_fetches_total", filter="signed", outcome="ok") >= 1
        assert metrics.value("gateway_filter_decisions_total", filter="signed", decision="allow") == 2


def test_e3_rotation(provider: IdentityProvider, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """A new key is found as soon as a token names it; one that is gone is good until the next refresh."""
    with gateway_for(provider, upstream, tmp_path) as gateway:
        old = provider.jwt()
        assert ask(gateway, SIGNED, old).status == 200
        provider.rotate()
        new = provider.jwt()
        # within min_interval of the last fetch there is no other: not at once, then, but soon
        wait_for_status(gateway, SIGNED, new, 200)
        assert ask(gateway, SIGNED, old).status == 200
        provider.retire()
        assert reason(wait_for_status(gateway, SIGNED, old, 401)) == "token_key"
        assert ask(gateway, SIGNED, new).status == 200


def test_e3_outage(provider: IdentityProvider, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """Keys that are here go on, over a restart too; and what comes back is seen."""
    state = tmp_path / "state"
    state.mkdir()
    with gateway_for(provider, upstream, tmp_path, f"state_dir = {state}") as gateway:
        token = provider.jwt()
        assert ask(gateway, SIGNED, token).status == 200
        provider.kill()
        failed = gateway.wait_for_log(lambda each: "cannot be fetched" in each["message"], "error.log")
        assert "[filter:signed]" in failed["message"]
        assert ask(gateway, SIGNED, token).status == 200

        assert gateway.stop() == 0
        gateway.start()
        assert ask(gateway, SIGNED, token).status == 200
        assert gateway.metrics().value("gateway_jwks_age_seconds", filter="signed") > 0

        provider.start()
        wait_for_status(gateway, SIGNED, provider.jwt(), 200)
        assert ask(gateway, SIGNED, token).status == 401


def test_e3_no_keys_at_all(provider: IdentityProvider, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """Down at start, and nothing kept: 503 until the provider is there."""
    token = provider.jwt()
    provider.kill()
    with gateway_for(provider, upstream, tmp_path) as gateway:
        response = ask(gateway, SIGNED, token)
        assert (response.status, reason(response)) == (503, "keys_unavailable")
        assert response.headers.get(b"retry-after")
        provider.start()
        wait_for_status(gateway, SIGNED, provider.jwt(), 200)


def test_opaque_tokens(provider: IdentityProvider, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """Asked about, with credentials in the header and in the form; a revoked one passes no longer than cache_ttl."""
    with gateway_for(provider, upstream, tmp_path) as gateway:
        token = provider.opaque()
        for target in (OPAQUE, POSTED):
            assert ask(gateway, target, token, b"X-Client: mallory").status == 200
            assert upstream.requests[-1].headers.all(b"x-client") == [b"reports"]
        assert ask(gateway, OPAQUE, provider.opaque("write")).status == 403
        unknown = ask(gateway, OPAQUE, b"unknown")
        assert (unknown.status, reason(unknown)) == (401, "token_inactive")
        provider.revoke(token)
        wait_for_status(gateway, OPAQUE, token, 401)


def test_e4_nobody_to_ask(provider: IdentityProvider, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """Denied, except where the configuration lets them in: as nobody."""
    with gateway_for(provider, upstream, tmp_path) as gateway:
        known, unknown = provider.opaque(), provider.opaque()
        assert ask(gateway, POSTED, known).status == 200
        provider.kill()
        response = ask(gateway, OPAQUE, unknown)
        assert (response.status, reason(response)) == (503, "authority_unavailable")
        assert ask(gateway, POSTED, known).status == 200  # remembered
        assert upstream.requests[-1].headers.all(b"x-client") == [b"reports"]
        assert ask(gateway, POSTED, unknown, b"X-Client: mallory").status == 200
        assert upstream.requests[-1].headers.all(b"x-client") == []
        decisions = gateway.metrics()
        assert decisions.value("gateway_filter_decisions_total", filter="posted", decision="error") == 1
        provider.start()
        wait_for_status(gateway, OPAQUE, provider.opaque(), 200)
