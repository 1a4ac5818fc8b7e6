"""The date is the system's."""

from __future__ import annotations

from datetime import UTC, datetime

from gwproxy.runtime.wall import wall_clock


def test_it_is_the_date_of_today() -> None:
    assert abs(wall_clock() - datetime.now(UTC).timestamp()) < 60
