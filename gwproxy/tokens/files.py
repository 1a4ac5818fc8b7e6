"""Keys from the configuration and from files. Those in files are read again when they change."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import attrs
from twisted.internet.defer import Deferred

from gwproxy.runtime.watched import WatchedFile
from gwproxy.tokens.keys import BadKey, KeySet, keys_from_jwks, keys_from_pem, keys_from_secret

MAX_KEYS: Final = 1000  # in a JWK set of one's own


@attrs.frozen(eq=False)
class FixedKeys:
    """A KeySource whose keys never change."""

    current: KeySet

    def refetch(self) -> Deferred[KeySet | None] | None:
        """There is nothing newer."""
        return None


class FileKeys(WatchedFile[KeySet]):
    """A KeySource whose keys are those of a file."""

    @property
    def current(self) -> KeySet:
        """The keys now."""
        return self.value

    def refetch(self) -> Deferred[KeySet | None] | None:
        """Changes are seen within a second anyway."""
        return None


def read_secret(data: bytes, algorithms: frozenset[str]) -> KeySet:
    """A file with a shared secret: text, without the end of its line, or any other bytes as they are."""
    return keys_from_secret(_without_newline(data), algorithms)


def _without_newline(data: bytes) -> bytes:
    line = data[:-2] if data.endswith(b"\r\n") else data.removesuffix(b"\n")
    try:
        return line if line.decode().isprintable() else data
    except UnicodeDecodeError:
        return data


def read_jwks(data: bytes, algorithms: frozenset[str]) -> KeySet:
    """A file with a JWK set (RFC 7517 section 5), or with one JWK. Raises BadKey."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise BadKey("is no JSON") from None
    if isinstance(document, dict) and "kty" in document:
        document = {"keys": [document]}
    return keys_from_jwks(document, algorithms, MAX_KEYS)


# Options of the filter, and what reads the file that each names.
READERS: Final[dict[str, Callable[[bytes, frozenset[str]], KeySet]]] = {
    "secret_file": read_secret,
    "public_key_file": keys_from_pem,
    "jwks_file": read_jwks,
}
