"""A body that filters have read meets its servers: attempts, and responses that come early."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow
from tests.flow.kit.scripted import Reads, Scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def post(*fields: bytes) -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: a", *fields, b"", b""])


COUNTED = post(b"Content-Length: 6")
CHUNKED = post(b"Transfer-Encoding: chunked")


def reading(make_flow: MakeFlow, *filters: object, **parts: Any) -> Flow:
    return make_flow(filters={f"f{number}": each for number, each in enumerate(filters)}, **parts)


def test_another_server_gets_it_whole(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads(), servers="http://192.0.2.10:80, http://192.0.2.11:80")
    flow.client >> COUNTED + b"abcdef"
    flow.refuse()
    flow.upstream << COUNTED + b"abcdef"
    flow.upstream >> OK
    flow.client << OK
    line = flow.logged(status=200, reason=None)
    assert (line["tries"], line["bytes_in"]) == (2, 6)


@pytest.mark.parametrize(("method", "again"), [(b"GET", True), (b"POST", False)])
def test_a_server_that_closes_before_it_answers(method: bytes, again: bool, make_flow: MakeFlow) -> None:
    """What is held whole can be sent again; whether it may is the method's to say."""
    flow = reading(make_flow, Reads(), servers="http://192.0.2.10:80, http://192.0.2.11:80")
    head = COUNTED.replace(b"POST", method)
    flow.client >> head + b"abcdef"
    flow.upstream << head + b"abcdef"
    flow.upstream.resets()
    if again:
        flow.upstream << head + b"abcdef"
        flow.upstream >> OK
        flow.client << OK
        assert flow.last["bytes_in"] == 6
    else:
        flow.client.refused(502, "upstream_closed")


@pytest.mark.parametrize(("method", "held"), [(b"GET", True), (b"POST", False)])
def test_it_is_held_only_while_it_may_be_sent_again(method: bytes, held: bool, make_flow: MakeFlow) -> None:
    seen: list[Any] = []
    flow = reading(make_flow, Scripted(request=seen.append), Reads())
    flow.client >> COUNTED.replace(b"POST", method) + b"abcdef"
    assert flow.upstream.take().endswith(b"abcdef")
    assert (seen[0].buffered is not None) == held
    flow.upstream >> OK
    flow.client << OK


def test_what_streams_on_is_not_sent_again(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads(5, lenient=True), servers="http://192.0.2.10:80, http://192.0.2.11:80")
    head = CHUNKED.replace(b"POST", b"GET")
    flow.client >> head + b"6\r\nabcdef\r\n"
    flow.upstream << head + b"6\r\nabcdef\r\n"
    flow.upstream.resets()
    flow.client.refused(502, "upstream_closed", closes=True)
    assert flow.dials == 0


def test_a_response_that_comes_early(make_flow: MakeFlow) -> None:
    flow = reading(make_flow, Reads(5, lenient=True))
    flow.client >> CHUNKED + b"6\r\nabcdef\r\n"
    flow.upstream << CHUNKED + b"6\r\nabcdef\r\n"
    flow.upstream >> OK
    assert flow.client.take().endswith(b"\r\n\r\nok")
    flow.logged(status=200, reason=None)


def test_a_response_before_the_server_has_read_what_was_held(make_flow: MakeFlow) -> None:
    size = 0x40000
    flow = reading(make_flow, Reads(size))
    flow.client >> post(b"Content-Length: %d" % size) + b"x" * size
    flow.upstream.stops_reading()
    flow.upstream >> OK
    flow.client << OK
    flow.logged(status=200, reason=None)
