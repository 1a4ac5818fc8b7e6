"""Parameters of a query: found in every spelling, cut out byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.http.query import parameter_values, without_parameter


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (b"", []),
        (b"key=1", [b"1"]),
        (b"a=1&key=2&b=3", [b"2"]),
        (b"key=1&key=2", [b"1", b"2"]),
        (b"%6bey=1", [b"1"]),
        (b"%6B%65%79=%31", [b"1"]),
        (b"key", [b""]),
        (b"key=", [b""]),
        (b"key=a=b", [b"a=b"]),
        (b"key=a+b%2B", [b"a b+"]),
        (b"key=1;x=2", [b"1;x=2"]),
        (b"Key=1&keys=1&akey=1&key%20=1&+key=1&key[]=1", []),
        (b"%256bey=1", []),
        (b"%6=1&%=2&%zz=3", []),
        (b"x=key=1", []),
        (b"&&key=1&&", [b"1"]),
    ],
)
def test_values(query: bytes, values: list[bytes]) -> None:
    assert parameter_values(query, b"key") == values


@pytest.mark.parametrize(
    ("target", "left"),
    [
        (b"/a", b"/a"),
        (b"/a?", b"/a?"),
        (b"/key?monkey=1", b"/key?monkey=1"),
        (b"/a?key=1", b"/a"),
        (b"/a?key", b"/a"),
        (b"/a?%6Bey=1&key=2", b"/a"),
        (b"/a?key=1&b=%7e+x", b"/a?b=%7e+x"),
        (b"/a?b=%7E&key=1", b"/a?b=%7E"),
        (b"/a?b=1&key=1&c=2&&", b"/a?b=1&c=2&&"),
        (b"/a?b=1?key=1", b"/a?b=1?key=1"),
        (b"https://h/p?key=1&a=1", b"https://h/p?a=1"),
        (b"/a?%zz=%&+", b"/a?%zz=%&+"),
    ],
)
def test_without(target: bytes, left: bytes) -> None:
    assert without_parameter(target, b"key") == left


_pieces = st.lists(st.sampled_from([b"key=1", b"%6bey=2", b"key", b"a=1", b"b", b"", b"%zz", b"a=key", b"k+ey=1"]))


@given(_pieces)
def test_nothing_of_it_is_left_and_the_rest_is_as_it_was(pieces: list[bytes]) -> None:
    query = b"&".join(pieces)
    target = without_parameter(b"/p?" + query, b"key")
    assert parameter_values(target.partition(b"?")[2], b"key") == []
    kept = [piece for piece in pieces if not parameter_values(piece, b"key")]
    if len(kept) == len(pieces):
        assert target == b"/p?" + query
    else:
        assert target == (b"/p?" + b"&".join(kept) if kept else b"/p")
