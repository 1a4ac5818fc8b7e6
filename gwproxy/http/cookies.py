"""Rules on the Cookie request field (RFC 6265 section 5.4), read as servers read it, edited byte for byte.

A request may have several Cookie fields (RFC 9113 section 8.2.3 lets clients split them): all of them count.
Pairs end at every `;`, inside quotes too. Names are compared with case.
"""

from __future__ import annotations

from typing import Final

from gwproxy.http.headers import Headers

_BLANKS: Final = b" \t"
_QUOTE: Final = ord('"')

# Where a pair begins and ends in its field, and its value; None: it has no `=`.
_Found = tuple[int, int, bytes | None]


def cookie_values(headers: Headers, name: bytes) -> list[bytes]:
    """All values of the cookie `name`, in order; quotes around a value are not part of it."""
    values: list[bytes] = []
    for field, text in headers:
        if len(field) == 6 and field.lower() == b"cookie":
            values += [value for _, _, value in _find(text, name) if value is not None]
    return values


def remove_cookie(headers: Headers, name: bytes) -> list[bytes]:
    """Takes every cookie `name` out, in place, and gives their values, as cookie_values() does. The other cookies stay
    as they are, byte for byte; a Cookie field with nothing left goes.

    A pair that is only `name`, without `=`, is a cookie without a name for browsers, and one without a value for many
    servers: it goes too.
    """
    values: list[bytes] = []
    empty: list[int] = []
    for index, (field, text) in enumerate(headers):
        if len(field) == 6 and field.lower() == b"cookie":
            found = _find(text, name)
            if found:
                values += [value for _, _, value in found if value is not None]
                left = _without(text, found)
                headers[index] = (field, left)
                if not left:
                    empty.append(index)
    for index in reversed(empty):
        del headers[index]
    return values


def _find(text: bytes, name: bytes) -> list[_Found]:
    """The pairs of one field that are named so. It looks for the name and not at every pair: fields are long."""
    found: list[_Found] = []
    end = 0
    at = text.find(name)
    while at >= 0:
        start = text.rfind(b";", end, at) + 1 or end
        end = text.find(b";", at)
        if end < 0:
            end = len(text)
        key, equals, value = text[start:end].partition(b"=")
        if key.strip(_BLANKS) == name:
            found.append((start, end, _unquoted(value.strip(_BLANKS)) if equals else None))
        at = text.find(name, end)
    return found


def _without(text: bytes, found: list[_Found]) -> bytes:
    """A field without these pairs, and without the `;` before each; for the first of all, the one behind it."""
    left = text
    for start, end, _ in reversed(found):
        left = left[: start - 1] + left[end:] if start else left[end + 1 :].lstrip(_BLANKS)
    return left if left.strip(b"; \t") else b""


def _unquoted(value: bytes) -> bytes:
    return value[1:-1] if len(value) > 1 and value[0] == _QUOTE == value[-1] else value
