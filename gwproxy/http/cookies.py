"""Rules on the Cookie request field (RFC 6265 section 5.4), read as servers read it, edited byte for byte.

A request may have several Cookie fields (RFC 9113 section 8.2.3 lets clients split them): all of them count.
"""

from __future__ import annotations

from gwproxy.http.headers import Headers, get_all


def cookie_values(headers: Headers, name: bytes) -> list[bytes]:
    """All values of the cookie `name` (compared with case), in order; quotes around a value are not part of it."""
    values: list[bytes] = []
    for field in get_all(headers, b"cookie"):
        for pair in field.split(b";"):
            key, equals, value = pair.partition(b"=")
            if equals and key.strip(b" \t") == name:
                value = value.strip(b" \t")
                values.append(value[1:-1] if len(value) > 1 and value[:1] == value[-1:] == b'"' else value)
    return values


def remove_cookie(headers: Headers, name: bytes) -> None:
    """Takes every cookie `name` out, in place. The others stay as they are, byte for byte; a Cookie field with nothing
    left goes."""
    kept: Headers = []
    for field, value in headers:
        if field.lower() == b"cookie":
            rest = _without(value, name)
            if rest is None:
                continue
            kept.append((field, rest))
        else:
            kept.append((field, value))
    headers[:] = kept


def _without(value: bytes, name: bytes) -> bytes | None:
    pairs = value.split(b";")
    left = [pair for pair in pairs if pair.partition(b"=")[0].strip(b" \t") != name]
    if len(left) == len(pairs):
        return value
    if not any(pair.strip(b" \t") for pair in left):
        return None
    # The first one left may have had a blank before it, which separated it from the one that is gone.
    return b";".join([left[0].lstrip(b" \t"), *left[1:]])
