"""Claims by path: found where they are, and compared as strings."""

from __future__ import annotations

from typing import Any

import pytest

from gwproxy.config.mistakes import BadValue
from gwproxy.filters.claims import ClaimPath, claim_path

CLAIMS: dict[str, Any] = {
    "sub": "alice",
    "level": 5,
    "admin": True,
    "nothing": None,
    "realm_access": {"roles": ["admin", "ops"], "deep": {"er": ["x"]}},
    "https://example.com/roles": ["editor"],
    "a.b": "whole",
    "a": {"b": "in parts"},
    "resource_access": {"my.client": {"roles": ["viewer"]}},
    "text": "realm",
    "list": [{"roles": ["admin"]}],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("sub", "alice"),
        ("realm_access.roles", ["admin", "ops"]),
        ("realm_access.deep.er", ["x"]),
        ("https://example.com/roles", ["editor"]),
        ("a.b", "whole"),
        ("resource_access.my.client.roles", ["viewer"]),
        ("nothing", None),
        ("nobody", None),
        ("sub.x", None),
        ("realm_access.role", None),
        ("text.0", None),
        ("list.0.roles", None),
        ("list.roles", None),
        ("Sub", None),
    ],
)
def test_where_a_claim_is(path: str, found: object) -> None:
    assert ClaimPath.compile(path).find(CLAIMS) == found


@pytest.mark.parametrize(
    ("claim", "strings"),
    [
        ("admin", ("admin",)),
        ("", ("",)),
        (["admin", "ops"], ("admin", "ops")),
        (("admin",), ("admin",)),
        ([], ()),
        (5, ("5",)),
        (-1.5, ("-1.5",)),
        (True, ("true",)),
        ([False, 1], ("false", "1")),
        (None, ()),
        ({"admin": True}, ()),
        ([["admin"]], ()),
        (["admin", {"ops": 1}, None], ("admin",)),
    ],
)
def test_a_claim_as_strings(claim: object, strings: tuple[str, ...]) -> None:
    assert ClaimPath.compile("c").strings({"c": claim}) == strings


def test_a_number_that_is_longer_than_python_writes_is_nothing() -> None:
    assert ClaimPath.compile("c").strings({"c": [10**5000, 1]}) == ("1",)


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\x00", ".".join("a" * 17)])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(BadValue):
        claim_path(text)


def test_paths_with_the_same_text_are_equal_and_written_as_given() -> None:
    assert claim_path("a.b") == claim_path("a.b") != claim_path("a.c")
    assert hash(claim_path("a.b")) == hash(claim_path("a.b"))
    assert claim_path.write(claim_path("a.b")) == "a.b"
