"""The resource tree: which leaf answers, as a tree of twisted.web and as users see it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.resource import IResource, getChildForRequest

from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow

ROUTES = """
[route:a]
host = a.test
path = /only/
methods = GET, POST
respond = 200 a
[route:wild]
host = *.a.test
path = /only/
respond = 200 wild
[route:own]
path = /own
respond = 200 own
"""


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    return make_flow(more=ROUTES, route="host = service.test")


def get(path: bytes, host: bytes, method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (method, path, host)


@pytest.mark.parametrize(
    ("path", "host", "answer"),
    [
        (b"/only/x", b"a.test", b"a"),
        (b"/only/x", b"A.TEST.:8080", b"a"),
        (b"/only/x", b"b.a.test", b"wild"),
        (b"/own", b"anything", b"own"),
        (b"/x/../own", b"anything", b"own"),
        (b"http://a.test/only/", b"other.test", b"a"),
    ],
)
def test_the_route_that_matches_answers(path: bytes, host: bytes, answer: bytes, flow: Flow) -> None:
    flow.client >> get(path, host)
    assert flow.client.take().endswith(b"\r\n\r\n" + answer)


def test_nothing_matches(flow: Flow) -> None:
    flow.client >> get(b"/only/x", b"b.test")
    flow.client.refused(404, "no_route")
    line = flow.logged(status=404, reason="no_route", by="gateway")
    assert line["route"] is None


def test_the_method_does_not_match(flow: Flow) -> None:
    flow.client >> get(b"/only/x", b"a.test", b"DELETE")
    assert flow.client.refused(405, "method")[b"allow"] == b"GET, HEAD, POST"


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE"])
def test_methods_that_are_never_served(method: bytes, flow: Flow) -> None:
    flow.client >> get(b"a.test:443" if method == b"CONNECT" else b"/own", b"a.test", method)
    assert b"OPTIONS" in flow.client.refused(405, "method", closes=True)[b"allow"]


def test_options_of_the_gateway(flow: Flow) -> None:
    flow.client >> get(b"*", b"a.test", b"OPTIONS")
    flow.client << b"HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n\r\n"
    flow.client >> get(b"*", b"a.test")
    flow.client.refused(400, "bad_target", closes=True)


def test_it_is_a_tree_of_twisted_web(flow: Flow) -> None:
    """Walked in two steps, and by Twisted's own walk too."""
    root = flow.gateway.site.root
    request: Any = Walk(b"GET", [b"a.test", b"/only/x"])
    leaf = getChildForRequest(root, request)
    assert IResource.providedBy(root) and IResource.providedBy(leaf)
    assert leaf.isLeaf
    assert leaf is root.getChildWithDefault(b"a.test", request).getChildWithDefault(b"/only/x", request)
    assert leaf.getChildWithDefault(b"deeper", request) is leaf
    for resource in (root, leaf):
        with pytest.raises(NotImplementedError):
            resource.putChild(b"x", resource)


class Walk:
    """What a walk through a tree needs of a request."""

    def __init__(self, method: bytes, postpath: list[bytes]) -> None:
        self.method = method
        self.prepath: list[bytes] = []
        self.postpath = postpath


def test_names_that_nobody_has_do_not_make_the_tree_grow(flow: Flow) -> None:
    for number in range(50):
        flow.client >> get(b"/own", b"host-%d.test" % number)
    flow.client.take()
    assert len(flow.gateway.site.root._hosts) == 1
