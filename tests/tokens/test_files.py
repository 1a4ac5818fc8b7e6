"""Keys from files are read, and read again when they change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from gwproxy.runtime.watched import WatchedFile
from gwproxy.tokens.files import READERS, FileKeys, FixedKeys, read_jwks, read_secret
from gwproxy.tokens.keys import BadKey, KeySet, keys_from_secret
from tests.tokens.kit.forge import jwk, key, public_pem

HS256 = frozenset(["HS256"])
RS256 = frozenset(["RS256"])


@pytest.mark.parametrize(
    ("data", "secret"),
    [
        (b"s" * 32, b"s" * 32),
        (b"s" * 32 + b"\n", b"s" * 32),
        (b"s" * 32 + b"\r\n", b"s" * 32),
        (b"s" * 32 + b" \n", b"s" * 32 + b" "),
        ("ß".encode() * 16 + b"\n", "ß".encode() * 16),
        (b"s" * 32 + b"\n\n", b"s" * 32 + b"\n\n"),
        (b"\xff" * 31 + b"\n", b"\xff" * 31 + b"\n"),
        (b"\0" * 31 + b"\n", b"\0" * 31 + b"\n"),
    ],
)
def test_a_secret_in_a_file(data: bytes, secret: bytes) -> None:
    assert read_secret(data, HS256) == keys_from_secret(secret, HS256)


def test_a_newline_does_not_make_a_secret_longer() -> None:
    with pytest.raises(BadKey, match="too short"):
        read_secret(b"s" * 31 + b"\n", HS256)


def test_a_set_or_one_key_in_a_file() -> None:
    one = jwk(key("RS256"), kid="a")
    keys = read_jwks(json.dumps({"keys": [one]}).encode(), RS256)
    assert keys == read_jwks(json.dumps(one).encode(), RS256)
    assert keys.kids == {"a"}


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"null", b'{"keys": []}', b'{"kty": "x"}'])
def test_what_is_no_set_of_keys(data: bytes) -> None:
    with pytest.raises(BadKey):
        read_jwks(data, RS256)


def test_fixed_keys_stay() -> None:
    keys = keys_from_secret(b"s" * 32, HS256)
    assert (FixedKeys(keys).current, FixedKeys(keys).refetch()) == (keys, None)
    assert "s" * 32 not in repr(FixedKeys(keys))


def watching(path: Path, read: Callable[[bytes, frozenset[str]], KeySet], clock: Clock) -> FileKeys:
    source = FileKeys(path, lambda data: read(data, RS256), clock)
    source.start()
    return source


def test_a_file_is_read_again_when_it_changes(tmp_path: Path, logged_errors: list[LogEvent]) -> None:
    path, clock = tmp_path / "keys.pem", Clock()
    path.write_bytes(public_pem(key("RS256")))
    source = watching(path, READERS["public_key_file"], clock)
    assert isinstance(source, WatchedFile)
    first = source.current
    assert source.refetch() is None
    path.write_bytes(b"half of")
    clock.advance(1)
    assert source.current is first  # the last good one
    assert len(logged_errors) == 1
    logged_errors.clear()
    path.write_bytes(public_pem(key("RS256")) + public_pem(key("RS256", "another")))
    clock.advance(1)
    assert len(source.current.keys) == 2
    source.stop()


def test_every_file_option_has_its_reader(tmp_path: Path) -> None:
    assert set(READERS) == {"secret_file", "public_key_file", "jwks_file"}
