from __future__ import annotations

from gwproxy.observe.histogram import BOUNDS, Histogram, template


def test_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram()
    for seconds in (0.0, 0.001, 0.0011, 60.0, 60.1, 1e9):
        histogram.observe(seconds)
    assert histogram.buckets[:2] == [2, 1]
    assert histogram.buckets[-2:] == [1, 2]
    assert sum(histogram.buckets) == 6


def test_a_clock_set_back_takes_nothing_from_the_sum() -> None:
    histogram = Histogram()
    histogram.observe(1.0)
    histogram.observe(-5.0)
    assert histogram.total == 1.0
    assert histogram.buckets[0] == 1


def test_lines_are_cumulative() -> None:
    histogram = Histogram()
    for seconds in (0.002, 0.002, 7.0):
        histogram.observe(seconds)
    lines = histogram.lines(template("x"), 'a="b"').splitlines()
    assert len(lines) == len(BOUNDS) + 3
    assert lines[:2] == ['x_bucket{a="b",le="0.001"} 0', 'x_bucket{a="b",le="0.0025"} 2']
    assert lines[-4:] == [
        'x_bucket{a="b",le="60.0"} 3',
        'x_bucket{a="b",le="+Inf"} 3',
        'x_sum{a="b"} 7.004',
        'x_count{a="b"} 3',
    ]


def test_labels_are_taken_as_they_are() -> None:
    assert 'x_count{a="100%d%"} 0' in Histogram().lines(template("x"), 'a="100%d%"')
