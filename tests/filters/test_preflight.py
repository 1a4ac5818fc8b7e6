"""The answer to a CORS preflight: everything that is asked for, or no word of CORS."""

from __future__ import annotations

import pytest

from gwproxy.filters.api import Header, Reply
from gwproxy.filters.preflight import Preflight, is_preflight
from gwproxy.testing import FakeExchange, Surroundings

ORIGIN = (b"Origin", b"https://app.example.com")
GRANTED = ((b"Access-Control-Allow-Origin", b"https://app.example.com"),)
VARY = (b"Vary", b"Origin")


def asks(method: bytes = b"PUT", headers: bytes | None = None, *more: Header) -> FakeExchange:
    fields = [ORIGIN, (b"Access-Control-Request-Method", method), *more]
    if headers is not None:
        fields.append((b"Access-Control-Request-Headers", headers))
    return FakeExchange(b"OPTIONS", headers=fields)


def preflight(
    methods: tuple[bytes, ...] = (b"GET", b"PUT"),
    headers: tuple[bytes, ...] = (b"Authorization", b"X-One"),
    private_network: bool = False,
    around: Surroundings | None = None,
) -> Preflight:
    return Preflight(methods, headers, 600.0, private_network, (around or Surroundings()).context("browsers"))


def answered(
    made: Preflight, exchange: FakeExchange, granted: tuple[Header, ...] | None = GRANTED
) -> dict[bytes, bytes]:
    """The fields of the answer but Vary, names without what all begin with."""
    reply = made.answer(exchange, granted, VARY)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body, reply.headers.count(VARY)) == (204, b"", 1)
    fields = {name.removeprefix(b"Access-Control-"): value for name, value in reply.headers if name != b"Vary"}
    assert len(fields) == len(reply.headers) - 1
    return fields


@pytest.mark.parametrize(
    ("headers", "is_one"),
    [
        ([ORIGIN, (b"access-control-request-method", b"PUT")], True),
        ([ORIGIN], False),
        ([(b"Access-Control-Request-Method", b"PUT")], False),
        ([ORIGIN, (b"Access-Control-Request-Headers", b"x-one")], False),
    ],
)
def test_what_is_one(headers: list[Header], is_one: bool) -> None:
    assert is_preflight(FakeExchange(b"OPTIONS", headers=headers)) is is_one


def test_what_an_allowed_origin_gets() -> None:
    assert answered(preflight(), asks()) == {
        b"Allow-Origin": b"https://app.example.com",
        b"Allow-Methods": b"GET, PUT",
        b"Allow-Headers": b"Authorization, X-One",
        b"Max-Age": b"600",
    }


def test_an_origin_that_is_not_allowed_gets_no_word() -> None:
    assert answered(preflight(), asks(), None) == {}


@pytest.mark.parametrize("method", [b"DELETE", b"put", b"Put", b"PUTS", b"", b"GET, PUT", b"*", b"\xc3\xbc"])
def test_a_method_that_is_not_allowed(method: bytes) -> None:
    assert answered(preflight(), asks(method)) == {}


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"authorization",
        b"x-one,authorization",
        b"X-ONE, Authorization",
        b" ,\tx-one ,, ",
        b"accept,accept-language,content-language,x-one",
    ],
)
def test_headers_that_are_allowed(headers: bytes) -> None:
    assert answered(preflight(), asks(b"PUT", headers))[b"Allow-Headers"] == b"Authorization, X-One"


@pytest.mark.parametrize(
    "headers", [b"x-two", b"x-one,x-two", b"x-one;x-two", b"x_one", b"x-one x-one", b"*", b"\xc3\xbc", b"content-type"]
)
def test_a_header_that_is_not_allowed(headers: bytes) -> None:
    assert answered(preflight(), asks(b"PUT", headers)) == {}


def test_without_headers_none_are_named() -> None:
    assert b"Allow-Headers" not in answered(preflight(headers=()), asks(b"PUT", b"accept"))
    assert answered(preflight(headers=()), asks(b"PUT", b"x-one")) == {}


def test_any_method_and_any_header_are_named_as_asked_for() -> None:
    """`*` in the answer would not cover Authorization, nor anything when there are credentials."""
    fields = answered(preflight((b"*",), (b"*",)), asks(b"PURGE", b"authorization,x-two"))
    assert (fields[b"Allow-Methods"], fields[b"Allow-Headers"]) == (b"PURGE", b"authorization,x-two")
    assert b"Allow-Headers" not in answered(preflight((b"*",), (b"*",)), asks(b"PURGE"))


@pytest.mark.parametrize("headers", [b'x-one"', b"x-one: 1", b"<x>", b"\xc3\xbc", b"x(1)"])
def test_what_is_no_list_of_headers_is_not_repeated(headers: bytes) -> None:
    assert answered(preflight((b"*",), (b"*",)), asks(b"PUT", headers)) == {}
    assert answered(preflight((b"*",), (b"*",)), asks(headers)) == {}


def test_a_private_network() -> None:
    asked = (b"Access-Control-Request-Private-Network", b"true")
    allow = b"Allow-Private-Network"
    assert answered(preflight(private_network=True), asks(b"PUT", None, asked))[allow] == b"true"
    assert allow not in answered(preflight(private_network=True), asks())
    assert allow not in answered(preflight(private_network=True), asks(b"PUT", None, (asked[0], b"?1")))
    assert allow not in answered(preflight(), asks(b"PUT", None, asked))


def test_they_are_counted_by_what_became_of_them() -> None:
    around = Surroundings()
    made = preflight(around=around)
    for exchange in (asks(), asks(), asks(b"DELETE"), asks(b"PUT", b"x-two")):
        made.answer(exchange, GRANTED, VARY)
    made.answer(asks(), None, VARY)
    [family] = [family for family in around.meters.families() if family.name == "cors_preflights"]
    assert {labels: read() for labels, read in family.series.items()} == {
        ("browsers", "allowed"): 2,
        ("browsers", "origin"): 1,
        ("browsers", "method"): 1,
        ("browsers", "header"): 1,
    }
