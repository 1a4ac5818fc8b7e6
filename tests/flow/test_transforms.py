"""Body transforms: the length that is not known any more, bodies that there are not, defects."""

from __future__ import annotations

import pytest
from twisted.logger import LogEvent

from gwproxy.filters.api import Exchange, Reply
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.scripted import Scripted, Upper, breaks

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def adds_upper(exchange: Exchange) -> None:
    exchange.add_body_transform(Upper())


UPPER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n1\r\n!\r\n0\r\n\r\n"


def test_a_body_transform(make_flow: MakeFlow) -> None:
    flow = make_flow(filters={"upper": Scripted(response=adds_upper)})
    flow.client >> GET * 2
    for answer in (OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"):
        flow.upstream >> answer
        flow.client << UPPER
    assert flow.last["bytes_out"] == 3


def test_a_body_transform_on_a_reply(make_flow: MakeFlow) -> None:
    answers = Scripted(request=lambda exchange: Reply(200, [], b"ok"))
    flow = make_flow(filters={"upper": Scripted(response=adds_upper), "answers": answers})
    flow.client >> GET
    assert flow.client.take().endswith(b"\r\n\r\n2\r\nOK\r\n1\r\n!\r\n0\r\n\r\n")


@pytest.mark.parametrize("own", [True, False])
def test_a_body_transform_has_nothing_to_do_without_a_body(own: bool, make_flow: MakeFlow) -> None:
    answers = Scripted(request=lambda exchange: Reply(200, [], b"ok") if own else None)
    flow = make_flow(filters={"upper": Scripted(response=adds_upper), "answers": answers})
    flow.client >> GET.replace(b"GET", b"HEAD")
    if not own:
        flow.upstream >> b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    head, _, rest = flow.client.take().partition(b"\r\n\r\n")
    assert rest == b""
    assert b"Content-Length" not in head, "the length of what the transform would make is not known"
    assert not flow.client.is_gone


def test_a_body_transform_with_a_defect_aborts(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    class Breaks(Upper):
        def data(self, data: bytes) -> bytes:
            raise ValueError("on purpose")

    flow = make_flow(filters={"broken": Scripted(response=lambda exchange: exchange.add_body_transform(Breaks()))})
    flow.client >> GET
    flow.upstream >> OK
    assert flow.client.was_reset
    assert flow.upstream.is_gone
    flow.logged(status=200, reason="internal")
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_a_body_transform_that_breaks_at_the_end_aborts(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    class Breaks(Upper):
        def end(self) -> bytes:
            raise ValueError("on purpose")

    flow = make_flow(filters={"broken": Scripted(response=lambda exchange: exchange.add_body_transform(Breaks()))})
    flow.client >> GET
    flow.upstream >> OK
    assert flow.client.was_reset
    flow.logged(status=200, reason="internal")
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_transforms_run_in_the_order_of_the_hooks(make_flow: MakeFlow) -> None:
    class Brackets:
        def data(self, data: bytes) -> bytes:
            return b"[" + data + b"]"

        def end(self) -> bytes:
            return b"end"

    outer = Scripted(response=lambda exchange: exchange.add_body_transform(Brackets()))
    flow = make_flow(filters={"outer": outer, "upper": Scripted(response=adds_upper)})
    flow.client >> GET
    flow.upstream >> OK
    flow.client << (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n[OK]\r\n6\r\n[!]end\r\n0\r\n\r\n")


def test_no_transform_survives_the_response_it_was_made_for(make_flow: MakeFlow, logged_errors: list[LogEvent]) -> None:
    """The error page that takes the place of a response is not that response."""
    flow = make_flow(
        filters={"broken": Scripted(response=breaks), "upper": Scripted(response=adds_upper)},
    )
    flow.client >> GET
    flow.upstream >> OK
    flow.client.refused(500, "internal")
    logged_errors.clear()
