"""A token is read in one way only, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.tokens.compact import MAX_DEPTH, Malformed, base64url, claims_of, header_of, json_object
from tests.tokens.kit.forge import b64


@given(st.binary(min_size=1, max_size=200))
def test_base64url_there_and_back(data: bytes) -> None:
    assert base64url(b64(data)) == data


@given(st.binary(max_size=20) | st.text("AQgw-_=+/ .\n", max_size=9).map(str.encode))
def test_what_is_read_is_the_only_way_to_write_it(part: bytes) -> None:
    try:
        data = base64url(part)
    except Malformed:
        return
    assert b64(data) == part


NOT_BASE64URL = (
    *(b"", b"A", b"AAAAA", b"AB", b"AAB", b"AA==", b"AAA=", b"AAAA=", b"A+AA", b"A/AA", b"AA A", b" AAAA", b"AAAA\n"),
    *(b"AAA\0", b"AA.A", b"AA!A", b"\xc3\xa4AA", b"%41AAA"),
)


@pytest.mark.parametrize("part", NOT_BASE64URL)
def test_what_is_not_base64url(part: bytes) -> None:
    with pytest.raises(Malformed):
        base64url(part)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"{}", {}),
        (b' {"a" : [1, 2.5, true, null, "x"]} ', {"a": [1, 2.5, True, None, "x"]}),
        ('{"name": "Zoë"}'.encode(), {"name": "Zoë"}),
        (rb'{"name": "Zo\u00eb \ud83d\ude00"}', {"name": "Zoë \U0001f600"}),
        (rb'{"a": "\\ud800"}', {"a": "\\ud800"}),
    ],
)
def test_json(raw: bytes, wanted: Any) -> None:
    assert json_object(raw) == wanted


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'"{}"',
        b"1",
        b"{",
        b"{}{}",
        b"{} x",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 01}',
        b'{"a": "\n"}',
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "b": {"c": 1, "c": 2}}',
        b'{"a": [{"c": 1, "c": 2}]}',
        rb'{"a": 1, "\u0061": 2}',
        rb'{"a": "\ud800"}',
        rb'{"\uDC00": 1}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-32-le"),
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[" * 100_000,
    ],
    ids=lambda raw: raw[:30],
)
def test_what_is_no_json_object(raw: bytes) -> None:
    with pytest.raises(Malformed):
        json_object(raw)


def nested(depth: int, opening: bytes = b'{"a":', closing: bytes = b"}") -> bytes:
    return b'{"x":' + opening * (depth - 2) + b"[]" + closing * (depth - 2) + b"}"


@pytest.mark.parametrize(("opening", "closing"), [(b'{"a":', b"}"), (b"[", b"]")])
def test_claims_are_as_deep_as_that(opening: bytes, closing: bytes) -> None:
    deepest = nested(MAX_DEPTH, opening, closing)
    assert claims_of(b64(deepest)) == json.loads(deepest)
    for depth in (MAX_DEPTH + 1, 100, 900):
        with pytest.raises(Malformed):
            claims_of(b64(nested(depth, opening, closing)))


def test_claims_may_be_wide() -> None:
    wide = {"permissions": [{"on": "[[[", "of": ["{{{"]}] * 200}
    assert claims_of(b64(json.dumps(wide).encode())) == wide


def test_a_header_has_few_objects() -> None:
    assert header_of(b64(b'{"alg":"RS256","x5c":["a"],"jwk":{"kty":"RSA"}}'))["alg"] == "RS256"
    for raw in (nested(33), b'{"a":[' + b"[]," * 40 + b"[]]}", b"[" * 10_000):
        with pytest.raises(Malformed):
            header_of(b64(raw))
