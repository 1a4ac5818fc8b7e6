"""A histogram as plain numbers, and its lines in the Prometheus text formats.

prometheus_client's own costs 1-2 us an observation and 5 us a line to write. These run for every request, and a scrape
of many routes holds the event loop while it is written.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

# Seconds. Upper bounds, inclusive: from what the gateway itself takes to the longest usual timeout.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

# Stands for the labels in a template; cannot be in a label.
_LABELS = "\0"


def template(name: str) -> str:
    """How a histogram called `name` is written: one line a bucket, then its sum and its count."""
    bounds = (*map(str, BOUNDS), "+Inf")
    buckets = "".join([f'{name}_bucket{{{_LABELS},le="{bound}"}} %d\n' for bound in bounds])
    return f"{buckets}{name}_sum{{{_LABELS}}} %r\n{name}_count{{{_LABELS}}} %d\n"


class Histogram:
    """Counts durations by bucket. `buckets` is not cumulative; its last one has no upper bound."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0  # seconds

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        if seconds < 0.0:  # the clock was set back; a sum must never fall
            seconds = 0.0
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def lines(self, form: str, labels: str) -> str:
        """The histogram's lines by its template, with `labels` (at least one) as they stand between braces."""
        counts = tuple(accumulate(self.buckets))
        return form.replace(_LABELS, labels.replace("%", "%%")) % (*counts, self.total, counts[-1])
