"""A signed token as it is written (RFC 7515 section 7.1): three base64url parts, of which two are JSON objects.

Read strictly, so that a token is written in one way only, and so that nobody behind the gateway, who may read it
leniently, can see other claims in it than the gateway did: one spelling of base64url, no name twice in an object, UTF-8
only, bounded depth.
"""

from __future__ import annotations

import binascii
import json
from typing import Any, Final

MAX_DEPTH: Final = 32
# JSON objects and lists in a header, which is read before the signature is checked.
_MAX_IN_HEADER: Final = 32

# To the alphabet that binascii reads; its own `+` and `/`, and `=`, are not of base64url without padding.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
# What may stand last in a part whose last character has bits to spare, which must be 0: RFC 4648 section 3.5.
_LAST: Final = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
_PADDING: Final = {0: b"", 2: b"==", 3: b"="}


class Malformed(ValueError):
    """Not what a token looks like."""


def base64url(part: bytes) -> bytes:
    """Decodes a part (RFC 7515 section 2: no padding, no white space). Raises Malformed."""
    spare = len(part) & 3
    if spare == 1 or not part or (spare and part[-1] not in _LAST[spare]):
        raise Malformed("not base64url")
    try:
        return binascii.a2b_base64(part.translate(_TO_STANDARD) + _PADDING[spare], strict_mode=True)
    except binascii.Error:
        raise Malformed("not base64url") from None


def header_of(part: bytes) -> dict[str, Any]:
    """The header: of a stranger, as long as no signature is checked. Raises Malformed."""
    raw = base64url(part)
    if raw.count(b"{") + raw.count(b"[") > _MAX_IN_HEADER:
        raise Malformed("too many objects in the header")
    return json_object(raw)


def claims_of(part: bytes) -> dict[str, Any]:
    """The claims. To be called once the signature is checked. Raises Malformed."""
    raw = base64url(part)
    claims = json_object(raw)
    # As deep as there are brackets, at the most: usually there are few.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth(claims) > MAX_DEPTH:
        raise Malformed("too deep")
    return claims


def json_object(raw: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8 without duplicate names, NaN or halves of surrogate pairs (RFC 7493 section 2). Raises
    Malformed."""
    try:
        found = _decode(raw.decode())
        if b"\\u" in raw:
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if type(found) is not dict:
        raise Malformed("not an object")
    return found


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a name stands twice")
    return found


def _no_constant(name: str) -> None:
    raise Malformed(f"{name} is no JSON")


_decode: Final = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant).decode


def _depth(value: Any) -> int:
    """How deep objects and lists stand in each other. Without recursion: it is not known yet how deep that goes."""
    depth = 0
    level = [value]
    while level:
        depth += 1
        level = [
            member
            for each in level
            for member in (each.values() if type(each) is dict else each)
            if type(member) in (dict, list)
        ]
    return depth
