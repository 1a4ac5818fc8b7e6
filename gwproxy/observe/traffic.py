"""What requests did: the metrics that are counted once for every exchange and have a series for each route and method.

Rules: labels come from the configuration and from closed lists, so clients cannot make series. A series keeps its
count over a reload, and over a route that goes and comes back. `observe` is a few dictionary look-ups. Written as text
here and not through prometheus_client, which takes some hundred milliseconds for the 50,000 lines of 500 routes.
"""

from __future__ import annotations

from gwproxy.errors import Reason
from gwproxy.observe.finished import CLIENT_FAULTS, CLIENT_LEFT, FinishedExchange
from gwproxy.observe.histogram import Histogram, template

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
OTHER = b"OTHER"

# What `code` says of a client that left before its answer: 499 is a word of the access log's, nothing was sent.
_NO_CODE = 0


class Series:
    """One route and one method. Routes of one pattern share `durations`; `codes` stay with the route's name."""

    __slots__ = ("codes", "durations")

    def __init__(self, codes: dict[int, int], durations: Histogram) -> None:
        self.codes = codes
        self.durations = durations


class RouteMeter:
    """One route as it stands in the configuration."""

    __slots__ = ("methods", "name", "pattern")

    def __init__(self, name: str, pattern: str) -> None:
        self.name = name
        self.pattern = pattern
        self.methods: dict[bytes, Series] = {}


class Traffic:
    """Counts finished exchanges."""

    def __init__(self) -> None:
        self._meters: dict[str, RouteMeter] = {}
        self._codes: dict[tuple[str, bytes], dict[int, int]] = {}
        self._durations: dict[tuple[str, bytes], Histogram] = {}
        self._upstreams: dict[str, Histogram] = {}
        self.bad_requests: dict[Reason, int] = dict.fromkeys(sorted(CLIENT_FAULTS), 0)

    def observe(self, exchange: FinishedExchange) -> None:
        """Count one exchange."""
        route = exchange.route
        name, pattern = ("", "") if route is None else (route.name, route.pattern)
        meter = self._meters.get(name)
        if meter is None or meter.pattern != pattern:
            meter = self._meters[name] = RouteMeter(name, pattern)
        series = meter.methods.get(exchange.method)
        if series is None:
            series = self._series(meter, exchange.method)
        reason = exchange.reason
        status = exchange.status if reason is None else self._reasoned(reason, exchange.status)
        codes = series.codes
        codes[status] = codes.get(status, 0) + 1
        series.durations.observe(exchange.ended - exchange.started)
        upstream_seconds = exchange.upstream_seconds
        if upstream_seconds is not None and exchange.upstream_name is not None:
            self._upstream(exchange.upstream_name).observe(upstream_seconds)

    def text(self, openmetrics: bool) -> str:
        """The metric families in the Prometheus text format, or in OpenMetrics' (without its `# EOF`)."""
        return "".join(
            [
                _family("gateway_request_duration_seconds", "histogram", _DURATION_HELP),
                *[
                    histogram.lines(_DURATION_FORM, _labels("path", path, method))
                    for (path, method), histogram in self._durations.items()
                ],
                _family("gateway_requests" if openmetrics else "gateway_requests_total", "counter", _REQUESTS_HELP),
                *[
                    f'gateway_requests_total{{{labels},code="{code}"}} {count}\n'
                    for (route, method), codes in self._codes.items()
                    for labels in (_labels("route", route, method),)
                    for code, count in codes.items()
                ],
                _family("gateway_upstream_duration_seconds", "histogram", _UPSTREAM_HELP),
                *[
                    histogram.lines(_UPSTREAM_FORM, f'upstream="{escape(name)}"')
                    for name, histogram in self._upstreams.items()
                ],
            ]
        )

    def _series(self, meter: RouteMeter, method: bytes) -> Series:
        """The series for a method that the meter does not know; methods that nobody knows share one."""
        folded = method if method in METHODS else OTHER
        series = meter.methods.get(folded)
        if series is None:
            codes = self._codes.setdefault((meter.name, folded), {})
            durations = self._durations.setdefault((meter.pattern, folded), Histogram())
            series = meter.methods[folded] = Series(codes, durations)
        return series

    def _reasoned(self, reason: Reason, status: int) -> int:
        """The status to count for an exchange that the gateway decided; counts bad requests."""
        if reason in CLIENT_FAULTS:
            self.bad_requests[reason] += 1
        return _NO_CODE if reason in CLIENT_LEFT else status

    def _upstream(self, name: str) -> Histogram:
        histogram = self._upstreams.get(name)
        if histogram is None:
            histogram = self._upstreams[name] = Histogram()
        return histogram


_DURATION_FORM = template("gateway_request_duration_seconds")
_UPSTREAM_FORM = template("gateway_upstream_duration_seconds")
_DURATION_HELP = "Seconds from the end of a request's head to the last byte of its answer."
_REQUESTS_HELP = "Requests by route, method and status; code 0 if the client left without an answer."
_UPSTREAM_HELP = "Seconds that the last attempt of each request took, its wait for a connection included."


def escape(value: str) -> str:
    """`value` as it may stand in a label's quotation marks."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _family(name: str, kind: str, text: str) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def _labels(label: str, value: str, method: bytes) -> str:
    return f'{label}="{escape(value)}",method="{method.decode("ascii")}"'
