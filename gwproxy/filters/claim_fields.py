"""The option `claims_to_headers`: claims of whoever a request is for, as fields of the request sent upstream.

    claims_to_headers = sub: X-User-Id, realm_access.roles: X-Roles

A claim that is missing, or is no text, number or list of these, gives no field. A list gives one, with commas between
its members; a comma in a member is %2C, so that ["a,b"] and ["a", "b"] stay two things. A text keeps its commas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import Value, plain, split_list
from gwproxy.filters.claims import ClaimPath
from gwproxy.filters.field_names import parse_field_name
from gwproxy.filters.vouched import VouchedFields, field_value
from gwproxy.http.headers import Header

ClaimToField = tuple[ClaimPath, bytes]


class ClaimFields:
    """What one filter says of principals. `vouched` are the names, to be stripped from every request."""

    __slots__ = ("_pairs", "vouched")

    def __init__(self, pairs: Iterable[ClaimToField]) -> None:
        self._pairs = tuple(pairs)
        self.vouched = VouchedFields(name for _, name in self._pairs)

    def fields(self, claims: Mapping[str, Any]) -> list[Header]:
        """The fields for these claims."""
        found = ((name, _value(path, claims)) for path, name in self._pairs)
        return [(name, value) for name, value in found if value]


def _value(path: ClaimPath, claims: Mapping[str, Any]) -> bytes:
    values = [field_value(text) for text in path.strings(claims)]
    if isinstance(path.find(claims), (list, tuple)):
        values = [value.replace(b",", b"%2C") for value in values]
    return b",".join(values)


def _parse(text: str) -> tuple[ClaimToField, ...]:
    pairs: dict[bytes, ClaimToField] = {}
    for piece in split_list(text):
        # Claims may be URLs, with colons in them: `https://example.com/roles: X-Roles`.
        claim, colon, name = piece.rpartition(":")
        if not colon:
            raise BadValue("must be claim: Header-Name", piece)
        field = parse_field_name(name)
        if field.lower() in pairs:
            raise BadValue("stands twice: one field, one claim", field.decode())
        pairs[field.lower()] = (ClaimPath.compile(claim.strip()), field)
    return tuple(pairs.values())


def _write(pairs: tuple[ClaimToField, ...]) -> str:
    return ", ".join(f"{claim}: {name.decode()}" for claim, name in pairs)


claims_to_headers: Final[Value[tuple[ClaimToField, ...]]] = plain("list of claim: Header-Name", _parse, _write)
