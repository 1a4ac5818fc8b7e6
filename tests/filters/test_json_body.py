"""The filter `json_body`: what passes, what each refusal says, shadow mode, and hostile bodies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.errors import BodyTooLarge
from gwproxy.filters import json_body
from gwproxy.filters.api import Header
from gwproxy.testing import FakeExchange, FilterHarness, Played, Surroundings, build_filter, run_filter

JSON = (b"Content-Type", b"application/json")
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"items": {"type": "array", "items": {"properties": {"id": {"type": "integer"}}}}},
}


def post(body: bytes, *headers: Header, method: bytes = b"POST", chunked: bool = False) -> FakeExchange:
    return FakeExchange(method, headers=headers or [JSON], body=body, chunked=chunked)


def played(exchange: FakeExchange, around: Surroundings | None = None, **options: str) -> Played:
    return run_filter(build_filter(json_body, options, around=around), exchange)


def refused(exchange: FakeExchange, status: int, reason: str, **options: str) -> Played:
    """Refused so; and let pass in shadow mode, with the same line in the log and counted."""
    around = Surroundings()
    result = played(exchange, around, **options)
    assert result.reply is not None
    assert (result.status, result.reply.detail, result.sent) == (status, reason, [])
    assert around.decisions() == {("deny", "enforce"): 1}
    shadow = Surroundings()
    passed = played(exchange, shadow, mode="shadow", **options)
    assert (passed.status, passed.reply, len(passed.sent)) == (200, None, 1)
    assert shadow.decisions() == {("deny", "shadow"): 1}
    line = {"event": "body_refused", "filter": "test", "reason": reason, "client": "192.0.2.1"}
    assert around.events == [{**line, "mode": "enforce"}]
    assert shadow.events == [{**line, "mode": "shadow"}]
    return result


@pytest.fixture
def schema(tmp_path: Path) -> str:
    path = tmp_path / "order.schema.json"
    path.write_text(json.dumps(SCHEMA))
    return str(path)


def test_json_passes(schema: str) -> None:
    around = Surroundings()
    body = b' {"items": [{"id": 1}]} '
    assert played(post(body), around, schema=schema, unique_keys="yes").status == 200
    assert played(post(body, chunked=True), around).status == 200
    assert around.decisions() == {("allow", "enforce"): 2}


# What the head says


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON; charset=UTF-8",
        b'application/json;charset="utf-8"',
        b"application/json ; profile=x",
        b"application/merge-patch+json",
        b"application/vnd.api+json; ext=y",
    ],
)
def test_content_types_of_json(content_type: bytes) -> None:
    built = build_filter(json_body)
    for _ in range(2):  # the second time it is known
        assert run_filter(built, post(b"1", (b"content-type", content_type))).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [(b"X", b"y")],
        [(b"Content-Type", b"text/plain")],
        [(b"Content-Type", b"application/jsonp")],
        [(b"Content-Type", b"+json")],
        [(b"Content-Type", b"")],
        [(b"Content-Type", b"application/json; charset=utf-16")],
        [(b"Content-Type", b"application/json; charset=utf-8; charset=latin1")],
        [(b"Content-Type", b"application/json, text/plain")],
        [JSON, (b"content-type", b"text/plain")],
        [JSON, JSON],
        [JSON, (b"Content-Encoding", b"gzip")],
        [JSON, (b"Content-Encoding", b"identity, gzip")],
        [JSON, (b"Content-Encoding", b"identity"), (b"content-encoding", b"br")],
    ],
)
def test_others_are_refused(headers: list[Header]) -> None:
    refused(post(b"1", *headers), 415, "body_type")


def test_identity_is_no_coding() -> None:
    assert played(post(b"1", JSON, (b"Content-Encoding", b"Identity"))).status == 200


def test_which_types_pass_is_an_option() -> None:
    built = build_filter(json_body, {"content_types": "application/json-seq, +ld"})
    assert run_filter(built, post(b"1", (b"Content-Type", b"application/x+ld"))).status == 200
    assert run_filter(built, post(b"1", (b"Content-Type", b"Application/JSON-seq"))).status == 200
    assert run_filter(built, post(b"1", JSON)).status == 415


def test_remembered_types_are_bounded() -> None:
    built: Any = build_filter(json_body)
    for number in range(1000):
        run_filter(built, post(b"1", (b"Content-Type", b"application/x%d+json" % number)))
    assert len(built._good_types) <= 64


# What the body is


@pytest.mark.parametrize(
    "body",
    [b"{", b"NaN", b"[Infinity]", b"[1,]", b"{} x", b"\xef\xbb\xbf{}", b'"\xff"', '"a"'.encode("utf-16"), b"a=1"],
)
def test_what_is_no_json(body: bytes) -> None:
    refused(post(body), 400, "body_not_json")


def test_depth() -> None:
    assert played(post(b"[" * 32 + b"]" * 32)).status == 200
    refused(post(b"[" * 33 + b"]" * 33), 400, "body_too_deep")
    refused(post(b'{"a":[1]}'), 400, "body_too_deep", max_depth="1")


def test_keys_are_those_of_the_whole_document() -> None:
    body = b'[{"a":1,"b":{"c":"::"}},{"a":1}]'
    assert played(post(body), max_keys="4").status == 200
    refused(post(body), 400, "body_too_many_keys", max_keys="3")


def test_values_are_bounded_where_they_are_built(schema: str) -> None:
    body = b"[" + b"1," * 10_000 + b"1]"
    assert played(post(body)).status == 200
    refused(post(body), 400, "body_too_many_values", schema=schema)
    refused(post(body), 400, "body_too_many_values", unique_keys="yes")
    assert played(post(body), unique_keys="yes", max_values="30000").status == 200


@pytest.mark.parametrize("body", [b'{"a":1,"a":2}', b'[{"b":{"a":1,"\\u0061":1}}]'])
def test_a_key_that_stands_twice(body: bytes) -> None:
    assert played(post(body)).status == 200
    refused(post(body), 400, "body_key_twice", unique_keys="yes")
    assert played(post(b'[{"a":1},{"a":{"a":1}}]'), unique_keys="yes").status == 200


@pytest.mark.parametrize(
    ("body", "pointer", "keyword"),
    [
        (b'{"items":[{"id":1},{"id":"hunter2"}]}', "/items/1/id", "type"),
        (b'{"items":[],"role":"hunter2"}', "/role", "additionalProperties"),
        (b'"hunter2"', "", "type"),
    ],
)
def test_where_it_breaks_the_schema_is_told_and_no_value(schema: str, body: bytes, pointer: str, keyword: str) -> None:
    result = refused(post(body), 422, "body_schema", schema=schema)
    assert result.reply is not None
    assert result.reply.more == {"pointer": pointer, "keyword": keyword}
    assert "hunter2" not in repr(result.reply)


def test_a_number_that_nobody_reads(schema: str) -> None:
    assert played(post(b"1" * 1001)).status == 200
    assert played(post(b"1" * 1000), unique_keys="yes").status == 200
    refused(post(b"1" * 1001), 400, "body_not_json", schema=schema)


# Size


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(chunked: bool) -> None:
    assert played(post(b'"12345678"', chunked=chunked), max="10").status == 200
    refused(post(b'"123456789"', chunked=chunked), 413, "body_limit", max="10")


def test_other_failures_of_the_body_are_not_its_own() -> None:
    exchange = post(b"1")
    exchange.reading = Deferred()
    harness = FilterHarness(build_filter(json_body))
    waits = harness.run(exchange)
    assert waits.waiting
    exchange.reading.errback(ZeroDivisionError())
    assert waits.failure is not None
    assert waits.failure.check(ZeroDivisionError)
    assert not waits.failure.check(BodyTooLarge)


def test_it_waits_for_the_body() -> None:
    exchange = post(b"1")
    exchange.reading = Deferred()
    waits = FilterHarness(build_filter(json_body)).run(exchange)
    exchange.reading.callback(b"{")
    assert (waits.waiting, waits.status) == (False, 400)


# Which requests


@pytest.mark.parametrize("chunked", [False, True])
def test_no_body_passes_unless_there_must_be_one(chunked: bool) -> None:
    assert played(post(b"", chunked=chunked)).status == 200
    refused(post(b"", chunked=chunked), 400, "body_not_json", required="yes")


def test_methods() -> None:
    options = {"methods": "POST, PUT", "required": "yes"}
    built = build_filter(json_body, options)
    assert run_filter(built, post(b"no json", method=b"PATCH")).status == 200
    assert run_filter(built, post(b"", method=b"GET")).status == 200
    assert run_filter(built, post(b"", method=b"PUT")).status == 400


# Hostile bodies: each is judged, and none raises. How long it takes: docs/filters/json_body.md.

SIZE = 1 << 20
HOSTILE = {
    "arrays": (b"[" * SIZE, "body_too_deep"),
    "objects": (b'{"a":' * (SIZE // 5), "body_too_deep"),
    "whole": (b"[" * (SIZE // 2) + b"]" * (SIZE // 2), "body_too_deep"),
    "just too deep": (b"[" + (b"[" * 32 + b"]" * 32 + b",") * (SIZE // 65) + b"1]", "body_too_deep"),
    "keys": (b"{" + b'"a":1,' * (SIZE // 6) + b'"a":1}', "body_too_many_keys"),
    "values": (b"[" + b"{}," * (SIZE // 3) + b"{}]", "body_too_many_values"),
    "floats": (b"[" + b"1e308," * (SIZE // 6) + b"1]", "body_too_many_values"),
    "digits": (b"1" * SIZE, "body_not_json"),
    "quotes": (b'["' + b'\\"' * (SIZE // 2 - 2) + b'"]', None),
    "backslashes": (b'["' + b"\\\\" * (SIZE // 2 - 2) + b'"]', None),
    "brackets in a string": (b'["' + b"[" * (SIZE - 4) + b'"]', None),
    "open string": (b'["' + b"a" * (SIZE - 2), "body_not_json"),
}


@pytest.mark.parametrize(("body", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_bodies(body: bytes, reason: str | None) -> None:
    exchange = FakeExchange(b"POST", headers=[JSON], body=body)
    result = played(exchange, unique_keys="yes", max="2m")
    assert (result.reply.detail if result.reply else None) == reason


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"max": "0"},
        {"max_depth": "0"},
        {"max_depth": "501"},
        {"content_types": "json"},
        {"content_types": "a/b/c"},
        {"methods": "GE T"},
        {"schema": "none.json"},
    ],
)
def test_values_that_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(BadValue):
        build_filter(json_body, options)


def test_options_that_do_not_fit_together(schema: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigMistake) as caught:
        build_filter(json_body, {"schema": schema, "max_depth": "201"})
    assert caught.value.key == "max_depth"
    with pytest.raises(ConfigMistake):
        build_filter(json_body, {"content_types": ""})
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(ConfigMistake):
        build_filter(json_body, {"schema": str(broken)})


def test_a_pattern_that_may_take_long_wants_a_lower_bound(tmp_path: Path) -> None:
    path = tmp_path / "around.json"
    path.write_text('{"pattern": "^(?!admin)"}')
    with pytest.raises(ConfigMistake) as caught:
        build_filter(json_body, {"schema": str(path)})
    assert caught.value.key == "max"
    assert played(post(b'"adam"'), schema=str(path), max="64k").status == 200
    refused(post(b'"administrator"'), 422, "body_schema", schema=str(path), max="64k")


def test_as_deep_as_options_allow(schema: str) -> None:
    deep = b'{"items":' + b"[" * 199 + b"]" * 199 + b"}"
    assert played(post(deep), schema=schema, max_depth="200").status == 200
    deep = b"[" * 500 + b"]" * 500
    assert played(post(deep), unique_keys="yes", max_depth="500").status == 200
