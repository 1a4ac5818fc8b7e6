"""Cookies: read as servers read them, taken out byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.http.cookies import cookie_values, remove_cookie
from gwproxy.http.headers import Headers

OTHERS = [(b"Accept", b"*/*"), (b"Origin", b"token=x")]


def cookies(*texts: bytes, field: bytes = b"Cookie") -> Headers:
    return [*OTHERS, *((field, text) for text in texts)]


# What a field says, the values of `token` in it, and what is left without them (None: nothing).
CASES: list[tuple[bytes, list[bytes], bytes | None]] = [
    (b"token=abc", [b"abc"], None),
    (b"token=", [b""], None),
    (b'token="abc"', [b"abc"], None),
    (b'token="', [b'"'], None),
    (b'token=""', [b""], None),
    (b"token=a=b==", [b"a=b=="], None),
    (b"token = abc ", [b"abc"], None),
    (b"\ttoken\t=\tabc\t", [b"abc"], None),
    (b"token=abc;", [b"abc"], None),
    (b"token=abc; ;", [b"abc"], None),
    (b"token=abc; a=1", [b"abc"], b"a=1"),
    (b"a=1; token=abc", [b"abc"], b"a=1"),
    (b"a=1;token=abc;b=2", [b"abc"], b"a=1;b=2"),
    (b"a=1;  token=abc;   b=2 ; c", [b"abc"], b"a=1;   b=2 ; c"),
    (b"a=1; token=abc;", [b"abc"], b"a=1;"),
    (b"token=1; a=1; token=2", [b"1", b"2"], b"a=1"),
    (b"token=1; token=1", [b"1", b"1"], None),
    # A pair ends at every semicolon, inside quotes too.
    (b'a="x; token=y; z"', [b"y"], b'a="x; z"'),
    # Without `=`: no value to take, and still nothing that should go on.
    (b"token; a=1", [], b"a=1"),
    (b"token", [], None),
    # Others, whatever they look like, byte for byte.
    (b"a=1", [], b"a=1"),
    (b"  a=1 ;; b", [], b"  a=1 ;; b"),
    (b"Token=abc", [], b"Token=abc"),
    (b"tokens=abc; my-token=abc; xtoken=1", [], b"tokens=abc; my-token=abc; xtoken=1"),
    (b"a=token=abc", [], b"a=token=abc"),
    (b"a=token", [], b"a=token"),
    (b"a=1, token=abc", [], b"a=1, token=abc"),
    (b'"token"=abc', [], b'"token"=abc'),
    (b"tok en=abc", [], b"tok en=abc"),
    (b"=token", [], b"=token"),
    (b"", [], b""),
]


@pytest.mark.parametrize(("text", "values", "left"), CASES)
def test_one_field(text: bytes, values: list[bytes], left: bytes | None) -> None:
    headers = cookies(text)
    assert cookie_values(headers, b"token") == values
    assert headers == cookies(text)
    assert remove_cookie(headers, b"token") == values
    assert headers == (OTHERS if left is None else cookies(left))


@pytest.mark.parametrize("field", [b"cookie", b"COOKIE", b"cOokiE"])
def test_the_fields_name_in_any_case(field: bytes) -> None:
    headers = cookies(b"a=1; token=abc", field=field)
    assert cookie_values(headers, b"token") == [b"abc"]
    assert remove_cookie(headers, b"token") == [b"abc"]
    assert headers == cookies(b"a=1", field=field)


def test_rfc9113_several_fields() -> None:
    headers = cookies(b"token=1", b"a=1", b"b=2; token=2", b"token=3")
    headers.append((b"X-Last", b"1"))
    assert cookie_values(headers, b"token") == [b"1", b"2", b"3"]
    assert remove_cookie(headers, b"token") == [b"1", b"2", b"3"]
    assert headers == [*cookies(b"a=1", b"b=2"), (b"X-Last", b"1")]


def test_the_list_stays_the_same_one() -> None:
    """Others hold it."""
    headers = cookies(b"token=1")
    held = headers
    remove_cookie(headers, b"token")
    assert held == OTHERS


_PAIRS = st.lists(
    st.sampled_from([b"a=1", b" token=x", b"token=y", b" ", b"", b" b", b'"token=q"', b" =", b"tokens=1"])
)


@given(st.lists(_PAIRS, max_size=3))
def test_what_is_read_is_what_is_taken_out(fields: list[list[bytes]]) -> None:
    headers = cookies(*(b";".join(pairs) for pairs in fields))
    values = cookie_values(headers, b"token")
    others = [cookie_values(headers, name) for name in (b"a", b"b", b"tokens")]
    assert remove_cookie(headers, b"token") == values
    assert cookie_values(headers, b"token") == []
    assert [cookie_values(headers, name) for name in (b"a", b"b", b"tokens")] == others


def taken_apart(text: bytes, name: bytes) -> tuple[list[bytes], bytes]:
    """The same in another way: the values, and what is left of the field."""
    pairs = text.split(b";")
    named = [pair for pair in pairs if pair.partition(b"=")[0].strip(b" \t") == name]
    left = [pair for pair in pairs if pair not in named]
    values = [pair.partition(b"=")[2].strip(b" \t") for pair in named if b"=" in pair]
    if named and left and left[0] is not pairs[0]:
        left[0] = left[0].lstrip(b" \t")
    rest = b";".join(left) if named else text
    return [value[1:-1] if len(value) > 1 and value[:1] == b'"' == value[-1:] else value for value in values], rest


@given(st.lists(st.sampled_from([b"t", b"tt", b"=", b";", b"; ", b" ", b"\t", b'"', b"a", b"a=b", b"t=x"]), max_size=9))
def test_any_text_is_taken_apart_by_its_pairs(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    headers = [(b"Cookie", text)]
    found = remove_cookie(headers, b"t")
    values, rest = taken_apart(text, b"t")
    assert found == values
    assert headers == ([(b"Cookie", rest)] if rest == text or rest.strip(b"; \t") else [])
