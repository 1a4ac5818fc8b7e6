"""Request fields that the gateway vouches for: who the user is, as a filter found out.

An upstream believes them, so whatever a client sent under these names goes first, always: also when nobody is logged
in, in shadow mode, and under a twin that a CGI server reads as the same name (`X_User_Id` for `X-User-Id`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gwproxy.http.headers import Headers

# RFC 9110 section 5.5. `%` too, so that no two values become the same text.
_UNSAFE: Final = re.compile(rb"[\x00-\x1f\x7f%]|\A +| +\Z")


class VouchedFields:
    """The names that one filter vouches for."""

    __slots__ = ("_names",)

    def __init__(self, names: Iterable[bytes]) -> None:
        """In any case."""
        self._names = frozenset(_twin(name) for name in names)

    def __bool__(self) -> bool:
        return bool(self._names)

    def strip(self, headers: Headers) -> None:
        """Takes what a client sent of these out of `headers`, in place."""
        names = self._names
        for name, _ in headers:
            if _twin(name) in names:
                headers[:] = [pair for pair in headers if _twin(pair[0]) not in names]
                return


def _twin(name: bytes) -> bytes:
    return name.lower().replace(b"_", b"-")


def field_value(text: str) -> bytes:
    """A text as a field value: UTF-8; control bytes, `%` and blanks at either end as %XX, so that it stays one line and
    one text."""
    raw = text.encode("utf-8", "backslashreplace")
    return _UNSAFE.sub(lambda match: b"".join(b"%%%02X" % byte for byte in match[0]), raw)
