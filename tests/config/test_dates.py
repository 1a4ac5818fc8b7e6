"""Dates in files: read strictly, written as they are read."""

from __future__ import annotations

import pytest

from gwproxy.config.dates import read_date, write_date


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2027-01-31", 1_801_353_600), ("2027-01-31T00:00:01Z", 1_801_353_601), ("1970-01-01", 0)],
)
def test_dates(text: str, seconds: float) -> None:
    assert read_date(text) == seconds
    assert read_date(write_date(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "tomorrow", "2027-02-30", "2027-1-1", "2027-01-31T00:00:00", "31.01.2027", "90d"])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match="must be a date"):
        read_date(text)


def test_it_is_written_to_the_second() -> None:
    assert write_date(1_801_353_601.9) == "2027-01-31T00:00:01Z"
