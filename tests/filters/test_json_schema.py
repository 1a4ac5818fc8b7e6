"""Schemas: drafts, references that lead outside, where a body breaks one."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from gwproxy.config.mistakes import ConfigMistake
from gwproxy.filters.json_schema import Schema, Violation, json_pointer

ORDER = {
    "type": "object",
    "required": ["items"],
    "additionalProperties": False,
    "properties": {
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        "code": {"type": "string", "pattern": "^(a|aa)+(?=b)$"},
        "slow": {"type": "string", "pattern": "(?=y)yz"},
    },
    "$defs": {
        "item": {
            "type": "object",
            "required": ["id"],
            "additionalProperties": False,
            "properties": {"id": {"type": "integer", "minimum": 1}, "a/~b": {"type": "string"}},
        }
    },
}


def written(tmp_path: Path, schema: Any) -> Path:
    path = tmp_path / "order.schema.json"
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    return path


@pytest.mark.parametrize(
    ("value", "pointer", "keyword"),
    [
        ({"items": [{"id": 1}, {"id": "secret"}]}, "/items/1/id", "type"),
        ({"items": [{"id": 0}]}, "/items/0/id", "minimum"),
        ({"items": [{}]}, "/items/0", "required"),
        ({}, "", "required"),
        ([], "", "type"),
        ({"items": [], "more": 1}, "/more", "additionalProperties"),
        ({"items": [{"id": 1, "x/y~": 1}]}, "/items/0/x~1y~0", "additionalProperties"),
        ({"items": [{"id": 1, "a/~b": 1}]}, "/items/0/a~1~0b", "type"),
        ({"items": [], "code": "c"}, "/code", "pattern"),
        # more steps than there may be: it does not fit, and nobody waits for it
        ({"items": [], "code": "a" * 40}, "/code", "pattern"),
        ({"items": [], "slow": "y" * 3000 + "z"}, "/slow", "pattern"),
        ({"items": [{"id": 10**400}, {"id": -(10**400)}]}, "/items/1/id", "minimum"),
    ],
)
def test_where_it_is_broken(tmp_path: Path, value: Any, pointer: str, keyword: str) -> None:
    assert Schema(written(tmp_path, ORDER)).violation(value) == Violation(pointer, keyword)


def test_what_fits(tmp_path: Path) -> None:
    assert Schema(written(tmp_path, ORDER)).violation({"items": [{"id": 1, "a/~b": "x"}]}) is None


def test_the_draft_is_the_one_that_is_named(tmp_path: Path) -> None:
    tuple_of = {"items": [{"type": "string"}], "additionalItems": False}
    old = {"$schema": "http://json-schema.org/draft-07/schema#", **tuple_of}
    assert Schema(written(tmp_path, old)).violation(["a", 1]) is not None
    new = {"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [{"type": "string"}]}
    assert Schema(written(tmp_path, new)).violation([1]) == Violation("/0", "type")
    with pytest.raises(ConfigMistake):  # 2020-12 knows no array there
        Schema(written(tmp_path, tuple_of))


@pytest.mark.parametrize("where", ["$ref", "$dynamicRef"])
@pytest.mark.parametrize("uri", ["file:///etc/hostname", "other.json", "/other.json", "https://schemas.test/a.json"])
def test_references_that_lead_outside_are_refused(tmp_path: Path, uri: str, where: str) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ConfigMistake, match="no usable schema"):
        Schema(written(tmp_path, {"properties": {"a": {where: uri}}}))


@pytest.mark.parametrize("schema", ['{"$ref": "URI"}', '{"$schema": "URI"}', '{"$id": "URI", "$ref": "other.json"}'])
def test_nobody_is_asked_for_a_schema(tmp_path: Path, schema: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        with pytest.raises(ConfigMistake):
            Schema(written(tmp_path, schema.replace("URI", uri)))
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    "schema",
    ["", "{", '"text"', "[]", '{"type": "objekt"}', '{"pattern": "(a"}', '{"$ref": "#/$defs/none"}', "[" * 100_000],
)
def test_what_is_no_schema(tmp_path: Path, schema: str) -> None:
    with pytest.raises(ConfigMistake) as caught:
        Schema(written(tmp_path, schema))
    assert caught.value.key == "schema"
    assert "\n" not in str(caught.value)


def test_a_schema_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigMistake, match="cannot be read"):
        Schema(tmp_path)


def test_pointers_are_cut_at_a_step() -> None:
    assert json_pointer([]) == ""
    assert json_pointer(["a~/b", 0, ""]) == "/a~0~1b/0/"
    assert json_pointer(["a" * 100, "b" * 300, "c"]) == "/" + "a" * 100
