"""The head of a response as the client gets it: what this hop adds, and how the body will be framed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gwproxy.http.dates import http_date
from gwproxy.http.headers import get, remove
from gwproxy.http.response import BODILESS
from gwproxy.http.writing import fields, status_line

if TYPE_CHECKING:
    from gwproxy.proxy.facts import ExchangeFacts

OWN_SERVER: Final = b"gwproxy"


def response_head(
    exchange: ExchangeFacts,
    phrase: bytes,
    length: int | None,
    declared: int | None,
    keep_alive: bool,
    hop: bytes,
    dated: bool,
) -> tuple[bytes, bool, bool]:
    """The head's bytes, whether the body is to be chunked, whether the connection may be kept (RFC 9112 section 6).

    See Exchange.commit() for the arguments.
    """
    status = exchange.status
    headers = exchange.response_headers
    if exchange.settings.own_server:
        remove(headers, b"server")
        headers.append((b"Server", OWN_SERVER))
    if not dated and get(headers, b"date") is None:
        headers.append((b"Date", http_date()))
    chunked = False
    framing = b""
    if status in BODILESS or exchange.method == b"HEAD":
        if declared is not None and status != 204:
            framing = b"Content-Length: %d\r\n" % declared
    elif length is not None:
        framing = b"Content-Length: %d\r\n" % length
    elif exchange.head.minor:
        chunked = True
        framing = b"Transfer-Encoding: chunked\r\n"
    else:
        keep_alive = False  # only the close ends the body of an HTTP/1.0 response
    if not keep_alive:
        framing += b"Connection: close\r\n"
    elif not exchange.head.minor:
        framing += b"Connection: keep-alive\r\n"
    head = b"%b%b%bX-Request-ID: %b\r\n%b\r\n" % (
        status_line(status, phrase),
        fields(headers),
        hop,
        exchange.request_id.encode("ascii"),
        framing,
    )
    return head, chunked, keep_alive
