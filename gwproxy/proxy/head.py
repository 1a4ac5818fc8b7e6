"""The head of a response as the client gets it: what this hop adds, and how the body will be framed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gwproxy.http.dates import http_date
from gwproxy.http.headers import Headers, get, remove
from gwproxy.http.response import BODILESS
from gwproxy.http.writing import fields, status_line

if TYPE_CHECKING:
    from gwproxy.proxy.exchange import Exchange

OWN_SERVER: Final = b"gwproxy"


def response_head(
    exchange: Exchange, phrase: bytes, length: int | None, declared: int | None, keep_alive: bool, trailer: bytes
) -> tuple[bytes, bool, bool]:
    """The head's bytes, whether the body is to be chunked, whether the connection may be kept (RFC 9112 section 6)."""
    status = exchange.status
    settings = exchange.settings
    headers = exchange.response_headers
    if settings.own_server:
        remove(headers, b"server")
        headers.append((b"Server", OWN_SERVER))
    if get(headers, b"date") is None:
        headers.append((b"Date", http_date()))
    headers.append((b"X-Request-ID", exchange.request_id.encode("ascii")))
    chunked = False
    if status in BODILESS or exchange.method == b"HEAD":
        if declared is not None and status != 204:
            headers.append((b"Content-Length", b"%d" % declared))
    elif length is not None:
        headers.append((b"Content-Length", b"%d" % length))
    elif exchange.head.minor:
        chunked = True
        headers.append((b"Transfer-Encoding", b"chunked"))
        if trailer:
            headers.append((b"Trailer", trailer))
    else:
        keep_alive = False  # only the close ends the body of an HTTP/1.0 response
    if not keep_alive:
        headers.append((b"Connection", b"close"))
    elif not exchange.head.minor:
        headers.append((b"Connection", b"keep-alive"))
    return status_line(status, phrase) + fields(headers) + b"\r\n", chunked, keep_alive


def add_via(headers: Headers, prior: bytes | None, minor: int, via: bytes) -> None:
    """Appends this hop to Via (RFC 9110 section 7.6.3); `minor` is the version in which the message was received."""
    own = b"1.%d %b" % (minor, via)
    headers.append((b"Via", own if prior is None else prior + b", " + own))
