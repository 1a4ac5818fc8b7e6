"""Tokens that were verified, remembered by their hash until they end: verifying costs 40 times as much as finding.

The tokens themselves are not kept. BLAKE2, since amid all else that a request takes it costs half of what OpenSSL's
SHA-256 does. What is found is good for the keys and the date given, and for nothing else.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, TypeVar

from gwproxy.runtime.recent import Recent
from gwproxy.tokens.keys import KeySet

T = TypeVar("T")

_Entry = tuple[float, float, T]


_NO_KEYS: Final = KeySet(())


class VerifiedTokens(Recent[bytes, _Entry[T]]):
    """What verified tokens stood for. To be kept, under a key with policy and source of keys."""

    __slots__ = ("_keys",)

    def __init__(self, size: int) -> None:
        """0: nothing is remembered."""
        super().__init__(size)
        self._keys = _NO_KEYS

    def find(self, token: bytes, keys: KeySet, now: float) -> T | None:
        """What `token` stood for, if `keys` are those that verified it and it is good at `now` (seconds since 1970)."""
        if keys is not self._keys:
            self._take_keys(keys)
        digest = blake2b(token, digest_size=32).digest()
        entry = self._new.get(digest)  # get(), without the call: this is most of what a request with a token costs
        if entry is None:
            entry = self._renew(digest)
            if entry is None:
                return None
        begins, ends, found = entry
        return found if begins <= now < ends else None

    def add(self, token: bytes, keys: KeySet, begins: float, ends: float, found: T) -> None:
        """`token`, verified by one of `keys`, stands for `found` from `begins` to before `ends`."""
        if keys is not self._keys:
            self._take_keys(keys)
        self.put(blake2b(token, digest_size=32).digest(), (begins, ends, found))

    def _take_keys(self, keys: KeySet) -> None:
        """Keys that were fetched again are usually the same. If not, one may be gone: nothing stays."""
        if keys != self._keys:
            self.clear()
        self._keys = keys
