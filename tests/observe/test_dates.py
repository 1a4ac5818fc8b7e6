from __future__ import annotations

from hypothesis import given, strategies

from gwproxy.observe.dates import Stamp, combined_date

NOON = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def test_rfc_3339_in_utc_with_milliseconds() -> None:
    assert Stamp()(NOON + 0.0625) == "2023-11-14T22:13:20.062Z"


def test_the_second_changes_forwards_and_backwards() -> None:
    stamp = Stamp()
    assert [stamp(NOON + offset) for offset in (0.5, 1.0, 0.75)] == [
        "2023-11-14T22:13:20.500Z",
        "2023-11-14T22:13:21.000Z",
        "2023-11-14T22:13:20.750Z",
    ]


@given(strategies.floats(0, 4e9))
def test_always_of_one_length(seconds: float) -> None:
    assert len(Stamp()(seconds)) == len("2023-11-14T22:13:20.062Z")


def test_the_combined_formats_date_is_english() -> None:
    assert combined_date(NOON) == "14/Nov/2023:22:13:20 +0000"
