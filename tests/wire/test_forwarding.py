"""CORRECTNESS X: what upstreams are told about the client, and whom the gateway believes. One test an id at least.
X7 and X8, about Host, are in test_host.py.

The gateway of this module trusts 127.0.0.2, so a client decides by its source address what it is.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Request
from tests.wire.kit.reader import PATIENCE
from tests.wire.kit.refusal import AccessLedger
from tests.wire.kit.upstream import ScriptedUpstream

CONFIG = """
[gateway]
trusted_proxies = 127.0.0.2, 10.0.0.0/8, 2001:db8:1::/48

[log]
access = access.log
error = error.log

[listen:unix]
endpoint = unix:gateway.sock

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[upstream:main]
servers = http://127.0.0.1:@MAIN@

[route:main]
path = /up/
upstream = main
"""

# Where IPv6 is to be had.
LISTEN_SIX = """
[listen:six]
endpoint = tcp6:@SIX@:interface=\\:\\:1
"""
PROXY = "127.0.0.2"

FORGED = [
    (b"X-Forwarded-For", b"6.6.6.6"),
    (b"X-Forwarded-Host", b"evil.test"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Port", b"443"),
    (b"X-Forwarded-Prefix", b"/admin"),
    (b"X-Forwarded-Uri", b"/admin"),
    (b"X-Forwarded-Method", b"DELETE"),
    (b"X-Forwarded-Server", b"evil.test"),
    (b"X-Forwarded-User", b"root"),
    (b"X-Forwarded-Tls-Client-Cert", b"MII"),
    (b"X-Forwarded-Tls-Client-Cert-Info", b"CN=root"),
    (b"X-Forwarded-Client-Cert", b"Subject=root"),
    (b"X-Forwarded-Whatever", b"1"),
    (b"X-Real-IP", b"6.6.6.6"),
    (b"Forwarded", b"for=6.6.6.6;host=evil.test;proto=https"),
    (b"X-Original-URL", b"/admin"),
    (b"X-Rewrite-URL", b"/admin"),
]


def free_port_on_ipv6() -> int | None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as probe:
            port: int = probe.getsockname()[1]
            return port
    except OSError:
        return None


SIX = free_port_on_ipv6()


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    values = {**{name: server.port for name, server in upstreams.items()}, "SIX": SIX}
    config = CONFIG if SIX is None else CONFIG + LISTEN_SIX
    with running(config, tmp_path_factory.mktemp("forwarding"), values) as process:
        yield process


@pytest.fixture
def proxy(gateway: GatewayProcess, upstream: ScriptedUpstream) -> Iterator[RawClient]:
    """A client that the gateway believes."""
    source = socket.create_connection(("127.0.0.1", gateway.ports["PORT"]), PATIENCE, (PROXY, 0))
    with RawClient(source) as client:
        yield client


@pytest.fixture
def unix_client(gateway: GatewayProcess, upstream: ScriptedUpstream) -> Iterator[RawClient]:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(gateway.folder / "gateway.sock"))
    with RawClient(sock) as client:
        yield client


def line(name: bytes, value: bytes) -> bytes:
    return name + b": " + value


def own_node(client: RawClient) -> bytes:
    """How Forwarded names the client's end of its connection."""
    return b'"%b:%d"' % (client.socket.getsockname()[0].encode(), client.socket.getsockname()[1])


def forwarding(got: Request) -> dict[bytes, list[bytes]]:
    """The fields of a request that speak about earlier hops."""
    fields: dict[bytes, list[bytes]] = {}
    for name, value in got.headers:
        plain = name.lower().replace(b"_", b"-")
        if plain.startswith(b"x-forwarded-") or plain in (
            b"forwarded",
            b"x-real-ip",
            b"x-original-url",
            b"x-rewrite-url",
        ):
            fields.setdefault(name.lower(), []).append(value)
    return fields


def fresh(client: RawClient, gateway: GatewayProcess) -> dict[bytes, list[bytes]]:
    """What is said of a request for a.test that came straight from `client`."""
    address = client.socket.getsockname()[0].encode()
    return {
        b"x-forwarded-for": [address],
        b"x-forwarded-proto": [b"http"],
        b"x-forwarded-host": [b"a.test"],
        b"x-forwarded-port": [b"%d" % gateway.ports["PORT"]],
        b"x-real-ip": [address],
        b"forwarded": [b"for=%b;proto=http;host=a.test" % own_node(client)],
    }


# X1: who is not believed


@pytest.mark.parametrize(("name", "value"), FORGED)
@pytest.mark.parametrize("spelling", [lambda name: name, bytes.lower, lambda name: name.replace(b"-", b"_")])
def test_x1_what_an_untrusted_client_says_is_dropped(
    gateway: GatewayProcess,
    client: RawClient,
    upstream: ScriptedUpstream,
    name: bytes,
    value: bytes,
    spelling: Callable[[bytes], bytes],
) -> None:
    assert client.ask(request(line(spelling(name), value), line(name, value))).status == 200
    assert forwarding(upstream.only_request()) == fresh(client, gateway)


def test_x1_all_of_it_at_once(
    gateway: GatewayProcess, client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger
) -> None:
    response = client.ask(request(*(line(*field) for field in FORGED)))
    assert forwarding(upstream.only_request()) == fresh(client, gateway)
    ledger.expect(response, "x1", None, client="127.0.0.1", by="upstream")


# X2, X3: who is


WALKS: list[tuple[str, list[bytes], str]] = [
    ("nothing", [], PROXY),
    ("one", [b"203.0.113.9"], "203.0.113.9"),
    ("right_most_stranger", [b"6.6.6.6, 203.0.113.9, 10.0.0.1"], "203.0.113.9"),
    ("lines_are_one_list", [b"6.6.6.6", b"203.0.113.9", b"10.0.0.1,10.2.2.2"], "203.0.113.9"),
    ("all_trusted", [b"10.0.0.1, 10.0.0.2"], "10.0.0.1"),
    ("ipv6", [b"6.6.6.6, 2001:DB8:0::9, 2001:db8:1::1"], "2001:db8::9"),
    ("ipv6_in_brackets", [b"[2001:db8::9]"], "2001:db8::9"),
    ("ipv6_with_port", [b"[2001:db8::9]:4711"], "2001:db8::9"),
    ("ipv6_with_zone", [b"fe80::1%eth0"], "fe80::1"),
    ("ipv4_with_port", [b"203.0.113.9:4711"], "203.0.113.9"),
    ("ipv4_as_ipv6", [b"203.0.113.9, ::ffff:10.0.0.1"], "203.0.113.9"),
    ("empty_members", [b", 203.0.113.9,, ,"], "203.0.113.9"),
    # X3: what is no address ends the walk at the last good one
    ("garbage", [b"nonsense"], PROXY),
    ("garbage_behind", [b"203.0.113.9, nonsense"], PROXY),
    ("garbage_in_between", [b"6.6.6.6, \xff\xfe, 10.0.0.1"], "10.0.0.1"),
    ("unknown", [b"unknown, 10.0.0.1"], "10.0.0.1"),
    ("half_an_address", [b"203.0.113"], PROXY),
    ("octal", [b"0203.0.0113.9"], PROXY),
    ("bad_port", [b"203.0.113.9:x"], PROXY),
    ("quotes", [b'"203.0.113.9"'], PROXY),
    ("injection", [b"203.0.113.9;for=6.6.6.6"], PROXY),
    ("huge_member", [b"1" * 20_000], PROXY),
    ("many_members", [b"6.6.6.6, " + b", ".join([b"10.0.0.1"] * 3000)], "6.6.6.6"),
    ("only_commas", [b"," * 20_000], PROXY),
]


@pytest.mark.parametrize(("said", "client_ip"), [row[1:] for row in WALKS], ids=[row[0] for row in WALKS])
def test_x2_x3_the_client_is_the_last_one_that_is_not_trusted(
    proxy: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, said: list[bytes], client_ip: str
) -> None:
    response = proxy.ask(request(*(line(b"X-Forwarded-For", value) for value in said)))
    assert response.status == 200
    got = upstream.only_request()
    assert got.headers.get(b"x-real-ip") == client_ip.encode()
    # what was said is passed on, and the peer appended
    assert got.headers.get(b"x-forwarded-for") == b", ".join([*said, PROXY.encode()])
    ledger.expect(response, f"x2 {said}"[:80], None, client=client_ip, by="upstream")


def test_x2_forwarded_names_the_client_when_nothing_else_does(
    proxy: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger
) -> None:
    response = proxy.ask(request(b'Forwarded: for=6.6.6.6, for="[2001:db8::9]:4711";proto=https, for=10.0.0.1'))
    assert upstream.only_request().headers.get(b"x-real-ip") == b"2001:db8::9"
    ledger.expect(response, "x2 forwarded", None, client="2001:db8::9")


def test_x2_a_refused_request_has_its_client_too(proxy: RawClient, ledger: AccessLedger) -> None:
    response = proxy.ask(request(b"X-Forwarded-For: 203.0.113.9", target=b"/none"))
    assert response.status == 404
    ledger.expect(response, "x2 404", Reason.NO_ROUTE, client="203.0.113.9", by="gateway")


# X4, X5: what it says


@pytest.mark.parametrize(
    ("lines", "proto", "host", "port"),
    [
        ([], b"http", b"a.test", None),
        ([b"X-Forwarded-Proto: https"], b"https", b"a.test", b"443"),
        ([b"X-Forwarded-Proto: wss"], b"https", b"a.test", b"443"),
        ([b"X-Forwarded-Host: www.test:8443", b"X-Forwarded-Proto: https"], b"https", b"www.test:8443", b"8443"),
        ([b"X-Forwarded-Port: 8443"], b"http", b"a.test", b"8443"),
        ([b"X-Forwarded-Proto: gopher", b"X-Forwarded-Host: a b", b"X-Forwarded-Port: 0x1"], b"http", b"a.test", None),
    ],
)
def test_x4_the_scheme_host_and_port_that_the_client_used(
    gateway: GatewayProcess,
    proxy: RawClient,
    upstream: ScriptedUpstream,
    lines: list[bytes],
    proto: bytes,
    host: bytes,
    port: bytes | None,
) -> None:
    assert proxy.ask(request(*lines)).status == 200
    headers = upstream.only_request().headers
    assert headers.get(b"x-forwarded-proto") == proto
    assert headers.get(b"x-forwarded-host") == host
    assert headers.get(b"x-forwarded-port") == (port or b"%d" % gateway.ports["PORT"])
    assert headers.get(b"host") == b"a.test"


def test_x4_other_fields_of_a_trusted_proxy_pass(proxy: RawClient, upstream: ScriptedUpstream) -> None:
    lines = [b"X-Forwarded-Prefix: /app", b"X-Forwarded-Client-Cert: Subject=alice", b"X-Original-URL: /admin"]
    assert proxy.ask(request(*lines)).status == 200
    headers = upstream.only_request().headers
    assert headers.get(b"x-forwarded-prefix") == b"/app"
    assert headers.get(b"x-forwarded-client-cert") == b"Subject=alice"
    assert b"x-original-url" not in headers


@pytest.mark.xfail(reason="TLS is not in this version yet: no listener has the scheme https", run=False)
def test_x4_the_scheme_is_https_behind_tls() -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("host", "written"),
    [(b"a.test", b"a.test"), (b"a.test:8080", b'"a.test:8080"'), (b"[2001:db8::5]", b'"[2001:db8::5]"')],
)
def test_x5_forwarded_is_quoted_where_it_must_be(
    client: RawClient, upstream: ScriptedUpstream, host: bytes, written: bytes
) -> None:
    assert client.ask(request(host=host)).status == 200
    value = upstream.only_request().headers.get(b"forwarded")
    assert value == b"for=%b;proto=http;host=%b" % (own_node(client), written)


@pytest.mark.parametrize(
    ("lines", "before"),
    [
        ([b"Forwarded: for=203.0.113.9"], b"for=203.0.113.9, "),
        ([b'Forwarded: for="[2001:db8::9]:1";by=_x', b"forwarded: for=10.0.0.1"], None),
        ([b'Forwarded: for="203.0.113.9'], b""),
        ([b"X-Forwarded-For: 203.0.113.9"], b"for=203.0.113.9;proto=http;host=a.test, "),
        ([b"X-Forwarded-For: 2001:db8::9"], b'for="[2001:db8::9]";proto=http;host=a.test, '),
    ],
)
def test_x5_an_element_is_appended_for_a_trusted_peer(
    proxy: RawClient, upstream: ScriptedUpstream, lines: list[bytes], before: bytes | None
) -> None:
    if before is None:
        before = b'for="[2001:db8::9]:1";by=_x, for=10.0.0.1, '
    assert proxy.ask(request(*lines)).status == 200
    value = upstream.only_request().headers.get(b"forwarded")
    assert value == before + b"for=%b;proto=http;host=a.test" % own_node(proxy)


@pytest.mark.skipif(SIX is None, reason="this machine has no IPv6")
def test_x5_a_client_with_ipv6(gateway: GatewayProcess, upstream: ScriptedUpstream, ledger: AccessLedger) -> None:
    assert SIX is not None
    with RawClient(socket.create_connection(("::1", SIX), PATIENCE)) as client:
        response = client.ask(request(*(line(*field) for field in FORGED)))
        port = client.socket.getsockname()[1]
    assert forwarding(upstream.only_request()) == {
        b"x-forwarded-for": [b"::1"],
        b"x-forwarded-proto": [b"http"],
        b"x-forwarded-host": [b"a.test"],
        b"x-forwarded-port": [b"%d" % SIX],
        b"x-real-ip": [b"::1"],
        b"forwarded": [b'for="[::1]:%d";proto=http;host=a.test' % port],
    }
    ledger.expect(response, "x5 ipv6", None, client="::1")


# X6: peers without an address


def test_x6_a_client_on_a_unix_socket_has_no_address(unix_client: RawClient, upstream: ScriptedUpstream) -> None:
    response = unix_client.ask(request(*(line(*field) for field in FORGED)))
    assert response.status == 200
    assert forwarding(upstream.only_request()) == {
        b"x-forwarded-proto": [b"http"],
        b"x-forwarded-host": [b"a.test"],
        b"forwarded": [b"for=unknown;proto=http;host=a.test"],
    }


@pytest.mark.xfail(reason="proxy_protocol is not in this version yet", run=False)
def test_x6_the_address_of_a_proxy_header() -> None:
    raise NotImplementedError


# X9, X10


def test_x9_no_client_certificate_is_passed_from_a_client(client: RawClient, upstream: ScriptedUpstream) -> None:
    lines = [
        b"X-Forwarded-Client-Cert: Hash=1",
        b"x-forwarded-tls-client-cert: MII",
        b"X_Forwarded_Client_Cert: Hash=1",
    ]
    assert client.ask(request(*lines)).status == 200
    assert not [name for name, _ in upstream.only_request().headers if b"cert" in name.lower()]


@pytest.mark.xfail(reason="TLS is not in this version yet: there are no client certificates to tell of", run=False)
def test_x9_the_clients_certificate_is_told() -> None:
    raise NotImplementedError


@pytest.mark.xfail(reason="TLS is not in this version yet, and so there is no early data", run=False)
def test_x10_early_data() -> None:
    raise NotImplementedError
