"""Claims of a principal, by path: `sub`, `realm_access.roles`.

Claims may have dots in their names: `https://example.com/roles`, or Keycloak's `resource_access.my.client.roles`. So at
every step the longest name that is there is taken, the whole rest of the path first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import Value, plain

MAX_PARTS: Final = 16

_ALL_TEXT: Final = {str}


@attrs.frozen
class ClaimPath:
    """Where a claim is."""

    text: str
    # From each part on: the names that may come next, the longest first, and how many parts each takes.
    _names: tuple[tuple[tuple[str, int], ...], ...] = attrs.field(eq=False, repr=False)

    @classmethod
    def compile(cls, text: str) -> ClaimPath:
        """Raises BadValue."""
        parts = tuple(text.split("."))
        if not text.isprintable() or not all(parts) or " " in text or len(parts) > MAX_PARTS:
            raise BadValue("must be the name of a claim, or a path of names with dots between them")
        count = len(parts)
        names = [
            tuple((".".join(parts[start:end]), end - start) for end in range(count, start, -1))
            for start in range(count)
        ]
        return cls(text, tuple(names))

    def __str__(self) -> str:
        return self.text

    def find(self, claims: Mapping[str, Any]) -> Any:
        """The claim, of whatever type; None when it is not there."""
        found: Any = claims
        at = 0
        while at < len(self._names):
            if found.__class__ is not dict and not isinstance(found, Mapping):
                return None
            for name, taken in self._names[at]:
                if name in found:
                    found = found[name]
                    at += taken
                    break
            else:
                return None
        return found

    def strings(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """The claim as strings: a list gives each member, a text or number one, true and false their names in JSON;
        what is none of these (an object, null, a list in a list) gives nothing."""
        found = self.find(claims)
        if isinstance(found, str):
            return (found,)
        members = found if isinstance(found, (list, tuple)) else (found,)
        if {*map(type, members)} == _ALL_TEXT:
            return tuple(members)
        return tuple([text for text in map(_as_text, members) if text is not None])


def _as_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        try:
            return str(value)
        except ValueError:  # so many digits that Python does not write them
            return None
    return None


claim_path: Value[ClaimPath] = plain("claim", ClaimPath.compile)
