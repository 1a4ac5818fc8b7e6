"""Ranges of a file: which parts a client asks for, and when it asks for too much (RFC 9110 section 14)."""

from __future__ import annotations

import re

# More ranges than this are no reader's; each costs the server a part of its own.
MAX_RANGES = 100

_RANGE = re.compile(rb"([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18})")


def parse_ranges(value: bytes, size: int) -> list[tuple[int, int]] | None:
    """The first and the last byte of each range that a file of `size` bytes has, in the order asked for.

    Empty: it has none of them (416). None: the field is to be ignored and the whole file sent (section 14.2), because
    it is malformed, in another unit, has more than MAX_RANGES, or asks for more than the whole by overlaps.
    """
    unit, _, rest = value.partition(b"=")
    items = [item for item in (item.strip(b" \t") for item in rest.split(b",")) if item]
    if unit.strip(b" \t").lower() != b"bytes" or not 0 < len(items) <= MAX_RANGES:
        return None
    ranges: list[tuple[int, int]] = []
    for item in items:
        match = _RANGE.fullmatch(item)
        if match is None:
            return None
        first, last, suffix = match.groups()
        if suffix is not None:
            begin, end = max(0, size - int(suffix)), size - 1
        else:
            begin, end = int(first), size - 1 if last is None else int(last)
            if last is not None and end < begin:
                return None
        end = min(end, size - 1)
        if begin <= end:
            ranges.append((begin, end))
    if sum(end - begin + 1 for begin, end in ranges) > size:
        return None
    return ranges
