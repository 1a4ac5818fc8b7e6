"""What our own error replies say, and in which form."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from gwproxy.edge.pages import error_page, prefers_html
from gwproxy.errors import Reason
from gwproxy.filters.api import Reply


def exchange(accept: bytes | None = None, request_id: str = "abc") -> Any:
    return SimpleNamespace(request_id=request_id, header={b"accept": accept}.get)


def test_a_problem() -> None:
    content_type, body = error_page(exchange(), Reply(404, reason=Reason.NO_ROUTE))
    assert content_type == b"application/problem+json"
    assert json.loads(body) == {
        "type": "about:blank",
        "status": 404,
        "title": "Not Found",
        "reason": "no_route",
        "request_id": "abc",
    }


def test_a_filters_own_word_is_the_reason() -> None:
    _, body = error_page(exchange(), Reply(401, detail="token_expired"))
    assert json.loads(body)["reason"] == "token_expired"


def test_a_page_for_who_reads_with_a_browser() -> None:
    accept = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    content_type, body = error_page(exchange(accept, "<id>"), Reply(502, reason=Reason.CONNECT_FAILED, detail="<b>"))
    assert content_type == b"text/html; charset=utf-8"
    page = body.decode()
    assert "<h1>502 Bad Gateway</h1><p>&lt;b&gt;</p><p><small>Request &lt;id&gt;</small>" in page
    assert "{" not in page.replace("style>body{", "").replace("small{", "")


def test_a_status_that_has_no_name() -> None:
    assert json.loads(error_page(exchange(), Reply(499))[1])["title"] == "Error"


@pytest.mark.parametrize("status", [200, 204, 308, 399])
def test_what_is_no_error_has_no_page(status: int) -> None:
    assert error_page(exchange(b"text/html"), Reply(status)) == (b"", b"")


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (None, False),
        (b"", False),
        (b"*/*", False),
        (b"text/html", True),
        (b"Text/HTML;level=1", True),
        (b"application/xhtml+xml", True),
        (b"application/json, text/html", False),
        (b"application/json;q=0.9, text/html", True),
        (b"text/html;q=0.5, application/problem+json;q=0.6", False),
        (b"text/html;q=0", False),
        (b"text/html;q=x", False),
        (b"text/html ; q=0.1", True),
        (b"application/html", False),
        (b"image/png, */*;q=0.1", False),
    ],
)
def test_who_prefers_html(accept: bytes | None, html: bool) -> None:
    assert prefers_html(accept) is html
