"""Rules on the Cookie request field (RFC 6265 section 5.4), read as servers read it, edited byte for byte.

A request may have several Cookie fields (RFC 9113 section 8.2.3 lets clients split them): all of them count.
Pairs end at every `;`, inside quotes too. Names are compared with case.
"""

from __future__ import annotations

from typing import Final

from gwproxy.http.headers import Headers

_BLANKS: Final = b" \t"


def cookie_values(headers: Headers, name: bytes) -> list[bytes]:
    """All values of the cookie `name`, in order; quotes around a value are not part of it."""
    values: list[bytes] = []
    for field, text in headers:
        # Most requests have no such cookie: splitting is for those that may.
        if len(field) == 6 and name in text and field.lower() == b"cookie":
            values += [_value(pair) for pair in text.split(b";") if name in pair and _is(pair, name) and b"=" in pair]
    return values


def remove_cookie(headers: Headers, name: bytes) -> list[bytes]:
    """Takes every cookie `name` out, in place, and gives their values, as cookie_values() does. The other cookies stay
    as they are, byte for byte; a Cookie field with nothing left goes."""
    values: list[bytes] = []
    emptied = False
    for index, (field, text) in enumerate(headers):
        if len(field) == 6 and name in text and field.lower() == b"cookie":
            taken, left = _divide(text, name)
            if left is not None:
                headers[index] = (field, left)
                emptied = emptied or not left
                values += taken
    if emptied:
        headers[:] = [pair for pair in headers if pair[1] or pair[0].lower() != b"cookie"]
    return values


def _divide(text: bytes, name: bytes) -> tuple[list[bytes], bytes | None]:
    """The values of `name` in one Cookie field, and what the field is without them; None: as it was."""
    pairs = text.split(b";")
    # One without `=` is a cookie without a name for browsers, and one without a value for many servers: it goes too.
    left = [pair for pair in pairs if name not in pair or not _is(pair, name)]
    if len(left) == len(pairs):
        return [], None
    values = [_value(pair) for pair in pairs if name in pair and _is(pair, name) and b"=" in pair]
    if not any(pair.strip(_BLANKS) for pair in left):
        return values, b""
    if left[0] is not pairs[0]:
        # What separated it from the ones that are gone.
        left[0] = left[0].lstrip(_BLANKS)
    return values, b";".join(left)


def _is(pair: bytes, name: bytes) -> bool:
    return pair.partition(b"=")[0].strip(_BLANKS) == name


def _value(pair: bytes) -> bytes:
    value = pair.partition(b"=")[2].strip(_BLANKS)
    return value[1:-1] if len(value) > 1 and value[:1] == value[-1:] == b'"' else value
