"""Who is believed about earlier hops, and who the client is."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gwproxy.http import trusted as module
from gwproxy.http.trusted import TrustedProxies, canonical_ip, client_address

TRUSTED = TrustedProxies(["10.0.0.0/8", "2001:db8:1::/48"])
PROXY = "10.0.0.1"


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


def test_x2_a_network_of_mapped_addresses_is_one_of_ipv4_addresses() -> None:
    assert "203.0.113.9" in TrustedProxies(["::ffff:0:0/96"])
    assert "203.0.113.9" not in TrustedProxies(["::/0"])


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
        ([b"for=192.0.2.1;, for=10.0.0.2; ,; , "], "192.0.2.1"),
        ([b";for=192.0.2.1"], "192.0.2.1"),
        ([b"proto=https;for=192.0.2.1;host=h"], "192.0.2.1"),
        ([b'for=""'], PROXY),
        ([b"for="], PROXY),
        ([b"", b" ,"], PROXY),
        ([b"for=unknown"], PROXY),
        ([b"for=_secret, for=10.0.0.2"], "10.0.0.2"),
        ([b'for="6.6.6.6, for=192.0.2.1'], PROXY),
        ([b'for="6.6.6.6', b"for=192.0.2.1"], "192.0.2.1"),
        ([b"for=6.6.6.6, nonsense", b"for=10.0.0.2"], "10.0.0.2"),
        ([b"for=6.6.6.6", b"nonsense", b"for=10.0.0.2"], "10.0.0.2"),
    ],
)
def test_x5_forwarded_tells_the_client_too(values: list[bytes], client: str) -> None:
    assert client_address(PROXY, [], TRUSTED, values) == client
    assert client_address(PROXY, [b"192.0.2.99"], TRUSTED, values) == "192.0.2.99"
