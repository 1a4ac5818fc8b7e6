"""Bodies of the gateway's own error replies: problem+json (RFC 9457), or a page for who reads with a browser."""

from __future__ import annotations

import json
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING

from gwproxy.filters.api import Reply
from gwproxy.http.headers import list_items

if TYPE_CHECKING:
    from gwproxy.proxy.exchange import Exchange

_TITLES = {int(status): status.phrase for status in HTTPStatus}

_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{status} {title}</title>'
    "<style>body{{font:1rem/1.5 system-ui,sans-serif;margin:15vh auto;max-width:36rem;padding:0 1rem}}"
    "small{{color:#666}}</style></head>"
    "<body><h1>{status} {title}</h1><p>{reason}</p><p><small>Request {request_id}</small></p></body></html>\n"
)


def error_page(exchange: Exchange, reply: Reply) -> tuple[bytes, bytes]:
    """Content type and body. Says what the status and the reason say, and nothing of what is inside."""
    status = reply.status
    if status < 400:
        return b"", b""
    title = _TITLES.get(status, "Error")
    # Only a filter's own word, from its closed list, is for clients; a failure's detail is for the log.
    reason = reply.detail or str(reply.reason)
    if prefers_html(exchange.header(b"accept")):
        page = _PAGE.format(
            status=status, title=escape(title), reason=escape(reason), request_id=escape(exchange.request_id)
        )
        return b"text/html; charset=utf-8", page.encode()
    problem = {"type": "about:blank", "status": status, "title": title, "reason": reason}
    problem["request_id"] = exchange.request_id
    problem |= reply.more
    return b"application/problem+json", json.dumps(problem).encode() + b"\n"


def prefers_html(accept: bytes | None) -> bool:
    """Whether Accept names HTML with a higher weight than JSON (RFC 9110 section 12.5.1). `*/*` prefers neither."""
    if accept is None or b"html" not in accept.lower():
        return False
    html = json_weight = 0.0
    for item in list_items(accept):
        kind, _, rest = item.partition(b";")
        weight = _weight(rest)
        kind = kind.strip()
        if kind in (b"text/html", b"application/xhtml+xml"):
            html = max(html, weight)
        elif kind in (b"application/json", b"application/problem+json"):
            json_weight = max(json_weight, weight)
    return html > json_weight


def _weight(parameters: bytes) -> float:
    for parameter in parameters.split(b";"):
        name, _, value = parameter.strip().partition(b"=")
        if name == b"q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
