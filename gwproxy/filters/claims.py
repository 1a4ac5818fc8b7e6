"""Claims of a principal, by path: `sub`, `realm_access.roles`.

A path is looked up whole first (claims may have dots in their names: `https://example.com/roles`), then by its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import Value, plain


@attrs.frozen
class ClaimPath:
    """Where a claim is."""

    text: str
    _parts: tuple[str, ...] = attrs.field(eq=False, repr=False)

    @classmethod
    def compile(cls, text: str) -> ClaimPath:
        """Raises BadValue."""
        parts = tuple(text.split("."))
        if not text.isprintable() or not all(parts) or " " in text:
            raise BadValue("must be the name of a claim, or a path of names with dots between them")
        return cls(text, parts)

    def __str__(self) -> str:
        return self.text

    def find(self, claims: Mapping[str, Any]) -> Any:
        """The claim, of whatever type; None when it is not there."""
        if self.text in claims:
            return claims[self.text]
        found: Any = claims
        for part in self._parts:
            if not isinstance(found, Mapping) or part not in found:
                return None
            found = found[part]
        return found

    def strings(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """The claim as strings: a list gives each member, a text or number one, true and false their names in JSON;
        what is none of these (an object, null, a list in a list) gives nothing."""
        found = self.find(claims)
        members = found if isinstance(found, (list, tuple)) else (found,)
        return tuple(text for text in map(_as_text, members) if text is not None)


def _as_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return None


claim_path: Value[ClaimPath] = plain("claim", ClaimPath.compile)
