"""The ids by which a request is found in logs, here and in what it passes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gwproxy.http.request import RequestHead
from gwproxy.http.trace import new_trace_id, parse_traceparent

_REQUEST_ID: Final = re.compile(rb"[!-~]{1,128}")


def identify(head: RequestHead, trusted: bool, getrandbits: Callable[[int], int]) -> tuple[str, str, bytes | None]:
    """Request id, trace id, and the traceparent to pass on, None if the trace begins here.

    A request id is taken over only from a trusted peer: logs of others are keyed by it. Else the trace's id is used, if
    it is our own: one id less to look for.
    """
    trace = parse_traceparent(head.traceparent) if head.traceparent else None
    own = new_trace_id(getrandbits)
    request_id = own
    if head.request_id and trusted and _REQUEST_ID.fullmatch(head.request_id):
        request_id = head.request_id.decode("ascii")
    if trace is None:
        return request_id, own, None
    return request_id, trace.trace_id, head.traceparent
