"""`gwproxy explain`, run as the console script runs it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from gwproxy.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "status", "lines"),
    [
        (
            ["GET", "https://API.example.com:8443/user/./%31?q=%20#part"],
            0,
            [
                "listener: http, FILE:1, tcp:0: there is no other",
                "host:     api.example.com",
                "path:     /user/1",
                "route:    users, FILE:5",
                "because:  path = /user/ (prefix), host = api.example.com, methods = GET, POST",
                "not:      hello: another path: = /hello",
                "not:      old: another path: /old/",
                "not:      files: another path: /files/",
                "client:   127.0.0.1, which is no trusted proxy",
                "filters:  in this order",
                "  headers (headers)        passes",
                "  more (security_headers)  passes",
                "upstream: users, FILE:3: 127.0.0.1:9001, unix:/run/users.sock",
                "sent to:  127.0.0.1:9001, for one",
                "  GET /v1/%31?q=%20 HTTP/1.1",
                "  Host: API.example.com:8443",
                "  X-Forwarded-For: 127.0.0.1",
            ],
        ),
        (
            ["GET", "/user/a", "-H", "host: api.example.com", "-H", "Accept: */*"],
            0,
            ["path:     /user/a", "  Accept: */*"],
        ),
        (["GET", "http://a/hello"], 0, ["host:     a", "route:    hello, FILE:14", "filters:  none", "respond:  200"]),
        (["GET", "http://a/hello"], 0, ["not:      1 route of another host"]),
        (["PUT", "http://a/old/x"], 0, ["redirect: 308 https://example.com$uri"]),
        (["GET", "http://a/files/x"], 0, ["filters:  none"]),
        (
            ["PUT", "http://api.example.com/user/1"],
            1,
            ["no route: 405, Allow: GET, HEAD, POST", "not:      users: another method: GET, HEAD, POST"],
        ),
        (["GET", "http://a/user/1"], 1, ["no route: 404"]),
        (["GET", "http://a"], 1, ["path:     /", "no route: 404"]),
        (["GET", "http://a/../x"], 1, ["refused:  400 bad_target: above the root"]),
        (["GET", "/x"], 1, ["refused:  400 bad_host: no Host; give a URL or -H 'Host: ...'"]),
        (["CONNECT", "http://a/x"], 1, ["refused:  405 method"]),
        (["GET", "http://a/x", "-H", "Connection: close, x", "-H", "Host: b"], 1, ["host:     b"]),
    ],
)
def test_routes_and_actions(file: str, capsys: Capture, arguments: list[str], status: int, lines: list[str]) -> None:
    printed = explain(file, capsys, *arguments, status=status)
    assert [line for line in printed if line in lines] == lines


def explain(file: str, capsys: Capture, *arguments: str, status: int = 0) -> list[str]:
    assert main(["explain", file, *arguments]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return [line.replace(file, "FILE") for line in out.splitlines()]


def test_what_the_route_refuses(file: str, capsys: Capture) -> None:
    printed = explain(file, capsys, "GET", "http://api.example.com/user/a%2fb", status=1)
    assert printed[-1] == "refused:  400 bad_target: an encoded slash"


GUARDED = """\
[gateway]
trusted_proxies = 10.0.0.0/8, unix:
[listen:one]
endpoint = tcp:8080
[listen:two]
endpoint = tcp:8081:interface=127.0.0.1
[store:shared]
url = redis://127.0.0.1:1/0
[upstream:users]
servers = http://192.0.2.1:9001
[route:users]
path = /users
upstream = users
filters = {filters}
[route:users-any]
upstream = users
[filter:office]
type = ip
allow = 192.0.2.0/24
mode = {mode}
[filter:cookie]
type = cookie_to_header
[filter:login]
type = jwt
algorithms = HS256
secret = {secret}
claims_to_headers = sub: X-User-Id
required_claims = sub
[filter:idp]
type = jwt
algorithms = RS256
jwks_url = https://idp.example.com/keys
issuer = https://idp.example.com
audience = users
[filter:admins]
type = require
claim = roles
any = admin
[filter:rate]
type = rate_limit
rate = 1/s
store = shared
[filter:secret]
type = headers
request_set = X-Origin-Proof: ${{file:{file}}}, X-Api-Key: sesame, X-Plain: yes
"""
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def guarded(tmp_path: Path) -> Any:
    def write(filters: str, mode: str = "enforce") -> str:
        proof = tmp_path / "proof"
        proof.write_text("open sesame\n")
        path = tmp_path / "gw.ini"
        path.write_text(GUARDED.format(filters=filters, mode=mode, secret=SECRET, file=proof))
        return str(path)

    return write


def token(**claims: Any) -> str:
    import jwt

    return jwt.encode(claims, SECRET, "HS256")


def test_the_filter_that_answers_ends_it(guarded: Any, capsys: Capture) -> None:
    printed = explain(guarded("office, cookie"), capsys, "GET", "http://a:8081/users")
    assert "listener: two, FILE:5, tcp:8081:interface=127.0.0.1: it has that port" in printed
    assert "not:      users-any: less specific" in printed
    assert printed[-3:] == [
        "  office (ip)                would answer 403 ip_denied",
        "  cookie (cookie_to_header)  is not asked",
        "upstream: nothing is sent",
    ]


def test_one_in_shadow_mode_says_what_it_would_have_answered(guarded: Any, capsys: Capture) -> None:
    printed = explain(guarded("office", "shadow"), capsys, "GET", "http://a/users")
    assert "  office (ip)  shadow: would have answered 403 ip_denied" in printed
    assert "  GET /users HTTP/1.1" in printed
    printed = explain(guarded("office", "shadow"), capsys, "GET", "http://a/users", "--from", "192.0.2.7")
    assert "  office (ip)  passes" in printed


@pytest.mark.parametrize(
    ("peer", "forwarded", "client", "verdict"),
    [
        ("192.0.2.7", None, "192.0.2.7, which is no trusted proxy", "passes"),
        ("198.51.100.1", "192.0.2.7", "198.51.100.1, which is no trusted proxy", "would answer 403 ip_denied"),
        ("10.0.0.1", "192.0.2.7", "192.0.2.7, as 10.0.0.1 says, which is a trusted proxy", "passes"),
        (
            "10.0.0.1",
            "192.0.2.7, 198.51.100.1",
            "198.51.100.1, as 10.0.0.1 says, which is a trusted proxy",
            "would answer",
        ),
        ("10.0.0.1", None, "10.0.0.1, which is trusted, and says of no other", "would answer 403 ip_denied"),
        ("unix:", "192.0.2.7", "192.0.2.7, as a unix socket says, which is a trusted proxy", "passes"),
        ("::ffff:192.0.2.7", None, "192.0.2.7, which is no trusted proxy", "passes"),
    ],
)
def test_who_the_client_is(
    guarded: Any, capsys: Capture, peer: str, forwarded: str | None, client: str, verdict: str
) -> None:
    headers = [] if forwarded is None else ["-H", f"X-Forwarded-For: {forwarded}"]
    printed = explain(guarded("office"), capsys, "GET", "http://a/users", "--from", peer, *headers)
    assert f"client:   {client}" in printed
    assert any(line.startswith(f"  office (ip)  {verdict}") for line in printed)


def test_what_filters_make_of_the_request_is_what_would_be_sent(guarded: Any, capsys: Capture) -> None:
    cookie = f"Cookie: theme=dark; token={token(sub='alice', roles=['admin'])}"
    file = guarded("cookie, login, admins")
    printed = explain(file, capsys, "GET", "http://a/users?page_token=abc", "-H", cookie, "-H", "X-User-Id: root")
    assert [line.split(")")[1].strip() for line in printed if line.startswith("  ") and ")" in line] == ["passes"] * 3
    sent = printed[printed.index("  GET /users?page_token=*** HTTP/1.1") :]
    assert "  Host: a" in sent
    assert "  X-User-Id: alice" in sent
    assert "  Authorization: Bearer ***" in sent
    assert "  Cookie: ***" in sent
    assert "root" not in "".join(sent)
    printed = explain(file, capsys, "GET", "http://a/users", "-H", f"Cookie: token={token(sub='bob')}")
    assert "  admins (require)           would answer 403 claim_denied" in printed
    printed = explain(file, capsys, "GET", "http://a/users")
    assert "  login (jwt)                would answer 401 no_credentials" in printed


def test_no_secret_is_printed(guarded: Any, capsys: Capture) -> None:
    credentials = token(sub="alice")
    headers = [
        "Cookie: session=sesame",
        "X-Api-Key: sesame",
        "Proxy-Authorization: Basic sesame",
        "X-Auth-Token: sesame",
        "X-Origin-Key: sesame",
    ]
    given = [word for header in headers for word in ("-H", header)]
    printed = "\n".join(
        explain(
            guarded("login, secret"),
            capsys,
            "GET",
            "http://a/users/x;jsessionid=sesame?password=sesame",
            "-H",
            f"Authorization: Bearer {credentials}",
            *given,
        )
    )
    assert "X-Origin-Proof: ***" in printed and "X-Auth-Token: ***" in printed
    assert "sesame" not in printed and credentials not in printed and SECRET not in printed


def test_a_filter_that_would_ask_says_whom(guarded: Any, capsys: Capture) -> None:
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    signed = jwt.encode({"sub": "a"}, key, "RS256", headers={"kid": "1"})
    printed = explain(guarded("idp, admins"), capsys, "GET", "http://a/users", "-H", f"Authorization: Bearer {signed}")
    assert printed[-3:] == [
        "  idp (jwt)         would wait, because it asks GET https://idp.example.com/keys",
        "  admins (require)  is not asked",
        "upstream: nothing is sent yet",
    ]


def test_one_that_wants_the_body_waits(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "gw.ini"
    path.write_text(
        "[listen:a]\nendpoint = tcp:0\n[route:r]\nrespond = 200\nfilters = body\n[filter:body]\ntype = json_body\n"
    )
    arguments = ["POST", "http://a/", "-H", "Content-Length: 5", "-H", "Content-Type: application/json"]
    assert "  body (json_body)  would wait for the body of the request" in explain(str(path), capsys, *arguments)


def test_a_preflight_goes_to_the_route_that_it_asks_about(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "gw.ini"
    path.write_text(
        "[listen:a]\nendpoint = tcp:0\n[route:r]\nmethods = POST\nrespond = 200\nfilters = cors\n"
        "[filter:cors]\ntype = cors\norigins = https://example.com\n"
    )
    headers = ["-H", "Origin: https://example.com", "-H", "Access-Control-Request-Method: POST"]
    printed = explain(str(path), capsys, "OPTIONS", "http://a/", *headers)
    assert any(line.startswith("  cors (cors)  would answer 204") for line in printed)
    explain(str(path), capsys, "OPTIONS", "http://a/", status=1)


def test_no_socket_is_opened_and_nothing_is_served(
    guarded: Any, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many filters would ask: of an identity provider, of Redis, of the upstream."""

    class NoSocket(socket.socket):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            raise AssertionError("a socket")

    file = guarded("rate, cookie, login, secret")
    monkeypatch.setattr(socket, "socket", NoSocket)
    cookie = f"Cookie: token={token(sub='alice')}"
    printed = explain(file, capsys, "GET", "http://a/users", "-H", cookie)
    assert "  GET /users HTTP/1.1" in printed
    explain(guarded("idp"), capsys, "GET", "http://a/users", "-H", cookie)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-H", "no colon"], "-H takes 'NAME: VALUE'"),
        (["-H", "A: 1\r\nB: 2"], "-H takes 'NAME: VALUE'"),
        (["--from", "somewhere"], "--from takes an address, or unix:"),
    ],
)
def test_what_is_no_request(file: str, capsys: Capture, arguments: list[str], told: str) -> None:
    assert main(["explain", file, "GET", "http://a/hello", *arguments]) == 2
    assert capsys.readouterr() == ("", f"gwproxy explain: {told}\n")
