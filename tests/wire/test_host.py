"""CORRECTNESS X7, X8: the host by which a request is routed, and the one that the upstream sees."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire.kit.client import RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.upstream import ScriptedUpstream

CONFIG = """
[log]
access = access.log
error = error.log

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[upstream:main]
servers = http://127.0.0.1:@MAIN@

[upstream:other]
servers = http://localhost:@OTHER@

[route:main]
host = a.test, [2001:db8::5]
path = /up/
upstream = main

[route:wildcard]
host = *.a.test
path = /up/
upstream = other

[route:any]
path = /up/
upstream = other
host_header = literal.test:81

[route:pass]
path = /pass/
upstream = main
host_header = pass

[route:upstream]
path = /upstream/
upstream = main
host_header = upstream

[route:named]
path = /named/
upstream = other
host_header = upstream

[route:literal]
path = /literal/
upstream = main
host_header = literal.test:81
"""


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    ports = {name: server.port for name, server in upstreams.items()}
    with running(CONFIG, tmp_path_factory.mktemp("host"), ports) as process:
        yield process


@pytest.mark.parametrize("host", [b"b.test", b"B.Test.:8080"])
@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (b"/pass/x", None),
        (b"/upstream/x", b"127.0.0.1:%d"),
        (b"/named/x", b"localhost:%d"),
        (b"/literal/x", b"literal.test:81"),
    ],
)
def test_x7_the_host_that_the_upstream_sees(
    client: RawClient,
    upstream: ScriptedUpstream,
    other_upstream: ScriptedUpstream,
    host: bytes,
    target: bytes,
    wanted: bytes | None,
) -> None:
    assert client.ask(request(target=target, host=host)).status == 200
    server = other_upstream if target == b"/named/x" else upstream
    headers = server.only_request().headers
    expected = wanted or host
    assert headers.get(b"host") == (expected % server.port if b"%d" in expected else expected)
    # whatever it is, the client's own is told
    assert headers.get(b"x-forwarded-host") == host


@pytest.mark.parametrize("target", [b"/pass/x", b"/literal/x"])
def test_x7_without_a_host(client: RawClient, upstream: ScriptedUpstream, target: bytes) -> None:
    """HTTP/1.0 allows it; towards the upstream it is HTTP/1.1, which does not."""
    assert client.ask(request(target=target, host=None, version=b"1.0")).status == 200
    headers = upstream.only_request().headers
    assert headers.get(b"host") == (b"literal.test:81" if target == b"/literal/x" else b"127.0.0.1:%d" % upstream.port)
    assert b"x-forwarded-host" not in headers


@pytest.mark.xfail(reason="https servers are not in this version yet", run=False)
def test_x7_the_name_that_is_verified_is_the_upstreams() -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    "host", [b"a.test", b"A.TEST", b"a.test.", b"a.TEST:8080", b"a.test.:1", b"[2001:db8::5]", b"[2001:DB8:0:0::5]:80"]
)
def test_x8_routing_by_the_name_alone(client: RawClient, upstream: ScriptedUpstream, host: bytes) -> None:
    assert client.ask(request(host=host)).status == 200
    assert upstream.only_request().headers.get(b"host") == host


@pytest.mark.parametrize("host", [b"b.A.test.:8080", b"c.b.a.test"])
def test_x8_routing_by_a_wildcard(client: RawClient, other_upstream: ScriptedUpstream, host: bytes) -> None:
    assert client.ask(request(host=host)).status == 200
    assert other_upstream.only_request().headers.get(b"host") == host


@pytest.mark.parametrize("host", [b"xa.test", b"a.test.evil.test", b"a.tes", b"2001.db8"])
def test_x8_names_that_only_look_alike(client: RawClient, other_upstream: ScriptedUpstream, host: bytes) -> None:
    assert client.ask(request(host=host)).status == 200
    assert other_upstream.only_request().headers.get(b"host") == b"literal.test:81"
