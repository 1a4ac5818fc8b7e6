from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.web.test.requesthelper import DummyRequest

from gwproxy.admin.resources import Health, MetricsPage, Missing, Page, Readiness, StatePage


def render(page: Page, method: bytes = b"GET", **headers: str) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the page's answer."""
    request: Any = DummyRequest([b""])
    request.method = method
    for name, value in headers.items():
        request.requestHeaders.setRawHeaders(name, [value])
    body = page.render(request)
    return request.responseCode, {k.lower(): v[0] for k, v in request.responseHeaders.getAllRawHeaders()}, body


def test_health() -> None:
    status, headers, body = render(Health())
    assert (status, body) == (200, b"ok\n")
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"content-length"] == b"3"


def test_readiness_follows_its_reasons() -> None:
    reasons: list[str] = []
    page = Readiness(lambda: reasons)
    assert render(page)[::2] == (200, b"ready\n")
    reasons += ["draining", "no server of users is up"]
    assert render(page)[::2] == (503, b"draining\nno server of users is up\n")


def test_metrics_in_the_format_asked_for() -> None:
    page = MetricsPage(lambda accept: (accept.encode("latin-1"), f"text/{accept or 'plain'}"))
    assert render(page, accept="x")[1][b"content-type"] == b"text/x"
    assert render(page)[1][b"content-type"] == b"text/plain"


def test_state_as_json() -> None:
    status, headers, body = render(StatePage(lambda: [{"name": "\u00e9\n"}]))
    assert (status, headers[b"content-type"]) == (200, b"application/json")
    assert json.loads(body) == [{"name": "\u00e9\n"}]


def test_missing() -> None:
    assert render(Missing())[0] == 404


@pytest.mark.parametrize("page", [Health(), Missing(), StatePage(list)])
def test_head_has_the_headers_and_no_body(page: Page) -> None:
    got, head = render(page), render(page, b"HEAD")
    assert head == (got[0], got[1], b"")


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"get", b"BREW"])
def test_other_methods_are_refused(method: bytes) -> None:
    status, headers, _ = render(Health(), method)
    assert (status, headers[b"allow"]) == (405, b"GET, HEAD")
