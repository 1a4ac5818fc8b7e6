"""The gateway's metrics: what is counted here, what is read from others at a scrape, and how it is written.

Rules: names and labels are relied on from outside (docs/metrics.md). Every name begins with `gateway_`, but for those
of the process and of Python, which are prometheus_client's. Labels come from closed sets. State that others keep anyway
(connections, servers, sinks) is not counted twice but read when asked for: the `watch_` methods say where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from gwproxy.observe.finished import FinishedExchange
from gwproxy.observe.traffic import Traffic
from gwproxy.runtime.meters import Meters

_OPENMETRICS = "application/openmetrics-text"
_EOF = b"# EOF\n"


class ServerState(Protocol):
    """One server of an upstream, as a scrape reads it."""

    @property
    def label(self) -> str: ...
    @property
    def active(self) -> int:
        """Attempts under way, those that wait for a connection included."""

    @property
    def in_use(self) -> int:
        """Connections with an exchange on them."""

    @property
    def idle(self) -> int:
        """Connections kept for the next one."""

    @property
    def up(self) -> bool:
        """Whether the last attempt to connect worked."""

    @property
    def outcomes(self) -> Mapping[str, int]:
        """Attempts by how they ended, since the start."""


class UpstreamState(Protocol):
    """One upstream, as a scrape reads it."""

    @property
    def name(self) -> str: ...
    @property
    def servers(self) -> Iterable[ServerState]: ...


class ListenerState(Protocol):
    """One listener, as a scrape reads it."""

    @property
    def name(self) -> str: ...
    @property
    def connections(self) -> int:
        """Open connections."""


class LogState(Protocol):
    """One log, as a scrape reads it."""

    @property
    def name(self) -> str: ...
    @property
    def dropped(self) -> int: ...
    @property
    def write_errors(self) -> int: ...


class Metrics:
    """All metrics of one process. Outlives reloads."""

    def __init__(self, version: str) -> None:
        """`version`: the gateway's own."""
        self._version = version
        self._traffic = Traffic()
        # What filters and others count by themselves.
        self.meters = Meters()
        self._upstreams: Callable[[], Iterable[UpstreamState]] = tuple
        self._listeners: Callable[[], Iterable[ListenerState]] = tuple
        self._logs: Callable[[], Iterable[LogState]] = tuple
        self._in_flight: Callable[[], int] = int
        self._lag: Callable[[], float] = float
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self)
        # Counts one finished exchange. Bound here: it is called for each.
        self.observe: Callable[[FinishedExchange], None] = self._traffic.observe

    def watch_upstreams(self, upstreams: Callable[[], Iterable[UpstreamState]]) -> None:
        """Read the state of upstreams and their servers from there. The last call counts, here and below."""
        self._upstreams = upstreams

    def watch_listeners(self, listeners: Callable[[], Iterable[ListenerState]]) -> None:
        """Read open connections from there."""
        self._listeners = listeners

    def watch_logs(self, logs: Callable[[], Iterable[LogState]]) -> None:
        """Read lost lines from there."""
        self._logs = logs

    def watch_in_flight(self, in_flight: Callable[[], int]) -> None:
        """Read how many exchanges are going on from there."""
        self._in_flight = in_flight

    def watch_lag(self, lag: Callable[[], float]) -> None:
        """Read the event loop's lag (seconds) from there."""
        self._lag = lag

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Everything as text, and its content type: OpenMetrics if `accept` names it, else Prometheus' own format."""
        openmetrics = _OPENMETRICS in accept
        encode, content_type = choose_encoder(f"{_OPENMETRICS}; version=1.0.0" if openmetrics else "")
        body = encode(self._registry).removesuffix(_EOF) + self._traffic.text(openmetrics).encode("utf-8")
        return body + _EOF if openmetrics else body, content_type

    def describe(self) -> Iterable[Metric]:
        """For the registry: nothing in advance, so that registering does not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """For the registry: all families that are not written by Traffic."""
        yield GaugeMetricFamily("gateway_requests_in_flight", "Requests being served now.", value=self._in_flight())
        yield from self._server_families()
        yield _counter(
            "gateway_bad_requests",
            "Requests refused for how they were written or sent.",
            ("reason",),
            {(reason,): count for reason, count in self._traffic.bad_requests.items()},
        )
        for family in self.meters.families():
            write = _counter if family.kind == "counter" else _gauge
            values = {labels: read() for labels, read in family.series.items()}
            yield write(f"gateway_{family.name}", family.doc, family.label_names, values)
        yield _gauge(
            "gateway_connections",
            "Open client connections.",
            ("listener",),
            _summed(((listener.name,), listener.connections) for listener in self._listeners()),
        )
        yield GaugeMetricFamily(
            "gateway_event_loop_lag_seconds",
            "The longest that the event loop was kept from its work in the last 15 to 30 seconds.",
            value=self._lag(),
        )
        yield from self._log_families()
        yield _gauge("gateway_build_info", "The gateway's version; always 1.", ("version",), {(self._version,): 1})

    def _server_families(self) -> Iterator[Metric]:
        outcomes: dict[tuple[str, ...], float] = {}
        connections: dict[tuple[str, ...], float] = {}
        up: dict[tuple[str, ...], float] = {}
        for upstream in self._upstreams():
            for server in upstream.servers:
                key = (upstream.name, server.label)
                for outcome, count in server.outcomes.items():
                    _add(outcomes, (*key, outcome), count)
                _add(connections, (*key, "active"), server.in_use)
                _add(connections, (*key, "idle"), server.idle)
                up[key] = max(up.get(key, 0), int(server.up))
        yield _counter(
            "gateway_upstream_requests",
            "Attempts at servers, by how they ended.",
            ("upstream", "server", "outcome"),
            outcomes,
        )
        yield _gauge(
            "gateway_upstream_connections",
            "active: attempts under way, with a connection or waiting for one; idle: connections kept for the next.",
            ("upstream", "server", "state"),
            connections,
        )
        yield _gauge(
            "gateway_upstream_server_up", "0 if the last attempt to connect failed.", ("upstream", "server"), up
        )

    def _log_families(self) -> Iterator[Metric]:
        logs = list(self._logs())
        yield _counter(
            "gateway_log_lines_dropped",
            "Log lines lost because their target did not take them.",
            ("log",),
            {(log.name,): log.dropped for log in logs},
        )
        yield _counter(
            "gateway_log_write_errors",
            "Failed attempts to write a log; most are made good by the next.",
            ("log",),
            {(log.name,): log.write_errors for log in logs},
        )


def _add(values: dict[tuple[str, ...], float], key: tuple[str, ...], value: float) -> None:
    values[key] = values.get(key, 0) + value


def _summed(pairs: Iterable[tuple[tuple[str, ...], float]]) -> dict[tuple[str, ...], float]:
    """The same labels may come twice, from a generation that drains and the one after it; a series may not."""
    values: dict[tuple[str, ...], float] = {}
    for key, value in pairs:
        _add(values, key, value)
    return values


def _counter(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
