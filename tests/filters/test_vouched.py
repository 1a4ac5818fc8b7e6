"""Fields that the gateway vouches for: no client's survives, and no value becomes another one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.filters.vouched import VouchedFields, field_value

FIELDS = VouchedFields([b"X-User-Id", b"x_roles"])


@pytest.mark.parametrize(
    "name",
    [b"X-User-Id", b"x-user-id", b"X_User_Id", b"X_USER-ID", b"x.user.id", b"X-User~Id", b"X-Roles", b"x_roles"],
)
def test_every_spelling_goes(name: bytes) -> None:
    headers = [(b"Accept", b"*/*"), (name, b"admin"), (b"X-User", b"1"), (name.upper(), b"root")]
    FIELDS.strip(headers)
    assert headers == [(b"Accept", b"*/*"), (b"X-User", b"1")]


@pytest.mark.parametrize("name", [b"X-User-Id2", b"XUserId", b"X-User-Id-", b"User-Id", b"X--User-Id"])
def test_other_names_stay(name: bytes) -> None:
    headers = [(name, b"1")]
    FIELDS.strip(headers)
    assert headers == [(name, b"1")]


def test_it_edits_in_place_and_only_where_there_is_something() -> None:
    headers = [(b"X-User-Id", b"1")]
    same = headers
    FIELDS.strip(headers)
    assert same == []
    nothing: list[tuple[bytes, bytes]] = []
    FIELDS.strip(nothing)
    assert nothing == []


def test_without_names_it_is_false() -> None:
    assert FIELDS
    assert not VouchedFields([])


def test_what_it_remembers_of_strangers_is_bounded() -> None:
    fields = VouchedFields([b"X-User-Id"])
    for number in range(10_000):
        fields.strip([(b"X-%d" % number, b"")])
    assert len(fields._foreign) <= 4096


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("alice", b"alice"),
        ("", b""),
        ("Zoë", "Zoë".encode()),
        ("a b", b"a b"),
        (" a  ", b"%20a%20%20"),
        (" ", b"%20"),
        ("a\r\nX-Admin: 1", b"a%0D%0AX-Admin: 1"),
        ("a\tb\x00\x7f", b"a%09b%00%7F"),
        ("100%", b"100%25"),
        ("a%0A", b"a%250A"),
        ("\ud800", b"%ED%A0%80"),
        ("\\ud800", b"\\ud800"),
        ("\ud7ff\ue000", "\ud7ff\ue000".encode()),
    ],
)
def test_a_value_is_one_line(text: str, value: bytes) -> None:
    assert field_value(text) == value


ANY_TEXT = st.text(st.characters(codec=None))


@given(ANY_TEXT)
def test_no_value_breaks_out_of_its_line(text: str) -> None:
    value = field_value(text)
    assert re.fullmatch(rb"(?:[!-~\x80-\xff](?:[ -~\x80-\xff]*[!-~\x80-\xff])?)?", value)
    value.decode()  # UTF-8, as it says


@given(ANY_TEXT)
def test_a_value_is_of_one_text_only(text: str) -> None:
    raw = re.sub(rb"%([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), field_value(text))
    assert raw.decode("utf-8", "surrogatepass") == text
