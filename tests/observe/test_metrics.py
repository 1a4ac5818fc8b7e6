from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gwproxy.errors import Reason
from gwproxy.observe.finished import CLIENT_FAULTS
from gwproxy.observe.metrics import Metrics

PROMTOOL = shutil.which("promtool")


@attrs.frozen
class Server:
    label: str
    active: int
    in_use: int
    idle: int
    up: bool
    outcomes: dict[str, int]


@attrs.frozen
class Upstream:
    name: str
    servers: tuple[Server, ...]


@attrs.frozen
class Listener:
    name: str
    connections: int


@attrs.frozen
class Log:
    name: str
    dropped: int
    write_errors: int


@pytest.fixture
def busy(finished: Callable[..., Any], route: Callable[[str, str], Any]) -> Metrics:
    """Metrics with a value in every family."""
    metrics = Metrics("1.2.3")
    metrics.observe(finished())
    metrics.observe(finished(method=b"BREW", status=418, route=route("r", '~ ^/a\\d+"$')))
    metrics.observe(finished(status=400, reason=Reason.BAD_HOST, route=None, upstream_name=None, upstream_seconds=None))
    denied = metrics.meters.counter(
        "filter_decisions", "Decisions of filters.", filter="per-ip", decision="deny", mode="shadow"
    )
    denied.value += 2
    servers = (
        Server("127.0.0.1:9001", 4, 3, 5, True, {"ok": 7, "connect_failed": 1}),
        Server("unix:/run/u.sock", 0, 0, 0, False, {}),
    )
    metrics.watch_upstreams(lambda: [Upstream("users", servers)])
    metrics.watch_listeners(lambda: [Listener("http", 12), Listener("http", 1)])
    metrics.watch_logs(lambda: [Log("access", 5, 2)])
    metrics.watch_in_flight(lambda: 4)
    metrics.watch_lag(lambda: 0.0125)
    return metrics


def values(metrics: Metrics) -> dict[str, float]:
    """Every sample of the text format, as it is written there. A sample that is there twice fails."""
    lines = [line for line in metrics.exposition()[0].decode().splitlines() if not line.startswith("#")]
    found = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
    assert len(found) == len(lines)
    return found


def test_every_family_is_there(busy: Metrics) -> None:
    found = {family.name: family.type for family in parse_text(busy.exposition()[0].decode())}
    ours = {name.removeprefix("gateway_"): kind for name, kind in found.items() if name.startswith("gateway_")}
    assert ours == {
        "request_duration_seconds": "histogram",
        "requests": "counter",
        "requests_in_flight": "gauge",
        "upstream_duration_seconds": "histogram",
        "upstream_requests": "counter",
        "upstream_connections": "gauge",
        "upstream_server_up": "gauge",
        "filter_decisions": "counter",
        "bad_requests": "counter",
        "connections": "gauge",
        "event_loop_lag_seconds": "gauge",
        "build_info": "gauge",
        "log_lines_dropped": "counter",
        "log_write_errors": "counter",
    }
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info", "python_gc_collections"} <= set(found)


def test_what_is_read_from_others(busy: Metrics) -> None:
    found = values(busy)
    expected = {
        "gateway_requests_in_flight": 4,
        'gateway_upstream_requests_total{outcome="ok",server="127.0.0.1:9001",upstream="users"}': 7,
        'gateway_upstream_connections{server="127.0.0.1:9001",state="active",upstream="users"}': 3,
        'gateway_upstream_connections{server="127.0.0.1:9001",state="idle",upstream="users"}': 5,
        'gateway_upstream_server_up{server="127.0.0.1:9001",upstream="users"}': 1,
        'gateway_upstream_server_up{server="unix:/run/u.sock",upstream="users"}': 0,
        'gateway_filter_decisions_total{decision="deny",filter="per-ip",mode="shadow"}': 2,
        'gateway_connections{listener="http"}': 13,
        "gateway_event_loop_lag_seconds": 0.0125,
        'gateway_log_lines_dropped_total{log="access"}': 5,
        'gateway_log_write_errors_total{log="access"}': 2,
        'gateway_build_info{version="1.2.3"}': 1,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_servers_of_two_generations_are_added_up() -> None:
    metrics = Metrics("1")
    old = Upstream("users", (Server("a", 1, 1, 2, False, {"ok": 3}),))
    new = Upstream("users", (Server("a", 10, 10, 20, True, {"ok": 30}),))
    metrics.watch_upstreams(lambda: [new, old])
    found = values(metrics)
    assert found['gateway_upstream_requests_total{outcome="ok",server="a",upstream="users"}'] == 33
    assert found['gateway_upstream_connections{server="a",state="idle",upstream="users"}'] == 22
    assert found['gateway_upstream_server_up{server="a",upstream="users"}'] == 1


def test_bad_requests_have_their_series_from_the_start() -> None:
    found = {name: value for name, value in values(Metrics("1")).items() if name.startswith("gateway_bad_requests")}
    assert found == {f'gateway_bad_requests_total{{reason="{reason}"}}': 0 for reason in CLIENT_FAULTS}


def test_an_idle_gateway_can_be_scraped() -> None:
    assert values(Metrics("1"))["gateway_requests_in_flight"] == 0


def test_openmetrics_when_it_is_asked_for(busy: Metrics) -> None:
    accept = (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=0.5"
    )
    body, content_type = busy.exposition(accept)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    assert body.count(b"# EOF") == 1
    families = {family.name: family for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]  # no types there
    text = {family.name for family in parse_text(busy.exposition()[0].decode())}
    assert set(families) == text
    assert {sample.name for sample in families["gateway_requests"].samples} == {"gateway_requests_total"}


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=0.0.4", "text/html"])
def test_the_text_format_otherwise(busy: Metrics, accept: str) -> None:
    body, content_type = busy.exposition(accept)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# EOF" not in body


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian package prometheus) is not on this machine")
def test_promtool_finds_nothing(busy: Metrics) -> None:
    assert PROMTOOL is not None
    body, _ = busy.exposition()
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=body, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_the_document_names_them_all(busy: Metrics) -> None:
    document = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(gateway_\w+)` \| (\w+) \|([^|]*)\|", document, re.MULTILINE)
    described = {
        (name.removesuffix("_total"), kind, frozenset(re.findall(r"\w+", labels))) for name, kind, labels in rows
    }
    found = {
        (family.name, family.type, frozenset(sample.labels) - {"le"})
        for family in parse_text(busy.exposition()[0].decode())
        for sample in family.samples
        if family.name.startswith("gateway_")
    }
    # What filters and stores count by themselves is there, too: tests/test_documents.py.
    assert found <= described
    assert all({"filter", "store"} & labels for _, _, labels in described - found)
