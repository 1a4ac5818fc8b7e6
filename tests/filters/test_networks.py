"""Sets of networks, against the standard library's own reading of each."""

from __future__ import annotations

import ipaddress
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.config.values import network
from gwproxy.filters.networks import Networks, parse_networks


def networks(*texts: str) -> Networks:
    return Networks(map(network, texts))


@pytest.mark.parametrize(
    ("written", "inside", "outside"),
    [
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], ["9.255.255.255", "11.0.0.0", "::10.0.0.1"]),
        ("192.0.2.7", ["192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
        ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]),
        ("2001:db8::/32", ["2001:db8::", "2001:DB8:ffff::1"], ["2001:db7:ffff::", "2001:db9::", "32.1.13.184"]),
        ("::1", ["::1", "0:0:0:0:0:0:0:1"], ["::", "::2", "0.0.0.1"]),
        ("::/0", ["::", "ffff::"], ["1.2.3.4", "::ffff:1.2.3.4"]),
        ("::ffff:10.0.0.0/104", ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.0", "::ffff:11.0.0.0"]),
        ("::ffff:0:0/96", ["0.0.0.0", "255.255.255.255"], ["::", "::1:0:0:0"]),
    ],
)
def test_what_is_in_one(written: str, inside: list[str], outside: list[str]) -> None:
    for made in (networks(written), parse_networks(written.encode())):
        assert [ip for ip in inside if ip not in made] == []
        assert [ip for ip in outside if ip in made] == []


@pytest.mark.parametrize(
    "ip", ["", "x", "10.0.0", "10.0.0.1.", "010.0.0.1", "1e1", ":", "10.0.0.1%1", "fe80::1%eth0", "\0"]
)
def test_what_is_no_address_is_in_none(ip: str) -> None:
    assert ip not in networks("0.0.0.0/0", "::/0")


def test_none_is_in_an_empty_set() -> None:
    assert not Networks()
    assert "10.0.0.1" not in Networks()
    assert networks("10.0.0.0/8")


def test_ranges_that_touch_or_overlap_become_one() -> None:
    assert repr(networks("10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "2001:db8::/32")) == "<Networks 2 ranges>"


def addresses_near(each: Any) -> list[Any]:
    last = each[-1]
    return [each[0], last, *([last + 1] if int(last) + 1 < 1 << each.max_prefixlen else [])]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2**128 - 1), st.integers(0, 128)), max_size=20))
def test_it_says_what_ipaddress_says(chosen: list[tuple[bool, int, int]]) -> None:
    given_networks: list[Any] = []
    for is_ipv6, number, length in chosen:
        bits = 128 if is_ipv6 else 32
        length %= bits + 1
        number = number % (1 << bits) >> (bits - length) << (bits - length)
        # Few enough to meet each other.
        kind = ipaddress.IPv6Network if is_ipv6 else ipaddress.IPv4Network
        given_networks.append(kind((number, length)))
    made = Networks(given_networks)
    read = parse_networks("\n".join(map(str, given_networks)).encode())
    for ip in [near for each in given_networks for near in addresses_near(each)]:
        if ip.version == 6 and ip.ipv4_mapped is not None:
            continue
        expected = any(ip in each for each in given_networks)
        assert (str(ip) in made) == (str(ip) in read) == expected


def test_thousands() -> None:
    chance = random.Random(4)
    texts = [f"{chance.getrandbits(32) >> 8 << 8:d}" for _ in range(5000)]
    texts = [f"{ipaddress.IPv4Address(int(each))}/24" for each in texts]
    made = parse_networks("\n".join(texts).encode())
    wanted = {ipaddress.IPv4Network(each) for each in texts}
    for _ in range(2000):
        ip = ipaddress.IPv4Address(chance.getrandbits(32))
        assert (str(ip) in made) == (ipaddress.IPv4Network((int(ip) >> 8 << 8, 24)) in wanted)


FILE = b"""\xef\xbb\xbf# who may\r
10.0.0.0/8   # the office

  2001:db8::/32\r
192.0.2.0/255.255.255.0
#198.51.100.1
"""


def test_a_file() -> None:
    read = parse_networks(FILE)
    assert repr(read) == "<Networks 3 ranges>"
    assert "10.1.2.3" in read and "2001:db8::1" in read and "192.0.2.255" in read and "198.51.100.1" not in read
    assert not parse_networks(b"") and not parse_networks(b"# nobody\n")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"10.0.0.0/8\nexample.com\n", "line 2: 'example.com' must be an address or a network"),
        (b"10.0.0.1/8", "line 1: '10.0.0.1/8' has bits set beyond its prefix; the network is /8"),
        (b"\n\n10.0.0.0/33", "line 3: '10.0.0.0/33' must be an address"),
        (b"10.0.0.0/", "line 1: '10.0.0.0/' must be"),
        (b"10.0.0.0/8, 11.0.0.0/8", "line 1: '10.0.0.0/8, 11.0.0.0/8' must be"),
        (b"10.0.0.0 - 10.0.0.9", "line 1"),
        (b"10.0.0.0/\xd9\xa8", "line 1"),
        (b"\xff", "is not UTF-8"),
        (b"x" * 100, "line 1: '" + "x" * 60 + "' must be"),
    ],
)
def test_mistakes_in_a_file_are_told_with_their_line(data: bytes, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_networks(data)
    assert str(caught.value).startswith(told)


def test_all_mistakes_of_a_file_are_told() -> None:
    with pytest.raises(ValueError, match=r"^line 1: 'x' must .*; line 3: 'y' must "):
        parse_networks(b"x\n10.0.0.0/8\ny\n")
