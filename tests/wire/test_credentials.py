"""API keys, passwords and another service's word, with the daemon: who gets in, what goes up, what no log shows."""

from __future__ import annotations

import json
import os
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import bcrypt
import pytest

from gwproxy.cli import main
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Response
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond, silent

CONFIG = """
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

[route:key]
path = /key/
upstream = main
strip_prefix = /key
filters = by-key, writers

[filter:by-key]
type = api_key
file = keys.ini
query = customer
claims_to_headers = sub: X-Client

[filter:writers]
type = require
claim = role
any = writer

[route:password]
path = /password/
upstream = main
filters = by-password

[filter:by-password]
type = basic_auth
file = users.htpasswd
realm = staff

[route:ask]
path = /ask/
upstream = main
filters = by-service

[filter:by-service]
type = forward_auth
url = http://127.0.0.1:@OTHER@/check?from=gateway
take_headers = X-User
subject_header = X-User
timeout = 500ms
"""

PASSWORD = "correct horse \u00e9"
# Marks that no log may have, in whatever form.
SECRETS = ["correct horse", "hunter2", "Y29ycmVjdCBob3JzZ"]


class Keys:
    """The file of keys as an operator has it: made by the command."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys.ini"

    def make(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
        assert main(["key", str(self.file), *arguments]) == 0
        key = capsys.readouterr().out.strip()
        SECRETS.append(key[20:])
        return key


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """One with all three. When it has ended, no file that it wrote has a secret in it."""
    folder = tmp_path_factory.mktemp("credentials")
    (folder / "keys.ini").write_text("; nobody yet\n")
    (folder / "users.htpasswd").write_bytes(b"ann:" + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)) + b"\n")
    ports = {name: server.port for name, server in upstreams.items()}
    with running(CONFIG, folder, ports) as process:
        yield process
    inputs = {"keys.ini", "users.htpasswd", "gw.ini"}
    written = {path.name: path.read_text(errors="replace") for path in folder.iterdir() if path.name not in inputs}
    assert {"access.log", "security.log", "error.log", "output"} <= written.keys()
    assert len(written["access.log"].splitlines()) > 20
    assert [(name, secret) for name, text in written.items() for secret in SECRETS if secret in text] == []


@pytest.fixture
def keys(gateway: GatewayProcess) -> Keys:
    return Keys(gateway.folder)


def until(ask: Callable[[], Response], status: int) -> Response:
    """What a file's change brings about: the gateway looks once a second."""
    deadline = time.monotonic() + 10
    while (response := ask()).status != status:
        assert time.monotonic() < deadline, f"still {response.status}"
        time.sleep(0.05)
    return response


def check_denied(response: Response, reason: str, challenge: bytes) -> None:
    assert response.status == 401
    assert response.headers.get(b"www-authenticate") == challenge
    assert json.loads(response.body)["reason"] == reason


API_KEY = b'ApiKey realm="api"'


def basic(user: str = "ann", password: str = PASSWORD) -> bytes:
    return b"Authorization: Basic " + b64encode(f"{user}:{password}".encode())


# Keys


def test_a_key_made_while_the_gateway_runs_lets_in_until_it_is_revoked(
    gateway: GatewayProcess,
    client: RawClient,
    upstream: ScriptedUpstream,
    keys: Keys,
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = keys.make(capsys, "acme", "--claim", "role=reader", "--claim", "role=writer", "--expires", "90d")

    def ask(*lines: bytes, target: bytes = b"/key/x") -> Response:
        return client.ask(request(*lines, target=target))

    until(lambda: ask(b"X-API-Key: " + key.encode()), 200)
    upstream.forget()
    forged = (b"X-Client: root", b"X_Client: root", b"X_Api_Key: " + key.encode())
    assert ask(b"x-api-key:" + key.encode(), *forged).status == 200
    sent = upstream.only_request()
    assert sent.headers.get(b"x-client") == b"acme"
    assert key.encode() not in b"".join(name + value for name, value in sent.headers)
    assert not {b"x-api-key", b"x_api_key", b"x_client"} & {name.lower() for name, _ in sent.headers}

    upstream.forget()
    query = b"?a=%7e&cust%6Fmer=" + key.encode() + b"&b=+"
    referer = b"Referer: http://a.test/?customer=" + key.encode()
    response = ask(referer, target=b"/key/x" + query)
    assert response.status == 200
    sent = upstream.only_request()
    assert sent.target == b"/x?a=%7e&b=+"
    assert sent.headers.get(b"referer") == b"http://a.test/"
    record = gateway.wait_for_log(lambda each: each["id"] == (response.headers.get(b"x-request-id") or b"").decode())
    assert record["path"] == "/key/x?a=%7e&cust%6Fmer=***&b=+"
    assert record["user"] == "acme"

    assert main(["key", "--revoke", str(keys.file), key]) == 0
    check_denied(until(lambda: ask(b"X-API-Key: " + key.encode()), 401), "key_unknown", API_KEY)


def test_a_key_without_the_role_is_forbidden(client: RawClient, keys: Keys, capsys: pytest.CaptureFixture[str]) -> None:
    key = keys.make(capsys, "reader", "--claim", "role=reader")
    until(lambda: client.ask(request(b"X-API-Key: " + key.encode(), target=b"/key/x")), 403)


def test_a_file_of_keys_that_is_spoilt_changes_nothing(
    gateway: GatewayProcess, client: RawClient, keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    key = keys.make(capsys, "steady", "--claim", "role=writer")
    until(lambda: client.ask(request(b"X-API-Key: " + key.encode(), target=b"/key/x")), 200)
    good = keys.file.read_bytes()
    keys.file.write_bytes(good + b"[key:hunter2]\n")
    gateway.wait_for_log(lambda each: "the last good content stays in use" in each["message"], "error.log")
    assert client.ask(request(b"X-API-Key: " + key.encode(), target=b"/key/x")).status == 200
    keys.file.write_bytes(good)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"hunter2",
        b"gw_0123456789abcdef_hunter2",
        b"\xff\xfe\x80",
        b"gw_" * 600,
        b"%00",
        b"' OR 1=1 --",
        b"\t a \t",
    ],
)
def test_hostile_keys(client: RawClient, upstream: ScriptedUpstream, value: bytes) -> None:
    check_denied(client.ask(request(b"X-API-Key: " + value, target=b"/key/x")), "key_unknown", API_KEY)
    target = b"/key/x?customer=" + b"".join(b"%%%02x" % byte for byte in value)
    check_denied(client.ask(request(target=target)), "key_unknown", API_KEY)
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("lines", "query", "reason"),
    [
        ([], b"", "no_credentials"),
        ([], b"?Customer=hunter2", "no_credentials"),
        ([b"X-API-Key: hunter2"] * 2, b"", "several_credentials"),
        ([b"X-API-Key: hunter2"], b"?customer=hunter2", "several_credentials"),
        ([], b"?customer=hunter2&c%75stomer=hunter2", "several_credentials"),
    ],
)
def test_denied_keys(gateway: GatewayProcess, client: RawClient, lines: list[bytes], query: bytes, reason: str) -> None:
    if query == b"?Customer=hunter2":
        query = b"?Customer="  # another parameter, which nobody said to mask
    response = client.ask(request(*lines, target=b"/key/x" + query))
    check_denied(response, reason, API_KEY)
    wanted = (response.headers.get(b"x-request-id") or b"").decode()
    event = gateway.wait_for_log(lambda each: each["id"] == wanted, "security.log")
    assert (event["event"], event["filter"], event["reason"], event["mode"]) == (
        "auth_failed",
        "by-key",
        reason,
        "enforce",
    )


# Passwords

BASIC = b'Basic realm="staff", charset="UTF-8"'


def test_a_password(gateway: GatewayProcess, client: RawClient, upstream: ScriptedUpstream) -> None:
    for _ in range(2):
        response = client.ask(request(basic(), target=b"/password/x"))
        assert response.status == 200
    assert b"authorization" not in upstream.requests[0].headers
    record = gateway.wait_for_log(lambda each: each["id"] == (response.headers.get(b"x-request-id") or b"").decode())
    assert record["user"] == "ann"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"Accept: */*", "no_credentials"),
        (b"Authorization: Bearer hunter2", "no_credentials"),
        (basic(password="hunter2"), "bad_password"),
        (basic(user="nobody"), "bad_password"),
        (basic(password="hunter2" * 11), "bad_password"),
        (basic(password="hunter2\0"), "credentials_malformed"),
        (basic(user="ann\r\nX-A"), "credentials_malformed"),
        (b"Authorization: Basic", "credentials_malformed"),
        (b"Authorization: Basic \xff\xfe", "credentials_malformed"),
        (b"Authorization: Basic " + b64encode(b"ann:\xff"), "credentials_malformed"),
        (b"Authorization: Basic " + b64encode(b"hunter2" * 1000), "credentials_malformed"),
    ],
)
def test_denied_passwords(client: RawClient, upstream: ScriptedUpstream, line: bytes, reason: str) -> None:
    check_denied(client.ask(request(line, target=b"/password/x")), reason, BASIC)
    assert upstream.requests == []


def test_a_password_that_is_changed_while_the_gateway_runs(gateway: GatewayProcess, client: RawClient) -> None:
    file = gateway.folder / "users.htpasswd"
    before = file.read_bytes()

    def replace(data: bytes) -> None:
        fresh = file.with_suffix(".new")
        fresh.write_bytes(data)
        os.replace(fresh, file)

    assert client.ask(request(basic(), target=b"/password/x")).status == 200
    replace(b"ann:" + bcrypt.hashpw(b"hunter2", bcrypt.gensalt(4)))
    until(lambda: client.ask(request(basic(password="hunter2"), target=b"/password/x")), 200)
    assert client.ask(request(basic(), target=b"/password/x")).status == 401
    replace(before)
    until(lambda: client.ask(request(basic(), target=b"/password/x")), 200)


def test_the_gateway_goes_on_while_passwords_are_verified(gateway: GatewayProcess) -> None:
    """Forty at once, of which most wait: all are answered, each as it should be."""
    clients = [gateway.connect() for _ in range(40)]
    try:
        for number, client in enumerate(clients):
            client.send(request(basic(password=PASSWORD if number % 2 else f"hunter2 {number}"), target=b"/password/x"))
        statuses = [client.read_response().status for client in clients]
    finally:
        for client in clients:
            client.close()
    assert statuses == [401, 200] * 20


# Another service


def test_the_other_service_lets_pass(
    gateway: GatewayProcess, client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream
) -> None:
    def answer(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(
            b"HTTP/1.1 200 OK\r\nX-User: ann\r\nX-Other: 1\r\nSet-Cookie: s=1\r\nContent-Length: 2\r\n\r\nok"
        )

    other_upstream.handler = answer
    lines = [b"Cookie: session=hunter2", b"X-User: root", b"X_User: root", b"X-Secret: 1", b"Content-Length: 4"]
    response = client.ask(request(*lines, method=b"POST", target=b"/ask/%61/../b?x=1", body=b"body"), method=b"POST")
    assert response.status == 200
    assert b"set-cookie" not in response.headers
    asked = other_upstream.only_request()
    assert (asked.method, asked.target, asked.body) == (b"GET", b"/check?from=gateway", b"")
    told = {name.lower(): value for name, value in asked.headers}
    assert told[b"cookie"] == b"session=hunter2"
    assert told[b"x-forwarded-method"] == b"POST"
    assert told[b"x-forwarded-proto"] == b"http"
    assert told[b"x-forwarded-host"] == b"a.test"
    assert told[b"x-forwarded-uri"] == b"/ask/b?x=1"
    assert told[b"x-forwarded-for"] == b"127.0.0.1"
    assert not {b"x-user", b"x-secret"} & told.keys()
    sent = upstream.only_request()
    assert (sent.target, sent.body) == (b"/ask/b?x=1", b"body")
    assert sent.headers.all(b"x-user") == [b"ann"]
    assert b"x_user" not in sent.headers
    assert b"x-other" not in sent.headers
    record = gateway.wait_for_log(lambda each: each["id"] == (response.headers.get(b"x-request-id") or b"").decode())
    assert record["user"] == "ann"


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_its_answer_is_the_clients(
    client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream, method: bytes
) -> None:
    def answer(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(
            b"HTTP/1.1 302 Found\r\nLocation: https://login.test/\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
            b"X-Internal: 1\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<p>in\r\n0\r\n\r\n"
        )

    other_upstream.handler = answer
    response = client.ask(request(target=b"/ask/x", method=method), method=method)
    assert response.status == 302
    assert response.body == (b"" if method == b"HEAD" else b"<p>in")
    assert response.headers.get(b"location") == b"https://login.test/"
    assert response.headers.all(b"set-cookie") == [b"a=1", b"b=2"]
    assert response.headers.get(b"content-type") == b"text/html"
    assert b"x-internal" not in response.headers
    assert upstream.requests == []
    other_upstream.only_request()


@pytest.mark.parametrize("how", ["error", "slow", "cut"])
def test_without_an_answer_nobody_passes(
    gateway: GatewayProcess, client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream, how: str
) -> None:
    def answer(connection: UpstreamConnection) -> None:
        connection.read_request()
        if how == "error":
            connection.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
        else:
            connection.close()

    other_upstream.handler = silent if how == "slow" else answer
    response = client.ask(request(target=b"/ask/x"))
    assert response.status == 503
    assert response.headers.get(b"retry-after") == b"5"
    assert upstream.requests == []
    wanted = (response.headers.get(b"x-request-id") or b"").decode()
    assert gateway.wait_for_log(lambda each: each["id"] == wanted)["reason"] == "authority_unavailable"
    other_upstream.handler = respond(OK)
    assert client.ask(request(target=b"/ask/x")).status == 200


def test_decisions_are_counted(gateway: GatewayProcess) -> None:
    metrics = gateway.metrics()
    for name in ("by-key", "by-password", "by-service"):
        for decision in ("allow", "deny"):
            labels = {"filter": name, "decision": decision, "mode": "enforce"}
            assert metrics.value("gateway_filter_decisions_total", **labels) > 0, labels
