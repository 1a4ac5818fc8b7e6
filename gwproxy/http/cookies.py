"""Rules on the Cookie request field (RFC 6265 section 5.4), read as servers read it, edited byte for byte.

A request may have several Cookie fields (RFC 9113 section 8.2.3 lets clients split them): all of them count.
Pairs end at every `;`, inside quotes too. Names are compared with case.
"""

from __future__ import annotations

from typing import Final

from gwproxy.http.headers import Headers

_BLANKS: Final = b" \t"
_QUOTE: Final = ord('"')


def cookie_values(headers: Headers, name: bytes) -> list[bytes]:
    """All values of the cookie `name`, in order; quotes around a value are not part of it."""
    values: list[bytes] = []
    for field, text in headers:
        if len(field) == 6 and field.lower() == b"cookie":
            _divide(text, name, values)
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
            left = _divide(text, name, values)
            if left is not text:
                headers[index] = (field, left)
                if not left:
                    empty.append(index)
    for index in reversed(empty):
        del headers[index]
    return values


def _divide(text: bytes, name: bytes, values: list[bytes]) -> bytes:
    """One Cookie field without the cookie `name`, whose values are added to `values`: `text` itself if it has none."""
    if name not in text:
        return text
    pairs = text.split(b";")
    left = []
    for pair in pairs:
        key, equals, value = pair.partition(b"=")
        if key.strip(_BLANKS) != name:
            left.append(pair)
        elif equals:
            values.append(_unquoted(value.strip(_BLANKS)))
    if len(left) == len(pairs):
        return text
    if left and left[0] is not pairs[0]:
        # What separated it from the ones that are gone.
        left[0] = left[0].lstrip(_BLANKS)
    rest = b";".join(left)
    return rest if rest.strip(b"; \t") else b""


def _unquoted(value: bytes) -> bytes:
    return value[1:-1] if len(value) > 1 and value[0] == _QUOTE == value[-1] else value
