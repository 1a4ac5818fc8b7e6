"""Routes that the gateway answers itself: fixed replies and redirects."""

from __future__ import annotations

import pytest

from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow

CLOSED = b"Content-Length: 0\r\n\r\n"


def redirecting(make_flow: MakeFlow, text: str) -> Flow:
    return make_flow(more=f"[route:old]\npath = /old/\nredirect = {text}\n")


def get(target: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target


def test_respond(make_flow: MakeFlow) -> None:
    flow = make_flow(more="[route:hello]\npath = /hello\nrespond = 418 hello there\n")
    flow.client >> get(b"/hello/x")
    flow.client << (
        b"HTTP/1.1 418 I'm a Teapot\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 11\r\n\r\nhello there"
    )
    flow.logged(status=418, reason="respond", by="gateway")


@pytest.mark.parametrize(("status", "rest"), [(204, b"\r\n"), (200, CLOSED)])
def test_respond_without_a_text(status: int, rest: bytes, make_flow: MakeFlow) -> None:
    flow = make_flow(more=f"[route:hello]\npath = /hello\nrespond = {status}\n")
    flow.client >> get(b"/hello")
    got = flow.client.take()
    assert got.endswith(b"\r\n" + rest)
    assert b"Content-Type" not in got


@pytest.mark.parametrize(
    ("written", "status", "target", "location"),
    [
        ("308 https://example.com/new", 308, b"/old/x?q=1", b"https://example.com/new"),
        ("301 https://example.com$uri", 301, b"/old/x?q=%20", b"https://example.com/old/x?q=%20"),
        ("302 https://example.com/v2$uri&from=old", 302, b"/old/?", b"https://example.com/v2/old/?&from=old"),
        ("307 $uri", 307, b"/old/x", b"/old/x"),
        ("303 https://example.com$uri", 303, b"/old/a%2Fb%0d%0aX:%20y", b"https://example.com/old/a%2Fb%0d%0aX:%20y"),
    ],
)
def test_redirect(written: str, status: int, target: bytes, location: bytes, make_flow: MakeFlow) -> None:
    flow = redirecting(make_flow, written)
    flow.client >> get(target)
    got = flow.client.take()
    assert got.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nLocation: %b\r\n" % location in got
    assert got.endswith(CLOSED)
    assert flow.last["reason"] == "redirect"


@pytest.mark.parametrize("target", [b"//evil.test/../old/", b"//evil.test/%2e%2e/old/x", b"///evil.test/../../old/x"])
def test_no_redirect_leads_to_another_host(target: bytes, make_flow: MakeFlow) -> None:
    """CORRECTNESS N13: `//evil.test` in Location is a host."""
    flow = redirecting(make_flow, "308 $uri")
    flow.client >> get(target)
    if flow.dials:
        flow.upstream >> b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    for line in flow.client.take().split(b"\r\n"):
        if line.startswith(b"Location: "):
            assert not line.startswith(b"Location: //")
            assert line.startswith(b"Location: /")
