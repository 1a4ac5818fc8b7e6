"""Request fields that the gateway vouches for: who the user is, as a filter found out.

An upstream believes them, so whatever a client sent under these names goes first, always: also when nobody is logged
in, in shadow mode, and under a twin that a CGI server reads as the same name (`X_User_Id`, `X.User.Id` for
`X-User-Id`). The chain does that, once and before it asks anybody: a filter says what it vouches for (`vouched`), and
strips the fields again only to put its own in their place, so that two filters of a chain may vouch for the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from gwproxy.http.headers import Headers, KindTable

# RFC 9110 section 5.5. `%` too, so that no two values become the same text; and half a surrogate pair, which JSON can
# name and UTF-8 cannot.
_UNSAFE: Final = re.compile(rb"[\x00-\x1f\x7f%]|\xed[\xa0-\xbf].|\A +| +\Z", re.DOTALL)

# Servers that make variables of fields (RFC 3875 section 4.1.18) keep letters and digits, and fold the rest.
_FOLDED: Final = re.compile(rb"[^0-9a-z]")


class VouchedFields:
    """The names that one filter vouches for, or several do."""

    __slots__ = ("_foreign", "names")

    def __init__(self, names: Iterable[bytes]) -> None:
        """In any case."""
        self.names = names = frozenset(map(_folded, names))
        # By spelling: whether it is one of them.
        self._foreign = KindTable(lambda name: _folded(name) in names)

    def __bool__(self) -> bool:
        return bool(self.names)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.names)

    def __contains__(self, name: bytes) -> bool:
        return bool(self._foreign[name])

    def strip(self, headers: Headers) -> None:
        """Takes what a client sent of these out of `headers`, in place."""
        foreign = self._foreign
        for name, _ in headers:
            if foreign[name]:
                headers[:] = [pair for pair in headers if not foreign[pair[0]]]
                return


def _folded(name: bytes) -> bytes:
    return _FOLDED.sub(b"-", name.lower())


def field_value(text: str) -> bytes:
    """A text as a field value: UTF-8; control bytes, `%` and blanks at either end as %XX, so that it stays one line and
    one text."""
    raw = text.encode("utf-8", "surrogatepass")
    return _UNSAFE.sub(lambda match: b"".join(b"%%%02X" % byte for byte in match[0]), raw)
