"""Dates as people write them in files, in UTC."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?").fullmatch


def read_date(text: str) -> float:
    """A date, or a date and time in UTC, in seconds since 1970. Raises ValueError."""
    try:
        if not _DATE(text):
            raise ValueError
        return datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00Z").astimezone(UTC).timestamp()
    except ValueError:
        raise ValueError("must be a date, as in 2027-01-31 or 2027-01-31T12:00:00Z") from None


def write_date(seconds: float) -> str:
    """The same, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
