"""What this hop adds to the request head of one attempt, behind what the client sent end to end and filters edited.

It comes last, after hop-by-hop fields are gone and filters have run: no client can name one of our
fields in `Connection` and so delete it (CORRECTNESS H3), and each attempt starts from the untouched original (K4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gwproxy.filters.vouched import VouchedFields
from gwproxy.http.headers import Headers, trailer_names
from gwproxy.http.trace import begin_traceparent
from gwproxy.http.writing import fields

if TYPE_CHECKING:
    from gwproxy.proxy.facts import ExchangeFacts


def hop_lines(exchange: ExchangeFacts, guarded: VouchedFields) -> bytes:
    """What this hop says about the request, as lines: forwarding, Via, ids, TE, Trailer, Expect. `guarded` are fields
    that no trailer may have."""
    head = exchange.head
    settings = exchange.settings
    peer = exchange.downstream.peer
    host = exchange.authority or b""
    if exchange.prior is None:
        forwarding = peer.fresh_lines(host)
    else:
        forwarding = fields(peer.appended(host, exchange.prior, exchange.client_ip))
    via = settings.via_lines[head.minor] if head.via is None else settings.via_line(head.minor, head.via)
    if exchange.traceparent is None:
        trace = begin_traceparent(exchange.trace_id, settings.getrandbits)
    else:
        trace = exchange.traceparent
    lines = b"%bX-Request-ID: %b\r\ntraceparent: %b\r\n" % (via, exchange.request_id.encode("ascii"), trace)
    if head.has_more:
        lines += fields(_rarer_fields(exchange, guarded))
    return forwarding + lines


def _rarer_fields(exchange: ExchangeFacts, guarded: VouchedFields) -> Headers:
    head = exchange.head
    headers: Headers = []
    if exchange.traceparent is not None and head.tracestate is not None:
        headers.append((b"tracestate", head.tracestate))
    if head.te_trailers:
        headers.append((b"TE", b"trailers"))
        headers.append((b"Connection", b"TE"))
    if head.chunked and head.trailer is not None:
        names = {name for name in trailer_names(head.trailer) if name not in guarded}
        if names:
            headers.append((b"Trailer", b", ".join(sorted(names))))
    if head.expects_continue and not exchange.downstream.body_complete():
        headers.append((b"Expect", b"100-continue"))
    return headers
