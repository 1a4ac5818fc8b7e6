"""HTTP dates (RFC 9110 section 5.6.7)."""

from __future__ import annotations

import time

from twisted.web.http import datetimeToString

_second = 0
_date = b""


def http_date() -> bytes:
    """Now, as a Date field has it. Made once a second."""
    global _second, _date  # a cache of one entry, the same for everybody
    seconds = int(time.time())  # noqa: TID251  # a date is what is wanted, not a duration
    if seconds != _second:
        _date = datetimeToString(seconds)
        _second = seconds
    return _date
