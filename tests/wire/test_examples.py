"""The examples in etc/examples: each is started as it is, but for ports, logs and keys, and does what it promises."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gwproxy.cli import main
from gwproxy.runtime.wall import wall_clock
from tests.idp.provider import RESOURCE, IdentityProvider
from tests.wire.kit.client import request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Response

EXAMPLES = Path(__file__).parents[2] / "etc" / "examples"
LOGS = "\n[log]\naccess = access.log\nerror = error.log\nsecurity = security.log\n"


@contextmanager
def example(
    name: str, folder: Path, files: Mapping[str, str], more: Mapping[str, str] = {}
) -> Iterator[GatewayProcess]:
    """The example, with the files that its comments say how to make. `more` is replaced in it: addresses, say."""
    for path in EXAMPLES.iterdir():
        if path.suffix != ".ini":
            (folder / path.name).write_bytes(path.read_bytes())
    for file, content in files.items():
        (folder / file).write_text(content)
    text = (EXAMPLES / f"{name}.ini").read_text()
    places = {
        "tcp:8080": "tcp:@PORT@:interface=127.0.0.1",
        "tcp:9180:interface=127.0.0.1": "tcp:@PORT_ADMIN@:interface=127.0.0.1",
    }
    for old, new in {**places, **(more or {})}.items():
        assert old in text, f"{name}.ini has no {old}"
        text = text.replace(old, new)
    with running(text + LOGS, folder, {}) as gateway:
        yield gateway


def ask(gateway: GatewayProcess, *lines: bytes, **parts: Any) -> Response:
    body = parts.get("body", b"")
    framing = [b"Content-Length: %d" % len(body)] if body else []
    with gateway.connect() as client:
        return client.ask(request(*lines, *framing, **parts), method=parts.get("method", b"GET"))


def refusal(response: Response) -> tuple[int, str]:
    """Status and reason of an error page."""
    return response.status, json.loads(response.body)["reason"]


def sent_upstream(response: Response) -> dict[str, str]:
    """The headers that the echo service got, by names in lower case."""
    assert response.status == 200, response
    return {name.lower(): value for name, value in json.loads(response.body)["headers"]}


def test_all_examples_are_here() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.ini")) == ["idp", "machine", "public_api", "spa"]


# A single-page application

SECRET = "0123456789abcdef" * 4
PAGE = b"Origin: https://app.example.com"
ELSEWHERE = b"Origin: https://app.example.com.evil.example"


def session(**claims: Any) -> bytes:
    now = int(wall_clock())
    known = {"sub": "alice", "iss": "https://app.example.com", "exp": now + 60, **claims}
    return jwt.encode(known, SECRET, "HS256").encode()


@pytest.fixture(scope="module")
def spa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with example("spa", tmp_path_factory.mktemp("spa"), {"jwt.secret": f"{SECRET}\n"}) as gateway:
        yield gateway


def test_spa_a_page_calls_with_its_cookie(spa: GatewayProcess) -> None:
    cookie = b"Cookie: theme=dark; token=" + session()
    response = ask(spa, PAGE, cookie, b"X-User-Id: mallory", target=b"/api/x")
    got = sent_upstream(response)
    assert (got["x-user-id"], got["cookie"]) == ("alice", "theme=dark")
    assert got["authorization"].startswith("Bearer ")
    headers = response.headers
    assert headers.get(b"access-control-allow-origin") == PAGE[8:]
    assert headers.get(b"access-control-allow-credentials") == b"true"
    assert headers.get(b"x-content-type-options") == b"nosniff"
    assert headers.get(b"content-security-policy") == b"default-src 'none'; frame-ancestors 'none'"


def test_spa_a_preflight_needs_no_cookie(spa: GatewayProcess) -> None:
    asks = [b"Access-Control-Request-Method: DELETE", b"Access-Control-Request-Headers: content-type"]
    response = ask(spa, PAGE, *asks, method=b"OPTIONS", target=b"/api/x")
    assert response.status == 204
    assert b"DELETE" in (response.headers.get(b"access-control-allow-methods") or b"")
    other = ask(spa, ELSEWHERE, *asks, method=b"OPTIONS", target=b"/api/x")
    assert b"access-control-allow-origin" not in other.headers


def test_spa_who_is_not_logged_in_is_told_so_and_the_page_can_read_it(spa: GatewayProcess) -> None:
    refused = {
        "no_credentials": b"a=b",
        "token_expired": b"token=" + session(exp=int(wall_clock()) - 3600),
        "token_issuer": b"token=" + session(iss="https://evil.example"),
        "token_signature": b"token=" + session()[:-3] + b"AAA",
    }
    for reason, cookie in refused.items():
        response = ask(spa, PAGE, b"Cookie: " + cookie, target=b"/api/x")
        assert refusal(response) == (401, reason)
        assert response.headers.get(b"access-control-allow-origin") == PAGE[8:]
        assert response.headers.get(b"x-frame-options") == b"DENY"


def test_spa_another_site_makes_the_browser_send_something(spa: GatewayProcess) -> None:
    cookie = b"Cookie: token=" + session()
    for origin in (ELSEWHERE, b"Origin: null", b"Sec-Fetch-Site: cross-site"):
        assert refusal(ask(spa, origin, cookie, method=b"POST", target=b"/api/x", body=b"{}")) == (403, "origin_denied")
    assert ask(spa, PAGE, cookie, method=b"POST", target=b"/api/x", body=b"{}").status == 200


def test_spa_logging_in_needs_no_token(spa: GatewayProcess) -> None:
    response = ask(spa, PAGE, b"X-User-Id: mallory", method=b"POST", target=b"/api/login", body=b"{}")
    assert "x-user-id" not in sent_upstream(response)


# Machine to machine

ORDER = b'{"items":[{"id":"a-1","quantity":2}]}'
JSON = b"Content-Type: application/json"


@pytest.fixture(scope="module")
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, signing_key: rsa.RSAPrivateKey) -> Iterator[GatewayProcess]:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signing_key.public_key()))
    keys = json.dumps({"keys": [{**public, "kid": "1", "use": "sig", "alg": "RS256"}]})
    with example("machine", tmp_path_factory.mktemp("machine"), {"jwks.json": keys}) as gateway:
        yield gateway


@pytest.fixture
def bearer(signing_key: rsa.RSAPrivateKey) -> Any:
    def make(scope: str = "orders:read orders:write", client: str = "shop", **claims: Any) -> bytes:
        known = {
            "iss": "https://auth.example.com",
            "aud": "https://orders.example.com",
            "exp": int(wall_clock()) + 60,
            "client_id": client,
            "scope": scope,
        }
        token = jwt.encode({**known, **claims}, signing_key, "RS256", headers={"kid": "1"})
        return b"Authorization: Bearer " + token.encode()

    return make


def test_machine_scopes(machine: GatewayProcess, bearer: Any) -> None:
    order = {"target": b"/orders", "body": ORDER}
    assert sent_upstream(ask(machine, bearer(), target=b"/orders"))["x-client-id"] == "shop"
    response = ask(machine, bearer(), JSON, method=b"POST", **order)
    assert json.loads(response.body)["body"] == ORDER.decode()
    reads, writes = bearer("orders:read"), bearer("orders:write")
    assert ask(machine, reads, target=b"/orders/1").status == 200
    assert refusal(ask(machine, writes, target=b"/orders/1")) == (403, "scope_denied")
    assert refusal(ask(machine, reads, JSON, method=b"POST", **order)) == (403, "scope_denied")
    assert ask(machine, writes, JSON, method=b"POST", **order).status == 200


def test_machine_other_tokens(machine: GatewayProcess, bearer: Any) -> None:
    refused = {
        "token_audience": bearer(aud="https://other.example.com"),
        "token_issuer": bearer(iss="https://evil.example"),
        "token_expired": bearer(exp=int(wall_clock()) - 3600),
        "no_credentials": b"X-None: 1",
    }
    for reason, line in refused.items():
        response = ask(machine, line, target=b"/orders")
        assert refusal(response) == (401, reason)
        assert (response.headers.get(b"www-authenticate") or b"").startswith(b"Bearer")


def test_machine_bodies(machine: GatewayProcess, bearer: Any) -> None:
    def posted(body: bytes, *lines: bytes) -> Response:
        return ask(machine, bearer(client="bodies"), *lines, method=b"POST", target=b"/orders", body=body)

    assert refusal(posted(b"{", JSON)) == (400, "body_not_json")
    assert refusal(posted(b"", JSON)) == (400, "body_not_json")
    assert refusal(posted(ORDER, b"Content-Type: text/plain")) == (415, "body_type")
    assert refusal(posted(b'"' + b"a" * 65_536 + b'"', JSON)) == (413, "body_limit")
    broken = posted(b'{"items":[{"id":"a","quantity":0}]}', JSON)
    assert refusal(broken) == (422, "body_schema")
    assert json.loads(broken.body)["pointer"] == "/items/0/quantity"
    unknown = posted(b'{"items":[{"id":"a","quantity":1}],"price":1}', JSON)
    assert json.loads(unknown.body)["pointer"] == "/price"


def test_machine_each_client_has_a_limit_of_its_own(machine: GatewayProcess, bearer: Any) -> None:
    greedy = bearer(client="greedy")
    with machine.connect() as client:
        answers = [client.ask(request(greedy, target=b"/orders")) for _ in range(25)]
    # ten a second come back meanwhile
    refused = [each for each in answers if each.status == 429]
    assert [each.status for each in answers[:20]] == [200] * 20
    assert refused and refusal(refused[0]) == (429, "rate_limit")
    assert int(refused[0].headers.get(b"retry-after") or 0) >= 1
    assert ask(machine, bearer(client="modest"), target=b"/orders").status == 200


# An identity provider


def test_idp_keys_that_change_and_tokens_that_do_not_count(tmp_path: Path) -> None:
    provider = IdentityProvider(tmp_path / "provider.log")
    (tmp_path / "state").mkdir()
    try:
        provider.start()
        addresses = {"https://idp.example.com": provider.issuer, "https://api.example.com/": RESOURCE}
        with example("idp", tmp_path, {}, addresses) as gateway:
            _judge_tokens(gateway, provider)
            provider.kill()
            token = _keeps_its_keys(gateway, provider)
            _revokes(gateway, tmp_path / "revoked.txt", token)
    finally:
        provider.kill()


def _authorization(token: bytes) -> bytes:
    return b"Authorization: Bearer " + token


def _judge_tokens(gateway: GatewayProcess, provider: IdentityProvider) -> None:
    got = sent_upstream(ask(gateway, _authorization(provider.jwt("read"))))
    assert (got["x-user-id"], got["x-scopes"]) == ("reports", "read")
    foreign = provider.jwt(resource="https://other.example.com/")
    assert refusal(ask(gateway, _authorization(foreign))) == (401, "token_audience")
    assert refusal(ask(gateway, _authorization(provider.jwt("read")), target=b"/admin/x")) == (403, "scope_denied")
    provider.rotate()
    token = _authorization(provider.jwt("read"))
    _until(lambda: ask(gateway, token).status == 200)


def _keeps_its_keys(gateway: GatewayProcess, provider: IdentityProvider) -> bytes:
    """The provider is down, and the gateway starts again."""
    assert gateway.stop() == 0
    provider.start()
    token = provider.jwt("read")
    gateway.start()
    _until(lambda: ask(gateway, _authorization(token)).status == 200)
    provider.kill()
    assert gateway.stop() == 0
    gateway.start()
    assert ask(gateway, _authorization(token)).status == 200
    return token


def _revokes(gateway: GatewayProcess, file: Path, token: bytes) -> None:
    payload = token.split(b".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    file.write_text(f"{file.read_text()}jti {claims['jti']}\n")
    _until(lambda: ask(gateway, _authorization(token)).status == 401)
    assert refusal(ask(gateway, _authorization(token))) == (401, "token_revoked")


def _until(holds: Any) -> None:
    """Files and keys are looked at in the background, which tells nobody when."""
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# A public API


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Made by the command that the example's comments name."""
    folder = tmp_path_factory.mktemp("keys")
    made = {}
    for client in ("acme", "other"):
        arguments = ["key", str(folder / "keys.ini"), client, "--claim", "plan=free"]
        command = [sys.executable, "-m", "gwproxy.cli", *arguments]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        made[client] = next(word for word in done.stdout.split() if word.startswith(b"gw_"))
    made["file"] = (folder / "keys.ini").read_bytes()
    return made


@pytest.fixture(scope="module")
def public_api(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, bytes]) -> Iterator[GatewayProcess]:
    files = {"keys.ini": keys["file"].decode()}
    with example("public_api", tmp_path_factory.mktemp("public"), files) as gateway:
        yield gateway


def test_public_api_keys(public_api: GatewayProcess, keys: dict[str, bytes]) -> None:
    line = b"X-API-Key: " + keys["acme"]
    got = sent_upstream(ask(public_api, line, b"X-Customer: mallory", target=b"/v1/weather"))
    assert (got["x-customer"], got["x-plan"]) == ("acme", "free")
    assert "x-api-key" not in got
    assert refusal(ask(public_api, target=b"/v1/weather")) == (401, "no_credentials")
    assert refusal(ask(public_api, line[:-1], target=b"/v1/weather")) == (401, "key_unknown")
    large = ask(public_api, line, method=b"POST", target=b"/v1/weather", body=b"x" * 16_385)
    assert refusal(large) == (413, "body_limit")


def test_public_api_limits_and_quotas(public_api: GatewayProcess, keys: dict[str, bytes]) -> None:
    line = b"X-API-Key: " + keys["other"]
    with public_api.connect() as client:
        answers = [client.ask(request(line, target=b"/v1/weather")) for _ in range(12)]
    assert [each.status for each in answers[:5]] == [200] * 5
    refused = [each for each in answers if each.status == 429]
    assert refused and refusal(refused[0]) == (429, "rate_limit")
    assert refused[0].headers.get(b"retry-after") == b"1"
    policies = b", ".join(answers[0].headers.all(b"ratelimit-policy"))
    assert b"10000" in policies and b"86400" in policies
    decided = public_api.metrics()
    assert decided.value("gateway_filter_decisions_total", filter="pace", decision="deny") == len(refused)


def test_public_api_blocked_addresses(public_api: GatewayProcess, keys: dict[str, bytes]) -> None:
    line = b"X-API-Key: " + keys["acme"]
    file = public_api.folder / "blocked.txt"
    before = file.read_text()
    file.write_text(f"{before}127.0.0.0/8\n")
    _until(lambda: ask(public_api, line, target=b"/v1/weather").status == 403)
    event = public_api.wait_for_log(lambda each: each["event"] == "ip_denied", "security.log")
    assert (event["client"], event["filter"], event["reason"]) == ("127.0.0.1", "blocked", "ip_denied")
    file.write_text(before)
    _until(lambda: ask(public_api, line, target=b"/v1/weather").status == 200)


# All of them


@pytest.mark.parametrize("name", ["spa", "machine", "idp", "public_api"])
def test_nothing_is_said_against_them(
    name: str, tmp_path: Path, keys: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """No mistake and no warning, once the files are made."""
    for path in EXAMPLES.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "state").mkdir()
    (tmp_path / "jwt.secret").write_text(SECRET)
    (tmp_path / "keys.ini").write_bytes(keys["file"])
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key()))
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "1"}]}))
    assert main(["check", str(tmp_path / f"{name}.ini")]) == 0
    said = capsys.readouterr()
    assert "warning" not in (said.out + said.err).lower(), said
