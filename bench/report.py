"""From samples to figures: medians and ratios, as text for people and as JSON for later comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles

from bench.gateways import REFERENCE
from bench.measures.cpu import Samples
from bench.measures.latency import DIRECT

Figures = dict[str, float]
Table = dict[str, Figures]  # by peer


def medians(samples: Mapping[str, Samples]) -> Table:
    """The median of each series of each peer."""
    return {peer: {name: median(values) for name, values in series.items()} for peer, series in samples.items()}


def latency_figures(samples: Mapping[str, Samples]) -> Table:
    """p50 and p99 of each peer, and what it adds to asking the backend directly."""
    table: Table = {}
    for peer, series in samples.items():
        percentiles = quantiles(series["ms"], n=100, method="inclusive")
        table[peer] = {"p50_ms": percentiles[49], "p99_ms": percentiles[98]}
    direct = table[DIRECT]
    for figures in table.values():
        figures["added_p50_ms"] = figures["p50_ms"] - direct["p50_ms"]
        figures["added_p99_ms"] = figures["p99_ms"] - direct["p99_ms"]
    return table


def with_ratio(table: Table, column: str) -> Table:
    """Beside `column`, its ratio to the reference peer's, if that one was measured."""
    reference = table.get(REFERENCE, {}).get(column)
    if not reference:
        return table
    return {peer: _with_ratio(figures, column, reference) for peer, figures in table.items()}


def _with_ratio(figures: Figures, column: str, reference: float) -> Figures:
    """`figures` in their order, the ratio right behind its column."""
    result: Figures = {}
    for name, value in figures.items():
        result[name] = value
        if name == column:
            result[f"{name}_ratio"] = value / reference
    return result


# What is printed for each measurement: title, how samples become figures, the columns whose ratio to Envoy is given.
SECTIONS: dict[str, tuple[str, Callable[[Mapping[str, Samples]], Table], tuple[str, ...]]] = {
    "cpu": ("CPU time per request (us), medians of the rounds", medians, ("us",)),
    "changing": ("The same with heads that never repeat (us)", medians, ("us",)),
    "policies": ("CPU time per request with policies (us), medians of the rounds", medians, ("us",)),
    "filters": ("One filter alone, in memory (us), medians of the rounds", medians, ()),
    "memory": ("Memory per 1,000 idle keep-alive connections (MiB)", medians, ("mib",)),
    "stream": (
        "CPU time per MiB streamed (ms), medians of the rounds",
        medians,
        ("down_1mib", "up_1mib", "down_100mib", "up_100mib"),
    ),
    "latency": ("Latency at 200 requests/s (ms), and what the gateway adds", latency_figures, ()),
    "startup": ("Start to first answer (ms), medians of the rounds", medians, ("ms",)),
}


def figures_of(measure: str, samples: Mapping[str, Samples]) -> Table:
    """The figures of one measurement with their ratios."""
    _, summarise, ratios = SECTIONS[measure]
    table = summarise(samples)
    for column in ratios:
        table = with_ratio(table, column)
    return table


def render(measure: str, table: Table) -> str:
    """The figures as a table of text, a line a peer."""
    title = SECTIONS[measure][0]
    columns: Sequence[str] = list(dict.fromkeys(name for figures in table.values() for name in figures))
    headings = ["x envoy" if name.endswith("_ratio") else name for name in columns]
    widths = [max(9, len(heading)) for heading in headings]
    lines = [f"\n{title}", "  ".join(["peer".ljust(15), *(h.rjust(w) for h, w in zip(headings, widths, strict=True))])]
    for peer, figures in table.items():
        cells = [_cell(figures.get(name)).rjust(width) for name, width in zip(columns, widths, strict=True)]
        lines.append("  ".join([peer.ljust(15), *cells]))
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"
