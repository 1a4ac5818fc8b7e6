"""Whose ids a request goes by."""

from __future__ import annotations

import pytest

from gwproxy.http.request import RequestHead
from gwproxy.proxy.identity import identify

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01".encode()
OWN = "0" * 31 + "7"


def ids(
    request_id: bytes | None = None, traceparent: bytes | None = None, trusted: bool = False
) -> tuple[str, str, bytes | None]:
    head = RequestHead()
    head.request_id, head.traceparent = request_id, traceparent
    return identify(head, trusted, lambda bits: 7)


def test_our_own_are_one() -> None:
    assert ids() == (OWN, OWN, None)


def test_a_trace_that_came_is_kept_and_is_nobodys_request_id() -> None:
    assert ids(traceparent=TRACEPARENT) == (OWN, TRACE_ID, TRACEPARENT)


@pytest.mark.parametrize("bad", [b"", b"x", TRACEPARENT[:-1], TRACEPARENT.replace(b"0af", b"xyz")])
def test_a_trace_that_is_none(bad: bytes) -> None:
    assert ids(traceparent=bad) == (OWN, OWN, None)


def test_a_request_id_counts_from_who_is_trusted() -> None:
    assert ids(b"theirs", trusted=True)[0] == "theirs"
    assert ids(b"theirs")[0] == OWN
    assert ids(b"theirs", TRACEPARENT, trusted=True) == ("theirs", TRACE_ID, TRACEPARENT)


@pytest.mark.parametrize("bad", [b"", b"a b", b"a\x7f", b"\xc3\xa9", b"x" * 129])
def test_what_is_no_request_id(bad: bytes) -> None:
    assert ids(bad, trusted=True)[0] == OWN


def test_as_long_as_it_may_be() -> None:
    assert ids(b"x" * 128, trusted=True)[0] == "x" * 128
