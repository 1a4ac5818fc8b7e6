"""The examples in etc/examples: each is started as it is, but for ports, logs and keys, and does what it promises."""

from __future__ import annotations

import base64
import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import attrs
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gwproxy.cli import main
from gwproxy.runtime.wall import wall_clock
from tests.idp.provider import RESOURCE, IdentityProvider
from tests.wire.kit.client import request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Response

EXAMPLES = Path(__file__).parents[2] / "etc" / "examples"
LOGS = "\n[log]\naccess = access.log\nerror = error.log\nsecurity = security.log\n"


@contextmanager
def example(name: str, folder: Path, more: Mapping[str, str] | None = None) -> Iterator[GatewayProcess]:
    """The example in `folder`, which is prepared. `more` is replaced in it: addresses, say."""
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


def prepare(name: str, folder: Path) -> list[str]:
    """Copies the example's files into `folder`, and does there what its comments say. What the commands printed."""
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
    text = (EXAMPLES / f"{name}.ini").read_text().replace(" \\\n;    ", "")
    said = []
    for line in re.findall(r"^;   ((?:gwproxy (?:token|key)|mkdir) .*)", text, re.MULTILINE):
        command, _, target = line.partition("  ")[0].replace("etc/examples", str(folder)).partition(" > ")
        program, *arguments = shlex.split(command)
        if program == "mkdir":
            Path(arguments[-1]).mkdir()
            continue
        with redirect_stdout(StringIO()) as output:
            assert main(arguments) == 0, line
        if target:
            Path(target).write_text(output.getvalue())
        elif output.getvalue():
            said.append(output.getvalue().strip())
    return said


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

PAGE = b"Origin: https://app.example.com"
ELSEWHERE = b"Origin: https://app.example.com.evil.example"


@attrs.frozen
class Spa:
    gateway: GatewayProcess
    secret: str
    token: bytes  # that the comments say how to make

    def session(self, **claims: Any) -> bytes:
        known = {"sub": "alice", "iss": "https://app.example.com", "exp": int(wall_clock()) + 60, **claims}
        return b"token=" + jwt.encode(known, self.secret, "HS256").encode()

    def ask(self, *lines: bytes, **parts: Any) -> Response:
        return ask(self.gateway, *lines, **parts)


@pytest.fixture(scope="module")
def spa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spa]:
    folder = tmp_path_factory.mktemp("spa")
    (token,) = prepare("spa", folder)
    with example("spa", folder) as gateway:
        yield Spa(gateway, (folder / "jwt.secret").read_text().strip(), token.encode())


def test_spa_a_page_calls_with_its_cookie(spa: Spa) -> None:
    cookie = b"Cookie: theme=dark; token=" + spa.token
    response = spa.ask(PAGE, cookie, b"X-User-Id: mallory", target=b"/api/x")
    got = sent_upstream(response)
    assert (got["x-user-id"], got["cookie"]) == ("alice", "theme=dark")
    assert got["authorization"].startswith("Bearer ")
    headers = response.headers
    assert headers.get(b"access-control-allow-origin") == PAGE[8:]
    assert headers.get(b"access-control-allow-credentials") == b"true"
    assert headers.get(b"x-content-type-options") == b"nosniff"
    assert headers.get(b"content-security-policy") == b"default-src 'none'; frame-ancestors 'none'"


def test_spa_a_preflight_needs_no_cookie(spa: Spa) -> None:
    asks = [b"Access-Control-Request-Method: DELETE", b"Access-Control-Request-Headers: content-type"]
    response = spa.ask(PAGE, *asks, method=b"OPTIONS", target=b"/api/x")
    assert response.status == 204
    assert b"DELETE" in (response.headers.get(b"access-control-allow-methods") or b"")
    other = spa.ask(ELSEWHERE, *asks, method=b"OPTIONS", target=b"/api/x")
    assert b"access-control-allow-origin" not in other.headers


def test_spa_who_is_not_logged_in_is_told_so_and_the_page_can_read_it(spa: Spa) -> None:
    refused = {
        "no_credentials": b"a=b",
        "token_expired": spa.session(exp=int(wall_clock()) - 3600),
        "token_issuer": spa.session(iss="https://evil.example"),
        "token_signature": spa.session()[:-3] + b"AAA",
    }
    for reason, cookie in refused.items():
        response = spa.ask(PAGE, b"Cookie: " + cookie, target=b"/api/x")
        assert refusal(response) == (401, reason)
        assert response.headers.get(b"access-control-allow-origin") == PAGE[8:]
        assert response.headers.get(b"x-frame-options") == b"DENY"


def test_spa_another_site_makes_the_browser_send_something(spa: Spa) -> None:
    cookie = b"Cookie: " + spa.session()
    for origin in (ELSEWHERE, b"Origin: null", b"Sec-Fetch-Site: cross-site"):
        assert refusal(spa.ask(origin, cookie, method=b"POST", target=b"/api/x", body=b"{}")) == (403, "origin_denied")
    assert spa.ask(PAGE, cookie, method=b"POST", target=b"/api/x", body=b"{}").status == 200


def test_spa_logging_in_needs_no_token(spa: Spa) -> None:
    response = spa.ask(PAGE, b"X-User-Id: mallory", method=b"POST", target=b"/api/login", body=b"{}")
    assert "x-user-id" not in sent_upstream(response)


# Machine to machine

ORDER = b'{"items":[{"id":"a-1","quantity":2}]}'
JSON = b"Content-Type: application/json"


@attrs.frozen
class Machine:
    gateway: GatewayProcess
    key: Any
    kid: str
    token: bytes  # that the comments say how to make

    def bearer(self, scope: str = "orders:read orders:write", client: str = "shop", **claims: Any) -> bytes:
        known = {
            "iss": "https://auth.example.com",
            "aud": "https://orders.example.com",
            "exp": int(wall_clock()) + 60,
            "client_id": client,
            "scope": scope,
        }
        return authorization(jwt.encode({**known, **claims}, self.key, "RS256", headers={"kid": self.kid}).encode())

    def ask(self, *lines: bytes, **parts: Any) -> Response:
        return ask(self.gateway, *lines, **{"target": b"/orders", **parts})


def authorization(token: bytes) -> bytes:
    return b"Authorization: Bearer " + token


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    (token,) = prepare("machine", folder)
    key = load_pem_private_key((folder / "auth.pem").read_bytes(), None)
    [public] = json.loads((folder / "jwks.json").read_text())["keys"]
    with example("machine", folder) as gateway:
        yield Machine(gateway, key, public["kid"], token.encode())


def test_machine_scopes(machine: Machine) -> None:
    assert sent_upstream(machine.ask(authorization(machine.token)))["x-client-id"] == "shop"
    posts = {"method": b"POST", "body": ORDER}
    response = machine.ask(authorization(machine.token), JSON, **posts)
    assert json.loads(response.body)["body"] == ORDER.decode()
    reads, writes = machine.bearer("orders:read"), machine.bearer("orders:write")
    assert machine.ask(reads, target=b"/orders/1").status == 200
    assert refusal(machine.ask(writes, target=b"/orders/1")) == (403, "scope_denied")
    assert refusal(machine.ask(reads, JSON, **posts)) == (403, "scope_denied")
    assert machine.ask(writes, JSON, **posts).status == 200


def test_machine_other_tokens(machine: Machine) -> None:
    refused = {
        "token_audience": machine.bearer(aud="https://other.example.com"),
        "token_issuer": machine.bearer(iss="https://evil.example"),
        "token_expired": machine.bearer(exp=int(wall_clock()) - 3600),
        "no_credentials": b"X-None: 1",
    }
    for reason, line in refused.items():
        response = machine.ask(line)
        assert refusal(response) == (401, reason)
        assert (response.headers.get(b"www-authenticate") or b"").startswith(b"Bearer")


def test_machine_bodies(machine: Machine) -> None:
    def posted(body: bytes, *lines: bytes) -> Response:
        return machine.ask(machine.bearer(client="bodies"), *lines, method=b"POST", body=body)

    assert refusal(posted(b"{", JSON)) == (400, "body_not_json")
    assert refusal(posted(b"", JSON)) == (400, "body_not_json")
    assert refusal(posted(ORDER, b"Content-Type: text/plain")) == (415, "body_type")
    assert refusal(posted(b'"' + b"a" * 65_536 + b'"', JSON)) == (413, "body_limit")
    broken = posted(b'{"items":[{"id":"a","quantity":0}]}', JSON)
    assert refusal(broken) == (422, "body_schema")
    assert json.loads(broken.body)["pointer"] == "/items/0/quantity"
    unknown = posted(b'{"items":[{"id":"a","quantity":1}],"price":1}', JSON)
    assert json.loads(unknown.body)["pointer"] == "/price"


def test_machine_each_client_has_a_limit_of_its_own(machine: Machine) -> None:
    greedy = machine.bearer(client="greedy")
    with machine.gateway.connect() as client:
        answers = [client.ask(request(greedy, target=b"/orders")) for _ in range(40)]
    # ten a second come back meanwhile
    refused = [each for each in answers if each.status == 429]
    assert [each.status for each in answers[:20]] == [200] * 20
    assert refused and refusal(refused[0]) == (429, "rate_limit")
    assert int(refused[0].headers.get(b"retry-after") or 0) >= 1
    assert machine.ask(machine.bearer(client="modest")).status == 200


# An identity provider


def test_idp_keys_that_change_and_tokens_that_do_not_count(tmp_path: Path) -> None:
    provider = IdentityProvider(tmp_path / "provider.log")
    assert prepare("idp", tmp_path) == []
    try:
        provider.start()
        addresses = {"https://idp.example.com": provider.issuer, "https://api.example.com/": RESOURCE}
        with example("idp", tmp_path, addresses) as gateway:
            _judge_tokens(gateway, provider)
            provider.kill()
            token = _keeps_its_keys(gateway, provider)
            _revokes(gateway, tmp_path / "revoked.txt", token)
    finally:
        provider.kill()


def _judge_tokens(gateway: GatewayProcess, provider: IdentityProvider) -> None:
    got = sent_upstream(ask(gateway, authorization(provider.jwt("read"))))
    assert (got["x-user-id"], got["x-scopes"]) == ("reports", "read")
    foreign = provider.jwt(resource="https://other.example.com/")
    assert refusal(ask(gateway, authorization(foreign))) == (401, "token_audience")
    assert refusal(ask(gateway, authorization(provider.jwt("read")), target=b"/admin/x")) == (403, "scope_denied")
    provider.rotate()
    token = authorization(provider.jwt("read"))
    _until(lambda: ask(gateway, token).status == 200)


def _keeps_its_keys(gateway: GatewayProcess, provider: IdentityProvider) -> bytes:
    """The provider is down, and the gateway starts again."""
    assert gateway.stop() == 0
    provider.start()
    token = provider.jwt("read")
    gateway.start()
    _until(lambda: ask(gateway, authorization(token)).status == 200)
    provider.kill()
    assert gateway.stop() == 0
    gateway.start()
    assert ask(gateway, authorization(token)).status == 200
    return token


def _revokes(gateway: GatewayProcess, file: Path, token: bytes) -> None:
    payload = token.split(b".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    file.write_text(f"{file.read_text()}jti {claims['jti']}\n")
    _until(lambda: ask(gateway, authorization(token)).status == 401)
    assert refusal(ask(gateway, authorization(token))) == (401, "token_revoked")


def _until(holds: Any) -> None:
    """Files and keys are looked at in the background, which tells nobody when."""
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# A public API


@attrs.frozen
class PublicApi:
    gateway: GatewayProcess
    key: bytes  # that the comments say how to make, of acme

    def ask(self, *lines: bytes, **parts: Any) -> Response:
        return ask(self.gateway, *lines, **{"target": b"/v1/weather", **parts})


def api_key(key: bytes) -> bytes:
    return b"X-API-Key: " + key


@pytest.fixture(scope="module")
def public_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublicApi]:
    folder = tmp_path_factory.mktemp("public")
    (key,) = prepare("public_api", folder)
    with example("public_api", folder) as gateway:
        yield PublicApi(gateway, key.encode())


def test_public_api_keys(public_api: PublicApi) -> None:
    line = api_key(public_api.key)
    got = sent_upstream(public_api.ask(line, b"X-Customer: mallory"))
    assert (got["x-customer"], got["x-plan"]) == ("acme", "free")
    assert "x-api-key" not in got
    assert refusal(public_api.ask()) == (401, "no_credentials")
    assert refusal(public_api.ask(line[:-1])) == (401, "key_unknown")
    large = public_api.ask(line, method=b"POST", body=b"x" * 16_385)
    assert refusal(large) == (413, "body_limit")


def test_public_api_limits_and_quotas(public_api: PublicApi) -> None:
    """For a customer who came while it was running."""
    with redirect_stdout(StringIO()) as output:
        assert main(["key", str(public_api.gateway.folder / "keys.ini"), "other"]) == 0
    line = api_key(output.getvalue().strip().encode())
    _until(lambda: public_api.ask(line).status == 200)
    with public_api.gateway.connect() as client:
        answers = [client.ask(request(line, target=b"/v1/weather")) for _ in range(40)]
    refused = [each for each in answers if each.status == 429]
    assert refused and refusal(refused[0]) == (429, "rate_limit")
    assert refused[0].headers.get(b"retry-after") == b"1"
    policies = b", ".join(answers[0].headers.all(b"ratelimit-policy"))
    assert b"10000" in policies and b"86400" in policies
    decided = public_api.gateway.metrics()
    assert decided.value("gateway_filter_decisions_total", filter="pace", decision="deny") == len(refused)


def test_public_api_blocked_addresses(public_api: PublicApi) -> None:
    line = api_key(public_api.key)
    file = public_api.gateway.folder / "blocked.txt"
    before = file.read_text()
    file.write_text(f"{before}127.0.0.0/8\n")
    _until(lambda: public_api.ask(line).status == 403)
    event = public_api.gateway.wait_for_log(lambda each: each["event"] == "ip_denied", "security.log")
    assert (event["client"], event["filter"], event["reason"]) == ("127.0.0.1", "blocked", "ip_denied")
    file.write_text(before)
    _until(lambda: public_api.ask(line).status == 200)


# All of them


@pytest.mark.parametrize("name", ["spa", "machine", "idp", "public_api"])
def test_nothing_is_said_against_them(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No mistake and no warning, once what the comments say is done."""
    prepare(name, tmp_path)
    capsys.readouterr()
    assert main(["check", str(tmp_path / f"{name}.ini")]) == 0
    said = capsys.readouterr()
    assert "warning" not in (said.out + said.err).lower(), said
