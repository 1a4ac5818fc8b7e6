from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gwproxy.errors import Reason
from gwproxy.observe.traffic import Traffic


def samples(traffic: Traffic) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples but the buckets, by name and labels. A sample that is there twice fails."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(traffic.text(openmetrics=False)):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def value(traffic: Traffic, name: str, **labels: str) -> float | None:
    return samples(traffic).get((name, frozenset(labels.items())))


def test_a_request_counts(finished: Callable[..., Any]) -> None:
    traffic = Traffic()
    traffic.observe(finished())
    traffic.observe(finished(status=503, method=b"POST"))
    traffic.observe(finished())
    assert value(traffic, "gateway_requests_total", route="users", method="GET", code="200") == 2
    assert value(traffic, "gateway_requests_total", route="users", method="POST", code="503") == 1
    assert value(traffic, "gateway_request_duration_seconds_count", path="/users/", method="GET") == 2
    assert value(traffic, "gateway_request_duration_seconds_sum", path="/users/", method="GET") == 0.5
    assert value(traffic, "gateway_request_duration_seconds_bucket", path="/users/", method="GET", le="0.25") == 2
    assert value(traffic, "gateway_request_duration_seconds_bucket", path="/users/", method="GET", le="0.1") == 0
    assert value(traffic, "gateway_upstream_duration_seconds_count", upstream="users") == 3


def test_without_a_route_and_an_upstream(finished: Callable[..., Any]) -> None:
    traffic = Traffic()
    traffic.observe(finished(route=None, upstream_name=None, upstream_seconds=None, status=404, reason=Reason.NO_ROUTE))
    assert value(traffic, "gateway_requests_total", route="", method="GET", code="404") == 1
    assert value(traffic, "gateway_request_duration_seconds_count", path="", method="GET") == 1
    assert "upstream=" not in traffic.text(openmetrics=False)


def test_a_client_that_left_has_no_code(finished: Callable[..., Any]) -> None:
    traffic = Traffic()
    traffic.observe(finished(status=499, reason=Reason.CLIENT_GONE))
    traffic.observe(finished(status=499, reason=Reason.CLIENT_STALLED))
    traffic.observe(finished(status=499))  # the upstream's own
    assert value(traffic, "gateway_requests_total", route="users", method="GET", code="0") == 2
    assert value(traffic, "gateway_requests_total", route="users", method="GET", code="499") == 1
    assert sum(traffic.bad_requests.values()) == 0


def test_bad_requests_by_reason(finished: Callable[..., Any]) -> None:
    traffic = Traffic()
    traffic.observe(finished(reason=Reason.BAD_HOST))
    traffic.observe(finished(reason=Reason.CONNECT_FAILED))
    assert {reason: count for reason, count in traffic.bad_requests.items() if count} == {Reason.BAD_HOST: 1}


def test_whatever_clients_send_the_series_stay_few(finished: Callable[..., Any]) -> None:
    traffic = Traffic()
    chance = random.Random(1)
    for _ in range(10_000):
        traffic.observe(finished(method=chance.randbytes(5), target=chance.randbytes(9), host=chance.randbytes(9)))
    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"):
        traffic.observe(finished(method=method))
    methods = {dict(labels).get("method") for name, labels in samples(traffic) if name == "gateway_requests_total"}
    assert methods == {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "OTHER"}
    assert value(traffic, "gateway_requests_total", route="users", method="OTHER", code="200") == 10_000


def test_counts_outlive_a_reload(finished: Callable[..., Any], route: Callable[[str, str], Any]) -> None:
    traffic = Traffic()
    # the old generation drains while the new one serves, with another pattern for the same route
    for pattern in ("/old/", "/new/", "/old/"):
        traffic.observe(finished(route=route("users", pattern)))
    assert value(traffic, "gateway_requests_total", route="users", method="GET", code="200") == 3
    assert value(traffic, "gateway_request_duration_seconds_count", path="/old/", method="GET") == 2
    assert value(traffic, "gateway_request_duration_seconds_count", path="/new/", method="GET") == 1


def test_two_routes_of_one_pattern_share_a_histogram(
    finished: Callable[..., Any], route: Callable[[str, str], Any]
) -> None:
    """The same path on two hosts: one series, or the scrape is refused."""
    traffic = Traffic()
    for name in ("a", "b"):
        traffic.observe(finished(route=route(name, "/")))
    assert value(traffic, "gateway_request_duration_seconds_count", path="/", method="GET") == 2
    assert value(traffic, "gateway_requests_total", route="b", method="GET", code="200") == 1


@pytest.mark.parametrize("pattern", ['~ ^/a\\d+"x"$', "/a\nb", "/\u00e9"])
def test_any_pattern_can_be_a_label(
    finished: Callable[..., Any], route: Callable[[str, str], Any], pattern: str
) -> None:
    traffic = Traffic()
    traffic.observe(finished(route=route("r", pattern)))
    assert value(traffic, "gateway_request_duration_seconds_count", path=pattern, method="GET") == 1
