"""The resource tree: which leaf answers, as a tree of twisted.web and as users see it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.web.resource import IResource, getChildForRequest

from gwproxy.filters.api import Reply
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow
from tests.flow.kit.scripted import Scripted

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


@pytest.fixture
def preflighted(make_flow: MakeFlow) -> Flow:
    """Three routes on one path: one with a filter that answers preflights, one without, one for OPTIONS."""
    answers = Scripted(request=lambda exchange: Reply(204, [(b"X-By", exchange.route_name.encode())], b""))
    answers.answers_preflight = True  # type: ignore[attr-defined]  # what a filter of the type cors has
    return make_flow(
        route="host = service.test",
        filters={"answers": answers, "another": Scripted()},
        more=(
            "[route:put]\npath = /p\nmethods = PUT\nrespond = 200 put\nfilters = answers\n"
            "[route:get]\npath = /p\nmethods = GET\nrespond = 200 get\nfilters = another\n"
            "[route:options]\npath = /p\nmethods = OPTIONS\nrespond = 200 options\n"
            "[route:only-put]\npath = /only-put\nmethods = PUT\nrespond = 200 put\nfilters = answers\n"
        ),
    )


def asks(path: bytes, *lines: bytes, method: bytes = b"OPTIONS") -> bytes:
    return b"\r\n".join([b"%b %b HTTP/1.1" % (method, path), b"Host: a", *lines, b"", b""])


ORIGIN = b"Origin: https://app.example.com"
FOR_PUT = b"Access-Control-Request-Method: PUT"


@pytest.mark.parametrize("path", [b"/p", b"/only-put", b"/x/../p"])
def test_a_preflight_goes_to_the_route_of_the_method_that_it_asks_for(path: bytes, preflighted: Flow) -> None:
    preflighted.client >> asks(path, ORIGIN, FOR_PUT)
    preflighted.client << b"HTTP/1.1 204 No Content\r\nX-By: %b\r\n\r\n" % (b"only-put" if b"o" in path else b"put")


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [ORIGIN],
        [FOR_PUT],
        [ORIGIN, b"Access-Control-Request-Method: GET"],  # that route answers none
        [ORIGIN, b"Access-Control-Request-Method: DELETE"],  # there is none
        [ORIGIN, b"Access-Control-Request-Method: put"],
        [ORIGIN, b"Access-Control-Request-Method: "],
    ],
)
def test_another_options_goes_to_the_route_of_options(lines: list[bytes], preflighted: Flow) -> None:
    preflighted.client >> asks(b"/p", *lines)
    assert preflighted.client.take().endswith(b"\r\n\r\noptions")


def test_without_a_route_of_options_it_is_a_405(preflighted: Flow) -> None:
    for lines in ([], [ORIGIN], [FOR_PUT], [ORIGIN, b"Access-Control-Request-Method: DELETE"]):
        preflighted.client >> asks(b"/only-put", *lines)
        assert preflighted.client.refused(405, "method")[b"allow"] == b"PUT"


def test_what_only_looks_like_a_preflight_is_routed_as_what_it_is(preflighted: Flow) -> None:
    preflighted.client >> asks(b"/p", ORIGIN, FOR_PUT, method=b"GET")
    assert preflighted.client.take().endswith(b"\r\n\r\nget")


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
        self.head: Any = SimpleNamespace(headers=[])
        self.prepath: list[bytes] = []
        self.postpath = postpath


def test_names_that_nobody_has_do_not_make_the_tree_grow(flow: Flow) -> None:
    for number in range(50):
        flow.client >> get(b"/own", b"host-%d.test" % number)
    flow.client.take()
    assert len(flow.gateway.site.root._hosts) == 1
