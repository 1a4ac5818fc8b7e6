"""Keys: one request, one short text; no way around and none into another's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.config.mistakes import BadValue
from gwproxy.filters.api import Principal
from gwproxy.filters.keys import KeySpec, key_spec, short
from gwproxy.testing import FakeExchange


def key(spec: str, *, prefix: int = 64, **exchange: Any) -> str:
    return KeySpec.parse(spec).compile(prefix)(FakeExchange(**exchange))


@pytest.mark.parametrize(
    ("ip", "wanted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("fe80::1%eth0", "fe80::/64"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_addresses(ip: str, wanted: str) -> None:
    assert key("ip", client_ip=ip) == wanted


@pytest.mark.parametrize(("prefix", "wanted"), [(128, "2001:db8::1/128"), (56, "2001:db8::/56"), (32, "2001:db8::/32")])
def test_the_prefix(prefix: int, wanted: str) -> None:
    assert key("ip", prefix=prefix, client_ip="2001:db8::1") == wanted


def test_a_header_and_a_cookie_are_hashed() -> None:
    """They may be what somebody logs in with."""
    for spec, field in [("header:X-Key", (b"x-key", b"hunter2")), ("cookie:sid", (b"Cookie", b"a=b; sid=hunter2"))]:
        found = key(spec, headers=[field])
        assert len(found) == 34
        assert "hunter2" not in found
        assert found == key(spec, headers=[field], client_ip="192.0.2.77")
        assert found != key(spec, headers=[(field[0], field[1] + b"3")])


def test_a_claim() -> None:
    principal = Principal("alice", {"sub": "alice", "org": {"id": 7}, "roles": ["a", "b"], "long": "x" * 65})
    assert key("claim:sub", principal=principal) == "=alice"
    assert key("claim:org.id", principal=principal) == "=7"
    assert key("claim:roles", principal=principal) == "=" + short("('a', 'b')")
    assert len(key("claim:long", principal=principal)) == 34


def test_an_api_key_is_its_client() -> None:
    assert key("api_key", principal=Principal("shop", method="api_key")) == "=shop"
    assert key("api_key", principal=Principal("shop", method="jwt")) == "192.0.2.1"


def test_several() -> None:
    principal = Principal("alice", {"sub": "alice"})
    assert key("ip+route", route_name="users") == "192.0.2.1|users"
    assert key("route + claim:sub + ip", principal=principal, route_name="r") == "r|=alice|192.0.2.1"


@pytest.mark.parametrize("spec", ["header:X-Key", "cookie:sid", "claim:sub", "api_key"])
@pytest.mark.parametrize(
    "exchange",
    [
        {},
        {"headers": [(b"X-Key", b""), (b"Cookie", b"sid=")]},
        {"headers": [(b"X-Key", b"a"), (b"x-key", b"b"), (b"Cookie", b"sid=a; sid=b")]},
        {"headers": [(b"X-Key", b"a"), (b"X-Key", b"a"), (b"Cookie", b"sid=a"), (b"Cookie", b"x=y; sid=a")]},
        {"principal": Principal("alice", {"sub": None})},
        {"principal": Principal("alice", {"sub": {"a": 1}})},
    ],
)
def test_what_is_not_there_is_the_address(spec: str, exchange: dict[str, Any]) -> None:
    assert key(spec, client_ip="2001:db8::1", **exchange) == "2001:db8::/64"
    assert key(f"{spec}+route", client_ip="192.0.2.1", route_name="r", **exchange) == "192.0.2.1|r"


@pytest.mark.parametrize("spec", ["header:X-Key", "cookie:sid", "claim:sub"])
def test_nobody_passes_for_the_address_of_another(spec: str) -> None:
    ip = "192.0.2.1"
    exchange: dict[str, Any] = {
        "headers": [(b"X-Key", ip.encode()), (b"Cookie", b"sid=192.0.2.1")],
        "principal": Principal(ip, {"sub": ip}),
    }
    assert key(spec, client_ip="192.0.2.2", **exchange) != key(spec, client_ip=ip)


@given(st.text(), st.text(), st.text(), st.text())
def test_no_two_pairs_of_values_share_a_key(a: str, b: str, c: str, d: str) -> None:
    def of(first: str, second: str) -> str:
        return key("claim:a+claim:b", principal=Principal("", {"a": first, "b": second}))

    assert (of(a, b) == of(c, d)) == ((a, b) == (c, d))


@given(st.text(st.characters()))
def test_keys_are_short_and_printable(text: str) -> None:
    found = key("claim:a", principal=Principal("", {"a": text}))
    assert len(found) <= 65
    assert found.isascii()
    assert found.isprintable()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be ip"),
        ("ip+", "must be ip"),
        ("ips", "did you mean 'ip'"),
        ("ip:x", "must be ip"),
        ("header", "must be ip"),
        ("header:", "must be ip"),
        ("header:a b", "must be a token"),
        ("claim:a..b", "must be the name of a claim"),
        ("ip+route+ip", "twice"),
        ("header:X-A+header:x-a", "twice"),
    ],
)
def test_what_is_no_key(text: str, said: str) -> None:
    with pytest.raises(BadValue, match=said):
        key_spec(text)


def test_as_text() -> None:
    assert str(key_spec("ip + header:X-A")) == "ip+header:x-a"
    assert key_spec("ip + header:X-A") == key_spec("ip+header:x-A")
    assert key_spec("ip+claim:a.b").needs_principal
    assert not key_spec("ip+header:a").needs_principal
