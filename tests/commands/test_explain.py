"""`gwproxy explain`, run as the console script runs it."""

from __future__ import annotations

import pytest

from gwproxy.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "status", "lines"),
    [
        (
            ["GET", "https://API.example.com:8443/user/./%31?q=%20"],
            0,
            [
                "host:     api.example.com",
                "path:     /user/1",
                "route:    users, FILE:5",
                "because:  path = /user/ (prefix), host = api.example.com, methods = GET, POST",
                "filters:  headers, more",
                "upstream: users: 127.0.0.1:9001, unix:/run/users.sock",
                "sent as:  /v1/%31?q=%20",
            ],
        ),
        (
            ["GET", "/user/a%2fb", "-H", "host: api.example.com", "-H", "Accept: */*"],
            0,
            ["path:     /user/a%2Fb", "refused:  400: the path has an encoded slash, and encoded_slashes = reject"],
        ),
        (["GET", "http://a/hello"], 0, ["host:     a", "route:    hello, FILE:14", "respond:  200"]),
        (["PUT", "http://a/old/x"], 0, ["redirect: 308 https://example.com$uri"]),
        (["GET", "http://a/files/x"], 0, ["filters:  none"]),
        (["PUT", "http://api.example.com/user/1"], 1, ["no route: 405, Allow: GET, HEAD, POST"]),
        (["GET", "http://a/user/1"], 1, ["no route: 404"]),
        (["GET", "http://a"], 1, ["path:     /", "no route: 404"]),
        (["GET", "http://a/../x"], 1, ["refused: 400 bad_target: above the root"]),
        (["GET", "/x"], 1, ["refused: 400 bad_host: not a host; give a URL or -H 'Host: ...'"]),
    ],
)
def test_explain(file: str, capsys: Capture, arguments: list[str], status: int, lines: list[str]) -> None:
    assert main(["explain", file, *arguments]) == status
    printed = capsys.readouterr().out.replace(file, "FILE").splitlines()
    assert [line for line in printed if line in lines] == lines
