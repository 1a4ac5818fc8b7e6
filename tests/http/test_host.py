"""Hosts: what is accepted and in which form, and that nothing ambiguous is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.errors import BadHost
from gwproxy.http import host as module
from gwproxy.http.host import parse_host

LONGEST = b".".join([b"a" * 63] * 4)


@pytest.mark.parametrize(
    ("value", "name", "port"),
    [
        (b"example.com", b"example.com", None),
        (b"API.Example.COM:8443", b"api.example.com", 8443),
        (b"example.com.", b"example.com", None),
        (b"example.com.:80", b"example.com", 80),
        (b"localhost", b"localhost", None),
        (b"my_service:1", b"my_service", 1),
        (b"a-b.xn--bcher-kva.example:65535", b"a-b.xn--bcher-kva.example", 65535),
        (b"192.0.2.1:80", b"192.0.2.1", 80),
        (b"[::1]", b"[::1]", None),
        (b"[2001:DB8:0:0::1]:443", b"[2001:db8::1]", 443),
        (LONGEST + b":8080", LONGEST, 8080),
    ],
)
def test_x8_a_host_in_its_form_for_routing(value: bytes, name: bytes, port: int | None) -> None:
    assert parse_host(value) == (name, port)
    assert parse_host(value) == (name, port), "the same from the cache"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b".",
        b"..",
        b".example.com",
        b"a..b",
        b"example.com..",
        b"a b",
        b" example.com",
        b"example.com ",
        b"user@example.com",
        b"example.com/x",
        b"example.com\\x",
        b"a,b",
        b"a;b",
        b"a?b",
        b"a#b",
        b"a%2eb",
        b"a\x00b",
        b"a\tb",
        b"a\x7f",
        b"example.com\n",
        b"b\xc3\xbccher.example",
        b"*.example.com",
        b":80",
        b"a:",
        b"a:0",
        b"a:65536",
        b"a:99999999999",
        b"a:8o",
        b"a:-1",
        b"a:80:80",
        b"a:80 ",
        b"::1",
        b"[::1",
        b"::1]",
        b"[]",
        b"[::1]x",
        b"[::1]:",
        b"[::1%25eth0]",
        b"[1.2.3.4]",
        b"[1:2:3]",
        b"[v1.x]",
        LONGEST + b"a",
        b"a" * 70000,
    ],
)
def test_f5_a_host_that_may_be_read_in_two_ways_is_refused(value: bytes) -> None:
    with pytest.raises(BadHost):
        parse_host(value)


@given(st.binary(max_size=40))
def test_whatever_comes_is_a_host_or_refused(value: bytes) -> None:
    try:
        host = parse_host(value)
    except BadHost:
        return
    assert host.name == host.name.lower()
    assert parse_host(host.name) == (host.name, None), "a name is its own normal form"


def test_the_cache_does_not_grow_with_the_names_that_clients_invent() -> None:
    for number in range(3 * module._CACHE_SIZE):
        parse_host(b"h%d.example.com" % number)
    assert len(module._cache) <= module._CACHE_SIZE
