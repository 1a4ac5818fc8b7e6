"""Forwarding fields: who is believed, who the client is, and what upstreams are told."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gwproxy.http import forwarded as module
from gwproxy.http.forwarded import (
    FORWARDING_HEADERS,
    PeerForwarding,
    Prior,
    TrustedProxies,
    canonical_ip,
    client_address,
    forwarding_headers,
    is_forwarding_header,
)

TRUSTED = TrustedProxies(["10.0.0.0/8", "2001:db8:1::/48"])
PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    "name",
    [
        *sorted(FORWARDING_HEADERS),
        b"x-forwarded-method",
        b"x-forwarded-tls-client-cert-info",
        b"x-forwarded-client-cert",
        b"x-forwarded-anything-new",
        b"x_forwarded_for",
        b"x-forwarded_proto",
        b"x_real_ip",
        b"x_original_url",
    ],
)
def test_x1_fields_that_speak_about_earlier_hops(name: bytes) -> None:
    assert is_forwarding_header(name)


@pytest.mark.parametrize("name", [b"host", b"x-forward", b"x-forwarded", b"forwarded-for", b"via", b"x-request-id"])
def test_x1_other_fields_do_not(name: bytes) -> None:
    assert not is_forwarding_header(name)


@pytest.mark.parametrize(
    ("text", "ip"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("", None),
        ("unknown", None),
        ("192.0.2", None),
        ("192.0.2.256", None),
        ("192.0.2.1\x00", None),
        ("192.0.2.1 ", None),
        ("\u0661.1.1.1", None),
        (":::", None),
    ],
)
def test_x3_addresses_have_one_form(text: str, ip: str | None) -> None:
    assert canonical_ip(text) == ip


@given(st.ip_addresses())
def test_x3_the_form_of_every_address_is_stable(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    canonical = canonical_ip(str(ip))
    assert canonical is not None
    assert canonical_ip(canonical) == canonical


@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("10.0.0.1", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("::ffff:10.1.2.3", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8:1:2::3", True),
        ("2001:db8:2::", False),
        ("fe80::1%eth0", True),
        ("172.16.9.9", True),
        ("172.32.0.0", False),
        ("", False),
        ("garbage", False),
    ],
)
def test_x2_who_is_trusted(ip: str, expected: bool) -> None:
    trusted = TrustedProxies(
        ["10.0.0.0/8", "192.0.2.7", ipaddress.ip_network("2001:db8:1::/48"), "fe80::/10", "::ffff:172.16.0.0/108"]
    )
    assert trusted
    assert (ip in trusted) is expected
    assert (ip in trusted) is expected, "the same from the cache"


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 32))
def test_x2_trust_is_what_ipaddress_says_for_ipv4(
    ip: ipaddress.IPv4Address, other: ipaddress.IPv4Address, prefix_length: int
) -> None:
    network = ipaddress.ip_network(f"{ip}/{prefix_length}", strict=False)
    trusted = TrustedProxies([network])
    assert str(ip) in trusted
    assert (str(other) in trusted) is (other in network)


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), st.integers(0, 128))
def test_x2_trust_is_what_ipaddress_says_for_ipv6(
    ip: ipaddress.IPv6Address, other: ipaddress.IPv6Address, prefix_length: int
) -> None:
    assume(ip.ipv4_mapped is None and other.ipv4_mapped is None)
    network = ipaddress.ip_network(f"{ip}/{prefix_length}", strict=False)
    trusted = TrustedProxies([network])
    assert str(ip) in trusted
    assert (str(other) in trusted) is (other in network)


def test_x2_nobody_is_trusted_by_default() -> None:
    trusted = TrustedProxies()
    assert not trusted
    assert "127.0.0.1" not in trusted
    assert "" not in trusted


def test_x2_every_address_may_be_trusted() -> None:
    trusted = TrustedProxies(["0.0.0.0/0", "::/0"])
    assert "203.0.113.9" in trusted
    assert "2001:db8::1" in trusted


def test_x2_a_malformed_network_is_refused() -> None:
    with pytest.raises(ValueError, match="network"):
        TrustedProxies(["network"])


def test_x2_the_cache_does_not_grow_with_the_addresses_in_lists() -> None:
    trusted = TrustedProxies(["10.0.0.0/8"])
    for number in range(2 * module._CACHE_SIZE + 1):
        assert str(ipaddress.IPv4Address(number)) not in trusted
    assert len(trusted._known) <= module._CACHE_SIZE


def test_x6_peers_on_unix_sockets_are_trusted_by_name() -> None:
    trusted = TrustedProxies(["unix:"])
    assert trusted
    assert "" in trusted
    assert client_address("", [b"192.0.2.1"], trusted) == "192.0.2.1"
    assert client_address("", [b"192.0.2.1"], TRUSTED) == ""


@pytest.mark.parametrize(
    ("values", "client"),
    [
        ([], PROXY),
        ([b""], PROXY),
        ([b"192.0.2.1"], "192.0.2.1"),
        ([b"6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        ([b"6.6.6.6,192.0.2.1 ,\t10.0.0.2"], "192.0.2.1"),
        ([b"6.6.6.6", b"192.0.2.1", b"10.0.0.2, 10.0.0.3"], "192.0.2.1"),
        ([b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ([b"192.0.2.1,, ,"], "192.0.2.1"),
        ([b"2001:DB8::1"], "2001:db8::1"),
        ([b"[2001:db8::1]"], "2001:db8::1"),
        ([b"[2001:db8::1]:443"], "2001:db8::1"),
        ([b"fe80::1%eth0"], "fe80::1"),
        ([b"[fe80::1%eth0]:1"], "fe80::1"),
        ([b"192.0.2.1:65000"], "192.0.2.1"),
        ([b"::ffff:192.0.2.1"], "192.0.2.1"),
        ([b"192.0.2.1, ::ffff:10.0.0.9"], "192.0.2.1"),
    ],
)
def test_x2_the_client_is_the_right_most_address_that_is_not_trusted(values: list[bytes], client: str) -> None:
    assert client_address(PROXY, values, TRUSTED) == client


def test_x1_what_an_untrusted_peer_says_is_not_read() -> None:
    assert client_address("203.0.113.9", [b"192.0.2.1"], TRUSTED, [b"for=192.0.2.1"]) == "203.0.113.9"


@pytest.mark.parametrize(
    "garbage",
    [
        b"unknown",
        b"_hidden",
        b"localhost",
        b"1.2.3",
        b"1.2.3.4.5",
        b"1.2.3.4:x",
        b"1.2.3.4:999999",
        b"[1::2",
        b"1::2]",
        b"[::1]x",
        b"[::1]:",
        b"\xff\xfe",
        b"1.2.3.4 5.6.7.8",
        b"a" * 10000,
        b":" * 10000,
        b"'; drop table",
    ],
)
def test_x3_garbage_ends_the_walk_at_the_last_good_address(garbage: bytes) -> None:
    assert client_address(PROXY, [garbage], TRUSTED) == PROXY
    assert client_address(PROXY, [b"192.0.2.1, " + garbage], TRUSTED) == PROXY
    assert client_address(PROXY, [b"192.0.2.1", garbage, b"10.0.0.2"], TRUSTED) == "10.0.0.2"


def test_x3_a_very_long_list_is_walked() -> None:
    values = [b"192.0.2.1, " + b", ".join([b"10.0.0.2"] * 1000)] * 3
    assert client_address(PROXY, values, TRUSTED) == "192.0.2.1"


@given(st.lists(st.binary(max_size=20), max_size=4))
def test_x3_whatever_comes_the_client_is_an_address(values: list[bytes]) -> None:
    for client in (client_address(PROXY, values, TRUSTED), client_address(PROXY, [], TRUSTED, values)):
        assert canonical_ip(client) == client


@pytest.mark.parametrize(
    ("values", "client"),
    [
        ([b"for=192.0.2.1"], "192.0.2.1"),
        ([b'For="[2001:db8::1]:4711";proto=https;by=10.0.0.1'], "2001:db8::1"),
        ([b"for=6.6.6.6, proto=http;for=192.0.2.1;host=a,, for=10.0.0.2 ,"], "192.0.2.1"),
        ([b"for=192.0.2.1", b"for=10.0.0.2"], "192.0.2.1"),
        ([b'for=192.0.2.1;host="a,b;for=6.6.6.6"'], "192.0.2.1"),
        ([b"for=192.0.2.1, proto=https"], PROXY),
        ([b"for=unknown"], PROXY),
        ([b"for=_secret, for=10.0.0.2"], "10.0.0.2"),
        ([b'for="6.6.6.6, for=192.0.2.1'], PROXY),
        ([b'for="6.6.6.6', b"for=192.0.2.1"], "192.0.2.1"),
        ([b"for=6.6.6.6, nonsense", b"for=10.0.0.2"], "10.0.0.2"),
    ],
)
def test_x5_forwarded_tells_the_client_too(values: list[bytes], client: str) -> None:
    assert client_address(PROXY, [], TRUSTED, values) == client
    assert client_address(PROXY, [b"192.0.2.99"], TRUSTED, values) == "192.0.2.99"


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
        ({b"Port": b"8\xb2"}, b"8080"),
        ({b"Proto": b"https", b"Host": b"a"}, b"443"),
        ({b"Proto": b"https", b"Host": b"a:8443"}, b"8443"),
        ({b"Host": b"a"}, b"80"),
    ],
)
def test_x4_the_port_goes_with_scheme_and_host(said: dict[bytes, bytes], port: bytes) -> None:
    fields = appended(*((b"X-Forwarded-" + name, value) for name, value in said.items()))
    assert dict(fields)[b"X-Forwarded-Port"] == port


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


def test_all_fields_in_one_call() -> None:
    prior = Prior([(b"X-Forwarded-For", b"192.0.2.1")])
    untrusted = forwarding_headers(
        peer_ip="203.0.113.9", client_ip="203.0.113.9", scheme=b"http", host=b"h", port=80, prior=prior, trusted=False
    )
    assert untrusted == PeerForwarding("203.0.113.9", b"http", 80).fresh(b"h")
    trusted = forwarding_headers(
        peer_ip=PROXY, client_ip="192.0.2.1", scheme=b"http", host=b"h", port=80, prior=prior, trusted=True
    )
    assert trusted == PeerForwarding(PROXY, b"http", 80).appended(b"h", prior, "192.0.2.1")
