"""Claims as fields of a request: which there are, and that no two claims become the same text."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.config.mistakes import BadValue
from gwproxy.filters.claim_fields import ClaimFields, claims_to_headers


def fields(option: str, claims: dict[str, Any]) -> dict[bytes, bytes]:
    return dict(ClaimFields(claims_to_headers(option)).fields(claims))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("alice", b"alice"),
        (7, b"7"),
        (True, b"true"),
        (["a", "b"], b"a,b"),
        (["a", 7, False], b"a,7,false"),
        (["a,b"], b"a%2Cb"),
        (["a,b", "c"], b"a%2Cb,c"),
        (("a,b", "c"), b"a%2Cb,c"),
        (["a%2Cb"], b"a%252Cb"),
        ([" a", "b ", "c"], b"%20a,b%20,c"),
        ("Doe, Jane", b"Doe, Jane"),
        ("CN=jane,O=example", b"CN=jane,O=example"),
        ("a\r\nX-Admin: 1", b"a%0D%0AX-Admin: 1"),
    ],
)
def test_a_claim_is_one_field(claim: Any, value: bytes) -> None:
    assert fields("c: X-C", {"c": claim}) == {b"X-C": value}


@pytest.mark.parametrize("claim", [None, {}, {"a": "b"}, "", [], [None], [["a"]], [""]])
def test_a_claim_that_has_no_text_is_no_field(claim: Any) -> None:
    assert fields("c: X-C", {"c": claim}) == {}
    assert fields("other: X-C", {"c": claim}) == {}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_who_splits_and_decodes_a_list_has_its_members(members: list[str]) -> None:
    value = fields("c: X-C", {"c": members})[b"X-C"].decode()
    assert [unquote(each, errors="strict") for each in value.split(",")] == members


def test_paths_and_addresses_are_claims_too() -> None:
    option = "realm_access.roles: X-Roles, https://example.com/plan: X-Plan, gone: X-Gone"
    claims = {"realm_access": {"roles": ["a", "b"]}, "https://example.com/plan": "gold"}
    assert fields(option, claims) == {b"X-Roles": b"a,b", b"X-Plan": b"gold"}


def test_its_names_are_vouched_for() -> None:
    headers = [(b"x_user_id", b"root"), (b"Accept", b"*/*")]
    ClaimFields(claims_to_headers("sub: X-User-Id")).vouched.strip(headers)
    assert headers == [(b"Accept", b"*/*")]


def test_the_option_is_written_as_it_is_read() -> None:
    text = "sub: X-User-Id, a.b: X-B"
    assert claims_to_headers.write(claims_to_headers(text)) == text
    assert claims_to_headers("") == ()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("sub", "must be claim: Header-Name"),
        ("sub: X A", "must be a header name"),
        ("sub: Content-Length", "ends at this hop"),
        (": X-A", "must be the name of a claim"),
        ("a..b: X-A", "must be the name of a claim"),
        ("sub: X-A, email: x-a", "stands twice"),
    ],
)
def test_what_it_may_not_be(text: str, wrong: str) -> None:
    with pytest.raises(BadValue, match=wrong):
        claims_to_headers(text)
