"""JSON texts: what is one, and its shape, with Python's own parser as the oracle."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.filters.json_text import MOST_DEPTH, Shape, TooDeep, check_syntax

GOOD = [
    b"null", b"true", b"false", b"0", b"-0", b"1.5", b"-1E+2", b"1e400", b'""', b"[]", b"{}", b" \t\r\n[1 , 2]\n",
    b'"\\u00e9\\n\\/\\ud83d\\ude00"', '"é😀"'.encode(), b'{"":{"":[]}}', b"1" * 5000,
]  # fmt: skip
BAD = [
    b"", b" ", b"nul", b"True", b"NaN", b"Infinity", b"-Infinity", b"[NaN]", b"01", b"-01", b"+1", b".5", b"1.", b"1e",
    b"0x1", b"--1", b"[1,]", b"[,1]", b"[1 2]", b'{"a":1,}', b'{"a"}', b'{"a":}', b"{a:1}", b"{1:2}", b"{'a':1}",
    b"'a'", b'"a', b'"\\x"', b'"\\u12"', b'"\\u12G4"', b'"\x01"', b'"\t"', b"[1]x", b"[1] [2]", b"[1]\x00", b"[1]\xa0",
    b"// a\n1", b"[1, /* a */ 2]", b"[", b"]", b"[}", b'{"a":1]', b"\xef\xbb\xbf[]", b'"\xff"', b'"\xc0\xaf"',
    b'"\xed\xa0\x80"', '"a"'.encode("utf-16"), '"a"'.encode("utf-16-le"), '"a"'.encode("utf-32-be"), b'"\\ud800"',
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_rfc8259_what_is_one(text: bytes) -> None:
    check_syntax(text)


@pytest.mark.parametrize("text", BAD)
def test_rfc8259_what_is_none(text: bytes) -> None:
    with pytest.raises(ValueError):
        check_syntax(text)


@pytest.mark.parametrize("unit", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("whole", [False, True])
def test_what_nests_by_far_too_deep_is_said_to_do_so(unit: bytes, whole: bool) -> None:
    deep = unit * 200_000
    if whole:
        closing = {ord("["): b"]", ord("{"): b"}"}
        deep += b"1" + b"".join(closing[byte] for byte in reversed(deep) if byte in closing)
    with pytest.raises(TooDeep):
        check_syntax(deep)


@pytest.mark.parametrize("unit", [(b"[", b"]"), (b'{"a":', b"}")])
def test_what_nests_as_deep_as_an_option_allows_is_checked(unit: tuple[bytes, bytes]) -> None:
    text = unit[0] * MOST_DEPTH + b"1" + unit[1] * MOST_DEPTH
    check_syntax(text)
    assert Shape(text).is_deeper_than(MOST_DEPTH - 1)
    assert not Shape(text).is_deeper_than(MOST_DEPTH)


@given(st.text(alphabet='[]{}:,"\\ \t0123456789.eE+-/abcdefnrtul\x01é', max_size=30))
def test_it_agrees_with_another_parser(text: str) -> None:
    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        with pytest.raises(ValueError):
            check_syntax(text.encode())
    else:
        check_syntax(text.encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}:,"\\aé', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('[]{}:,"\\k', max_size=4), inner, max_size=4),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def keys_of(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(keys_of, value.values()))
    return sum(map(keys_of, value)) if isinstance(value, list) else 0


def values_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + sum(map(values_of, value)) if isinstance(value, list) else 1


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_the_shape_is_that_of_what_python_builds(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    check_syntax(text)
    depth, keys, values = depth_of(value), keys_of(value), values_of(value)
    for limit in range(depth + 2):
        assert Shape(text).is_deeper_than(limit) == (depth > limit)
    for limit in range(keys + 2):
        assert Shape(text).has_more_keys_than(limit) == (keys > limit)
    # What one question has found out the next one uses.
    shape = Shape(text)
    assert (shape.is_deeper_than(0), shape.has_more_keys_than(0)) == (depth > 0, keys > 0)
    assert not shape.is_deeper_than(depth) and not shape.has_more_keys_than(keys)
    # Each array and object counts as one more at most: exactness is not what this bound is for.
    assert shape.has_more_values_than(values - 1)
    assert not shape.has_more_values_than(values + text.count(b"[") + text.count(b"{"))


@pytest.mark.parametrize("text", [b'["[[[[", "]"]', b'["\\"[[[", "\\\\"]', b'{"[{":"\\\\\\"[["}', b'["\\u005b[[["]'])
def test_brackets_in_strings_are_none(text: bytes) -> None:
    check_syntax(text)
    assert not Shape(text).is_deeper_than(1)
    assert Shape(text).is_deeper_than(0)


def test_colons_in_strings_are_none() -> None:
    assert not Shape(b'{"a:b":"::\\":"}').has_more_keys_than(1)
