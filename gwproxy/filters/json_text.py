"""Whether bytes are a JSON text, how deep it nests, how many keys and values it has: nothing of it is built.

Rules:

* A JSON text is what RFC 8259 says, with UTF-8 and no byte order mark (section 8.1); an escaped lone surrogate is
  refused too (section 8.2 warns of it: readers differ).
* Time is linear in the size and the same for all contents, within a factor of ten: some milliseconds a MiB. What can
  be done to the whole text at once is done by the interpreter's own loops.
"""

from __future__ import annotations

from typing import Final

import msgspec

# Checks all of the syntax and builds nothing.
_SYNTAX: Final = msgspec.json.Decoder(msgspec.Raw)

# What a text consists of besides values: the brackets of both kinds are alike here.
_SHAPE: Final = bytes.maketrans(b"{}", b"[]")
_NOT_SHAPE: Final = bytes(set(range(256)) - set(b'"[]{}:,'))

# Brackets as bits, `[` 1 and `]` 0, so that eight of them are judged by one look into these.
_BITS: Final = bytes.maketrans(b"[]", b"10")


def _steps(byte: int) -> list[int]:
    """How deep one is after each of eight brackets, counted from where one was."""
    depth, steps = 0, []
    for bit in range(7, -1, -1):
        depth += 1 if byte >> bit & 1 else -1
        steps.append(depth)
    return steps


_RISE: Final = tuple(_steps(byte)[-1] for byte in range(256))
_PEAK: Final = tuple(max(_steps(byte)) for byte in range(256))

# A text that nests deeper than this is not judged any further. The interpreter's own bound, which stops the check of
# the syntax, is not lower.
MOST_DEPTH: Final = 500


class TooDeep(ValueError):
    """It nests so deep that nothing more can be said of it."""


def check_syntax(text: bytes) -> None:
    """Raises ValueError for what is no JSON text; TooDeep for what nests by far too deep, be it one or not."""
    if not text.isascii():
        str(text, "utf-8")  # raises UnicodeDecodeError, which is a ValueError
    try:
        _SYNTAX.decode(text)
    except RecursionError:
        raise TooDeep from None
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


class Shape:
    """Depth and counts of a JSON text that check_syntax() let pass. Looks at no more than it must."""

    __slots__ = ("_shape", "_text")

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._shape: bytes | None = None

    def is_deeper_than(self, limit: int) -> bool:
        """Whether arrays and objects nest more than `limit` deep; `[]` is 1 deep."""
        text = self._text
        # Most texts have so few of them, those in strings included, that nothing more need be asked.
        if text.count(b"[") + text.count(b"{") <= limit:
            return False
        brackets = self._outside_strings().translate(_BITS, b":,")
        brackets += b"0" * (8 - len(brackets) % 8)
        depth = 0
        for byte in int(brackets, 2).to_bytes(len(brackets) // 8):
            if depth + _PEAK[byte] > limit:
                return True
            depth += _RISE[byte]
        return False

    def has_more_keys_than(self, limit: int) -> bool:
        """Whether its objects have more than `limit` keys in all."""
        return self._text.count(b":") > limit and self._outside_strings().count(b":") > limit

    def has_more_values_than(self, limit: int) -> bool:
        """Whether there are more than `limit` values in it, itself and empty arrays and objects counted too."""
        text = self._text
        if text.count(b",") + text.count(b"[") + text.count(b"{") < limit:
            return False
        shape = self._outside_strings()
        return shape.count(b",") + shape.count(b"[") >= limit

    def _outside_strings(self) -> bytes:
        """Its brackets, colons and commas, without those in strings."""
        if self._shape is None:
            text = self._text
            if b"\\" in text:
                text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
            shape = text.translate(_SHAPE, _NOT_SHAPE).replace(b'""', b"")
            if b'"' in shape:  # strings with such characters in them
                shape = b"".join(shape.split(b'"')[::2])
            self._shape = shape
        return self._shape
