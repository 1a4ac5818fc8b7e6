"""Lists of revoked tokens: what is on them, until when, and what is wrong with a file."""

from __future__ import annotations

from typing import Any

import pytest

from gwproxy.filters.revoked import RevokedTokens, Token, read_revoked

NOW = 1_800_000_000  # 2027-01-15T08:00:00Z


def revoked(text: str, claims: dict[str, Any], subject: str = "", now: float = NOW) -> bool:
    return read_revoked(text.encode()).has(Token(claims, subject), now)


def test_by_jti() -> None:
    assert revoked("jti abc", {"jti": "abc"})
    assert not revoked("jti abc", {"jti": "abcd"})
    assert not revoked("jti abc", {"jti": "ABC"})
    assert not revoked("jti abc", {"sub": "abc"})
    assert not revoked("jti abc", {})


def test_by_subject() -> None:
    assert revoked("sub alice", {"sub": "alice", "jti": "x"})
    assert not revoked("sub alice", {"sub": "alice2"})
    assert revoked("sub shop", {}, subject="shop")
    assert not revoked("sub shop", {"sub": "other"}, subject="shop")


@pytest.mark.parametrize("until", ["2027-01-15T08:00:01Z", "1800000001", "2027-01-16"])
def test_an_entry_ends_by_itself(until: str) -> None:
    for kind in ("jti", "sub"):
        assert revoked(f"{kind} a {until}", {kind: "a"})
        assert not revoked(f"{kind} a {until}", {kind: "a"}, now=NOW + 86_401)
    assert not revoked("jti a 1800000000", {"jti": "a"})


def test_issued_before() -> None:
    text = f"before {NOW}"
    assert revoked(text, {"iat": NOW - 1})
    assert revoked(text, {"iat": NOW - 0.5})
    assert not revoked(text, {"iat": NOW})
    assert revoked(text, {})


def test_issued_before_of_one_subject() -> None:
    text = f"before {NOW} sub alice"
    assert revoked(text, {"iat": NOW - 1, "sub": "alice"})
    assert not revoked(text, {"iat": NOW, "sub": "alice"})
    assert not revoked(text, {"iat": NOW - 1, "sub": "bob"})
    assert revoked(text, {"sub": "alice"})


@pytest.mark.parametrize("iat", [None, "1900000000", True, [], float("nan"), float("inf"), 10**400, -5])
def test_a_token_that_does_not_say_when_was_issued_before(iat: object) -> None:
    assert revoked("before 2027-01-01", {"iat": iat})


@pytest.mark.parametrize("other", [None, 5, ["a"], {"a": 1}, True])
def test_claims_of_other_types_match_nothing_and_raise_nothing(other: object) -> None:
    assert not revoked("jti 5\nsub 5\nsub a", {"jti": other, "sub": other})


def test_of_two_entries_the_later_date_counts() -> None:
    assert revoked("jti a 2027-02-01\njti a 2026-01-01", {"jti": "a"})
    assert revoked("jti a\njti a 2026-01-01", {"jti": "a"})
    assert revoked("before 2027-01-10\nbefore 2026-01-01", {"iat": NOW - 86_400 * 6})


def test_how_a_file_is_written() -> None:
    lines = ["\ufeff# c", "; c", "", "  jti a;b#c \r", 'sub "Bob Smith" 2030-01-01']
    lines += ['before 2027-01-10T00:00:00Z sub "Al B"', "sub \u00e9", ""]
    text = "\n".join(lines)
    found = read_revoked(text.encode())
    assert len(found) == 4
    for claims in ({"jti": "a;b#c"}, {"sub": "Bob Smith"}, {"sub": "Al B", "iat": 5}, {"sub": "\u00e9"}):
        assert found.has(Token(claims, ""), NOW)
    assert len(read_revoked(b"")) == 0
    assert len(read_revoked(b"before 1")) == 1


FORMS = "an entry is: jti ID [UNTIL], sub NAME [UNTIL], before DATE, or before DATE sub NAME"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("abc", FORMS),
        ("jti", FORMS),
        ("JTI abc", FORMS),
        ("jti a 2027-01-01 x", FORMS),
        ("sub Bob Smith 2027-01-01", FORMS),
        ("before", FORMS),
        ("before 2027-01-01 jti a", FORMS),
        ("before 2027-01-01 sub", FORMS),
        ("jti a tomorrow", "must be a date, as in 2027-01-31 or 2027-01-31T12:00:00Z"),
        ("before 2027-13-01", "must be a date, as in 2027-01-31 or 2027-01-31T12:00:00Z"),
        ("jti a 123456789012", "must be a date, as in 2027-01-31 or 2027-01-31T12:00:00Z"),
        ('sub "Bob', 'a text with blanks stands between two "'),
        ('sub "Bob"x', 'a text with blanks stands between two "'),
        ('sub x"Bob" "c"', "must be a date, as in 2027-01-31 or 2027-01-31T12:00:00Z"),
        ('sub ""', 'a text with blanks stands between two "'),
    ],
)
def test_mistakes_are_told_with_their_line(line: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_revoked(f"# list\njti good\n{line}\n".encode())
    assert str(caught.value) == f"line 3: {said}"


def test_all_mistakes_at_once_up_to_ten() -> None:
    with pytest.raises(ValueError) as caught:
        read_revoked(b"x\n" * 12)
    assert str(caught.value).startswith("line 1: ")
    assert str(caught.value).count("line ") == 10
    assert str(caught.value).endswith("; and 2 more")


def test_what_is_no_text() -> None:
    with pytest.raises(ValueError, match="is not UTF-8"):
        read_revoked(b"jti \xff")


def test_an_empty_list_has_nobody() -> None:
    assert not RevokedTokens().has(Token({}, ""), NOW)
