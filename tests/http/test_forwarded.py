"""Forwarding fields: what upstreams are told, of trusted peers and of others."""

from __future__ import annotations

import pytest

from gwproxy.http.forwarded import PeerForwarding, Prior
from gwproxy.http.trusted import TrustedProxies

TRUSTED = TrustedProxies(["10.0.0.0/8", "2001:db8:1::/48"])
PROXY = "10.0.0.1"


def test_x1_x4_x5_an_untrusted_peers_request_gets_fresh_fields() -> None:
    assert PeerForwarding("203.0.113.9", b"https", 443).fresh(b"API.example.com") == [
        (b"X-Forwarded-For", b"203.0.113.9"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"API.example.com"),
        (b"X-Forwarded-Port", b"443"),
        (b"X-Real-IP", b"203.0.113.9"),
        (b"Forwarded", b"for=203.0.113.9;proto=https;host=API.example.com"),
    ]


@pytest.mark.parametrize(
    ("peer", "port", "host", "value"),
    [
        ("203.0.113.9", None, b"h:8080", b'for=203.0.113.9;proto=http;host="h:8080"'),
        ("203.0.113.9", 4711, b"h", b'for="203.0.113.9:4711";proto=http;host=h'),
        ("2001:DB8::1", None, b"[::1]", b'for="[2001:db8::1]";proto=http;host="[::1]"'),
        ("2001:db8::1", 4711, b"h", b'for="[2001:db8::1]:4711";proto=http;host=h'),
        ("::ffff:203.0.113.9", None, b"h", b"for=203.0.113.9;proto=http;host=h"),
        ("fe80::1%eth0", None, b"", b'for="[fe80::1]";proto=http'),
    ],
)
def test_x5_forwarded_is_quoted_when_needed(peer: str, port: int | None, host: bytes, value: bytes) -> None:
    assert dict(PeerForwarding(peer, b"http", 80, port).fresh(host))[b"Forwarded"] == value


def test_fields_of_one_request_are_not_those_of_the_next() -> None:
    peer = PeerForwarding("203.0.113.9", b"http", 80)
    first = peer.fresh(b"a")
    first.clear()
    assert dict(peer.fresh(b"a"))[b"X-Forwarded-Host"] == b"a"
    assert dict(peer.fresh(b"b"))[b"X-Forwarded-Host"] == b"b"


def test_x6_a_peer_without_address_has_no_x_forwarded_for() -> None:
    assert PeerForwarding("", b"http", None).fresh(b"h") == [
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"h"),
        (b"Forwarded", b"for=unknown;proto=http;host=h"),
    ]
    prior = Prior([(b"X-Forwarded-For", b"192.0.2.1")])
    fields = dict(PeerForwarding("", b"http", None).appended(b"h", prior, "192.0.2.1"))
    assert fields[b"X-Forwarded-For"] == b"192.0.2.1"
    assert fields[b"X-Real-IP"] == b"192.0.2.1"


def appended(*prior: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    said = Prior(prior)
    return PeerForwarding(PROXY, b"http", 8080).appended(b"inner:8080", said, said.client(PROXY, TRUSTED))


def test_x2_x4_x5_a_trusted_peers_fields_are_passed_on_and_this_hop_is_appended() -> None:
    assert appended(
        (b"x-forwarded-for", b"6.6.6.6"),
        (b"X-Forwarded-For", b"192.0.2.1, 10.0.0.2"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"www.example.com"),
        (b"X-Real-IP", b"6.6.6.6"),
        (b"Forwarded", b"for=192.0.2.1;proto=https"),
        (b"Forwarded", b"for=10.0.0.2"),
    ) == [
        (b"X-Forwarded-For", b"6.6.6.6, 192.0.2.1, 10.0.0.2, 10.0.0.1"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"www.example.com"),
        (b"X-Forwarded-Port", b"443"),
        (b"X-Real-IP", b"192.0.2.1"),
        (b"Forwarded", b'for=192.0.2.1;proto=https, for=10.0.0.2, for=10.0.0.1;proto=http;host="inner:8080"'),
    ]


def test_x2_a_trusted_peer_that_says_nothing_is_the_client() -> None:
    assert appended() == PeerForwarding(PROXY, b"http", 8080).fresh(b"inner:8080")


def test_x5_who_reads_forwarded_sees_the_client_of_x_forwarded_for() -> None:
    fields = dict(appended((b"X-Forwarded-For", b"2001:db8::1"), (b"X-Forwarded-Proto", b"https")))
    assert fields[b"Forwarded"] == (
        b'for="[2001:db8::1]";proto=https;host="inner:8080", for=10.0.0.1;proto=http;host="inner:8080"'
    )


def test_x5_nothing_is_appended_to_a_malformed_forwarded() -> None:
    fields = dict(
        appended((b"Forwarded", b"for=192.0.2.7"), (b"Forwarded", b'for="6.6.6.6'), (b"Forwarded", b"for=_a"))
    )
    assert fields[b"Forwarded"] == b'for=_a, for=10.0.0.1;proto=http;host="inner:8080"'
    assert fields[b"X-Real-IP"] == b"10.0.0.1"


@pytest.mark.parametrize(
    ("said", "proto"),
    [
        (b"https", b"https"),
        (b"HTTPS", b"https"),
        (b"wss", b"https"),
        (b"ws", b"http"),
        (b"http, https", b"https"),
        (b"https\t,http ", b"http"),
        (b"", b"http"),
        (b"gopher", b"http"),
        (b"https;x", b"http"),
    ],
)
def test_x4_a_prior_scheme_is_kept_if_it_is_one(said: bytes, proto: bytes) -> None:
    assert dict(appended((b"X-Forwarded-Proto", said)))[b"X-Forwarded-Proto"] == proto


@pytest.mark.parametrize(
    ("said", "host"),
    [
        (b"www.example.com", b"www.example.com"),
        (b"a, b:81", b"b:81"),
        (b"a..b", b"inner:8080"),
        (b"a b", b"inner:8080"),
        (b'a";for=6.6.6.6', b"inner:8080"),
        (b"", b"inner:8080"),
    ],
)
def test_x4_a_prior_host_is_kept_if_it_is_one(said: bytes, host: bytes) -> None:
    assert dict(appended((b"X-Forwarded-Host", said)))[b"X-Forwarded-Host"] == host


@pytest.mark.parametrize(
    ("said", "port"),
    [
        ({}, b"8080"),
        ({b"Port": b"8443"}, b"8443"),
        ({b"Port": b"8443", b"Proto": b"https", b"Host": b"a:1"}, b"8443"),
        ({b"Port": b"0", b"Proto": b"https", b"Host": b"a"}, b"443"),
        ({b"Port": b"99999"}, b"8080"),
        ({b"Port": b"65536"}, b"8080"),
        ({b"Port": b"65535"}, b"65535"),
        ({b"Port": b"1"}, b"1"),
        ({b"Port": b"8\xb2"}, b"8080"),
        ({b"Proto": b"https", b"Host": b"a"}, b"443"),
        ({b"Proto": b"https", b"Host": b"a:8443"}, b"8443"),
        ({b"Host": b"a"}, b"80"),
    ],
)
def test_x4_the_port_goes_with_scheme_and_host(said: dict[bytes, bytes], port: bytes) -> None:
    fields = appended(*((b"X-Forwarded-" + name, value) for name, value in said.items()))
    assert dict(fields)[b"X-Forwarded-Port"] == port


def test_x4_a_prior_scheme_alone_has_its_usual_port() -> None:
    prior = Prior([(b"X-Forwarded-Proto", b"https")])
    assert dict(PeerForwarding(PROXY, b"http", 8080).appended(b"h", prior, PROXY))[b"X-Forwarded-Port"] == b"443"


def test_x1_of_a_trusted_peer_other_x_forwarded_fields_pass_but_no_look_alikes() -> None:
    names = [
        name
        for name, _ in appended(
            (b"X-Forwarded-Prefix", b"/app"),
            (b"X-Original-URL", b"/admin"),
            (b"X-Rewrite-URL", b"/admin"),
            (b"X_Forwarded_For", b"6.6.6.6"),
            (b"X-Forwarded_Proto", b"https"),
        )
    ]
    assert b"X-Forwarded-Prefix" in names
    assert not {b"X-Original-URL", b"X-Rewrite-URL", b"X_Forwarded_For"} & set(names)
    assert dict(appended((b"X_Forwarded_For", b"6.6.6.6")))[b"X-Forwarded-For"] == PROXY.encode()
