"""W3C Trace Context: the traceparent field (https://www.w3.org/TR/trace-context/, section 3.2).

An invalid traceparent counts as none: a new trace begins, and tracestate, which belongs to the old one, is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

# Versions above 00 may carry more behind a dash; what we know of them is the same (section 3.2.4).
_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?"
)


class TraceParent(NamedTuple):
    """Where a request stands in a trace, in lower-case hex digits."""

    trace_id: str  # 32
    parent_id: str  # 16: the caller's span
    flags: str  # 2


def parse_traceparent(value: bytes) -> TraceParent | None:
    """Reads a traceparent; None when it is invalid, and tracestate is then to be dropped too."""
    match = _TRACEPARENT.fullmatch(value)
    if match is None or (match[5] is not None and match[1] == b"00"):
        return None
    return TraceParent(match[2].decode("ascii"), match[3].decode("ascii"), match[4].decode("ascii"))


def new_trace_id(getrandbits: Callable[[int], int]) -> str:
    """A trace id, never all zeros. `getrandbits` is that of a `random.Random`: ids are unique, not secret."""
    return (getrandbits(128) or 1).to_bytes(16, "big").hex()


def begin_traceparent(trace_id: str, getrandbits: Callable[[int], int]) -> bytes:
    """The traceparent of a trace that begins at this hop: a span of its own, and not sampled."""
    span_id = (getrandbits(64) or 1).to_bytes(8, "big").hex()
    return f"00-{trace_id}-{span_id}-00".encode("ascii")
