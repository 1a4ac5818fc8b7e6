"""Tokens that were verified, remembered by their hash until they end: verifying costs 40 times as much as finding.

The tokens themselves are not kept. What is found is good for the keys and the date given, and for nothing else.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, Generic, TypeVar

from gwproxy.tokens.keys import KeySet

T = TypeVar("T")

_Entry = tuple[float, float, T]

_NO_KEYS: Final = KeySet(())


class VerifiedTokens(Generic[T]):
    """What `size` verified tokens stood for, at most. To be kept, under a key with policy and source of keys.

    Two halves: what is used again moves into the new one, and when that is full the old one is dropped whole, with all
    in it that ended or was not asked for again.
    """

    __slots__ = ("_half", "_keys", "_new", "_old")

    def __init__(self, size: int) -> None:
        """0: nothing is remembered."""
        self._half = (size + 1) // 2
        self._keys = _NO_KEYS
        self._new: dict[bytes, _Entry[T]] = {}
        self._old: dict[bytes, _Entry[T]] = {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def __repr__(self) -> str:
        return f"<VerifiedTokens {len(self)} of up to {2 * self._half}>"

    def find(self, token: bytes, keys: KeySet, now: float) -> T | None:
        """What `token` stood for, if `keys` are those that verified it and it is good at `now` (seconds since 1970)."""
        if keys is not self._keys:
            self._take_keys(keys)
        digest = sha256(token).digest()
        entry = self._new.get(digest)
        if entry is None:
            entry = self._old.pop(digest, None)
            if entry is None:
                return None
            self._put(digest, entry)
        begins, ends, found = entry
        return found if begins <= now < ends else None

    def add(self, token: bytes, keys: KeySet, begins: float, ends: float, found: T) -> None:
        """`token`, verified by one of `keys`, stands for `found` from `begins` to before `ends`."""
        if keys is not self._keys:
            self._take_keys(keys)
        if self._half:
            self._put(sha256(token).digest(), (begins, ends, found))

    def _put(self, digest: bytes, entry: _Entry[T]) -> None:
        if len(self._new) >= self._half:
            self._old = self._new
            self._new = {}
        self._new[digest] = entry

    def _take_keys(self, keys: KeySet) -> None:
        """Keys that were fetched again are usually the same. If not, one may be gone: nothing stays."""
        if keys != self._keys:
            self._new.clear()
            self._old.clear()
        self._keys = keys
