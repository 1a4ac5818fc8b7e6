"""Servers, hosts, endpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from gwproxy.config import addresses
from gwproxy.config.addresses import ServerAddress
from gwproxy.config.mistakes import BadValue

BASE = Path("/etc/gw")


@pytest.mark.parametrize(
    ("text", "address", "label", "authority"),
    [
        ("http://127.0.0.1:9001", ServerAddress("tcp", "127.0.0.1", 9001), "127.0.0.1:9001", "127.0.0.1:9001"),
        ("http://127.0.0.1:9001/", ServerAddress("tcp", "127.0.0.1", 9001), "127.0.0.1:9001", "127.0.0.1:9001"),
        ("HTTP://Users.Internal", ServerAddress("tcp", "users.internal", 80), "users.internal:80", "users.internal"),
        ("http://my_service:8080", ServerAddress("tcp", "my_service", 8080), "my_service:8080", "my_service:8080"),
        ("http://[::1]:9001", ServerAddress("tcp", "::1", 9001), "[::1]:9001", "[::1]:9001"),
        ("http://[0:0::1]", ServerAddress("tcp", "::1", 80), "[::1]:80", "[::1]"),
        ("unix:/run/u.sock", ServerAddress("unix", path="/run/u.sock"), "unix:/run/u.sock", "localhost"),
        ("unix:u.sock", ServerAddress("unix", path="/etc/gw/u.sock"), "unix:/etc/gw/u.sock", "localhost"),
        ("builtin:echo", ServerAddress("builtin", "echo"), "builtin:echo", "localhost"),
    ],
)
def test_servers(text: str, address: ServerAddress, label: str, authority: str) -> None:
    server = addresses.server(f"{text}  weight=3", BASE)
    assert server == address
    assert (server.label, server.authority, server.weight) == (label, authority, 3)
    assert addresses.server(text, BASE).weight == 1
    again = addresses.server(addresses.server.write(server), BASE)
    assert (again, again.weight) == (server, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://a", "https:// servers are not in this version yet"),
        ("127.0.0.1:9001", "must be http://HOST:PORT, unix:PATH or builtin:echo"),
        ("http:a", "must be http://"),
        ("ftp://a", "must be http://"),
        ("unix:", "must be http://"),
        ("builtin:exho", "there is no such service inside the gateway, only builtin:echo"),
        ("http://a/b", "a server has no path; use add_prefix in the route"),
        ("http://a?b", "a server has no path"),
        ("http://user:pw@a", "no user and password"),
        ("http://", "must be a host name"),
        ("http://:80", "must be a host name"),
        ("http://a..b", "must be a host name"),
        ("http://-a", "must be a host name"),
        ("http://" + "a" * 64, "must be a host name"),
        ("http://" + ".".join(["a" * 60] * 5), "must be a host name"),
        ("http://a:0", "port outside 1 to 65535"),
        ("http://a:65536", "port outside 1 to 65535"),
        ("http://a:x", "must be HOST or HOST:PORT"),
        ("http://::1", "must be HOST or HOST:PORT; an IPv6 address stands in brackets"),
        ("http://[::g]", "must be an IPv6 address"),
        ("http://a wieght=2", "no such option, only weight; did you mean 'weight'?"),
        ("http://a weight=0", "weight must be a whole number, 1 to 1000"),
        ("http://a weight=1001", "weight must be"),
        ("http://a weight=", "weight must be"),
    ],
)
def test_servers_refused(text: str, message: str) -> None:
    with pytest.raises(BadValue) as caught:
        addresses.server(text, BASE)
    assert message in caught.value.message
    assert caught.value.piece in text


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("API.example.com.", "api.example.com"),
        ("*.Example.com", "*.example.com"),
        ("10.0.0.1", "10.0.0.1"),
        ("[0::1]", "[::1]"),
        ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_host_patterns(text: str, host: str) -> None:
    assert addresses.host_pattern(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "*",
        "*.",
        "a.*.b",
        "*a.b",
        "a:80",
        "[::1]:80",
        "*.[::1]",
        "a b",
        "a/b",
        "a..b",
        "bücher.example",
        "*.*.a",
    ],
)
def test_host_patterns_refused(text: str) -> None:
    with pytest.raises(BadValue):
        addresses.host_pattern(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("pass", "pass"), ("upstream", "upstream"), ("A.example:8080", "a.example:8080"), ("[::1]:80", "[::1]:80")],
)
def test_host_header(text: str, value: str) -> None:
    assert addresses.host_header(text) == value


@pytest.mark.parametrize("text", ["", "a b", "a:b", "$host"])
def test_host_header_refused(text: str) -> None:
    with pytest.raises(BadValue):
        addresses.host_header(text)


@pytest.mark.parametrize(
    "text",
    [
        "tcp:8080",
        "tcp:0",
        "tcp:port=80:interface=::",
        "tcp6:80",
        "unix:/run/gw.sock:mode=660",
        "systemd:domain=INET:index=0",
    ],
)
def test_endpoints(text: str) -> None:
    assert addresses.endpoint(text) == text
    assert addresses.optional_endpoint(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("unix:gw.sock", "unix:/etc/gw/gw.sock"),
        ("unix:address=run/../gw.sock:mode=660", "unix:/etc/gw/gw.sock:mode=660"),
        (r"unix:a\:b\\c", r"unix:/etc/gw/a\:b\\c"),
    ],
)
def test_sockets_are_relative_to_the_file(text: str, value: str) -> None:
    assert addresses.endpoint(text, BASE) == value
    assert addresses.endpoint(value, Path("/")) == value


def test_no_endpoint() -> None:
    assert addresses.optional_endpoint("off") == ""
    assert addresses.optional_endpoint.write("") == "off"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8080", "must be an endpoint"),
        ("tcp:", "must be an endpoint"),
        ("0.0.0.0:80", "must be an endpoint"),
        ("tcp:http", "must be tcp: and a port"),
        ("tcp:65536", "must be tcp: and a port"),
        ("ssl:443", "TLS is not in this version yet"),
        ("off", "must be an endpoint"),
    ],
)
def test_endpoints_refused(text: str, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        addresses.endpoint(text)
