"""The request head of one attempt: what the client sent end to end, edited by filters, then what this hop adds.

Everything of this hop comes last, after hop-by-hop fields are gone and filters have run: no client can name one of our
fields in `Connection` and so delete it (CORRECTNESS H3), and each attempt starts from the untouched original (K4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gwproxy.http.headers import Headers, trailer_names
from gwproxy.http.trace import format_traceparent, new_span_id
from gwproxy.proxy.head import add_via

if TYPE_CHECKING:
    from gwproxy.proxy.exchange import Exchange


def add_hop_fields(exchange: Exchange, headers: Headers) -> None:
    """Appends what this hop says about the request: forwarding, Via, ids, TE, Trailer, Expect."""
    head = exchange.head
    downstream = exchange.downstream
    host = head.host or b""
    if exchange.prior is None:
        headers += downstream.peer.fresh(host)
    else:
        headers += downstream.peer.appended(host, exchange.prior, exchange.client_ip)
    add_via(headers, head.via, head.minor, exchange.settings.via)
    headers.append((b"X-Request-ID", exchange.request_id.encode("ascii")))
    if exchange.traceparent is not None:
        headers.append((b"traceparent", exchange.traceparent))
        if head.tracestate is not None:
            headers.append((b"tracestate", head.tracestate))
    else:
        span = new_span_id(exchange.settings.getrandbits)
        headers.append((b"traceparent", format_traceparent(exchange.trace_id, span, "00")))
    if head.te_trailers:
        headers.append((b"TE", b"trailers"))
        headers.append((b"Connection", b"TE"))
    if head.chunked and head.trailer is not None:
        names = trailer_names(head.trailer)
        if names:
            headers.append((b"Trailer", b", ".join(sorted(names))))
    if head.expects_continue and not downstream.body_complete():
        headers.append((b"Expect", b"100-continue"))
