"""Keys that verify signatures, and where filters get them from.

A key is bound to the algorithms that it may be used with: those that the configuration names, as far as its type, its
`alg` and its `use` allow them. Nothing in a token ever widens that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred


@attrs.frozen(eq=False)
class VerificationKey:
    """One key. `material` is what PyJWT's algorithms verify with, prepared once."""

    kid: str | None
    algorithms: frozenset[str]
    material: Any = attrs.field(repr=False)


class KeySet:
    """Keys of one issuer at one time. Immutable."""

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        self.keys = tuple(keys)

    def candidates(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """The keys that a token with this header may be signed by, few: those of its kid; without one, all that have
        none or are the only one for the algorithm."""
        raise NotImplementedError


class KeySource(Protocol):
    """Where a filter's keys come from: a file, a secret, a JWKS endpoint."""

    @property
    def current(self) -> KeySet | None:
        """The keys now; None: there never were any."""

    def refetch(self) -> Deferred[KeySet | None] | None:
        """For a kid that `current` does not have: newer keys, once they are here. None: there is nothing newer to be
        had now (keys from a file, or asked for just now). However many ask, one request goes out."""
