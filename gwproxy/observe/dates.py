"""How the logs write dates."""

from __future__ import annotations

import time

# 000 to 999: looking them up is cheaper than formatting them.
THOUSANDTHS = tuple(f"{number:03d}" for number in range(1000))


class Stamp:
    """Formats seconds since 1970 as RFC 3339 in UTC with milliseconds; makes the rest of it once a second."""

    __slots__ = ("_prefix", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def __call__(self, seconds: float) -> str:
        whole = int(seconds)
        if whole != self._second:
            self._second = whole
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(whole))
        return f"{self._prefix}{THOUSANDTHS[int((seconds - whole) * 1000)]}Z"


def combined_date(seconds: float) -> str:
    """As the combined log format writes it, in UTC and English, whatever the locale: 10/Oct/2000:13:55:36 +0000."""
    day = time.gmtime(seconds)
    month = _MONTHS[day.tm_mon - 1]
    return f"{day.tm_mday:02d}/{month}/{day.tm_year}:{day.tm_hour:02d}:{day.tm_min:02d}:{day.tm_sec:02d} +0000"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
