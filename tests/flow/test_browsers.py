"""The filters for browsers in a whole gateway: preflights, errors that pages may read, cookies, forged requests."""

from __future__ import annotations

import pytest

from gwproxy.filters.registry import filter_types
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow
from tests.flow.kit.scripted import replies

APP = b"Origin: https://app.example.com"
EVIL = b"Origin: https://evil.example"
COOKIE = b"Cookie: a=1; token=abc; b=2"

SECTIONS = """
[filter:browsers]
type = cors
origins = https://app.example.com
methods = GET, PUT
credentials = yes
expose = X-Request-ID
block = {block}
[filter:forgery]
type = csrf
origins = https://app.example.com
[filter:token]
type = cookie_to_header
[filter:careful]
type = security_headers
[route:api]
path = /api/
{methods}
upstream = service
filters = {filters}
"""


@pytest.fixture
def make_api(make_flow: MakeFlow) -> MakeFlow:
    """`make_api("browsers, refuses")`: a route /api/ with these filters."""

    def make(filters: str, *, methods: str = "", block: str = "no", upstream: str = "retries = 0") -> Flow:
        built_in = filter_types()
        return make_flow(
            filters={"refuses": replies()},
            types={name: built_in[name] for name in ("cors", "csrf", "cookie_to_header", "security_headers")},
            more=SECTIONS.format(filters=filters, methods=methods, block=block),
            route="host = service.test",
            upstream=upstream,
        )

    return make


def request(*lines: bytes, method: bytes = b"GET", path: bytes = b"/api/x") -> bytes:
    return b"\r\n".join([b"%b %b HTTP/1.1" % (method, path), b"Host: a", *lines, b"", b""])


def preflight(*lines: bytes, method: bytes = b"PUT") -> bytes:
    return request(b"Access-Control-Request-Method: " + method, *lines, method=b"OPTIONS")


ALLOWED = (
    b"HTTP/1.1 204 No Content\r\n"
    b"Access-Control-Allow-Origin: https://app.example.com\r\n"
    b"Access-Control-Allow-Credentials: true\r\n"
    b"Access-Control-Expose-Headers: X-Request-ID\r\n"
    b"Access-Control-Allow-Methods: GET, PUT\r\n"
    b"Access-Control-Allow-Headers: Content-Type\r\n"
    b"Access-Control-Max-Age: 600\r\n"
    b"Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n\r\n"
)
REFUSED = (
    b"HTTP/1.1 204 No Content\r\nVary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n\r\n"
)


@pytest.mark.parametrize("methods", ["", "methods = PUT", "methods = PUT, OPTIONS"])
def test_a_preflight_goes_no_further(methods: str, make_api: MakeFlow) -> None:
    flow = make_api("browsers, refuses", methods=methods)
    flow.client >> preflight(APP)
    flow.client << ALLOWED
    flow.client >> preflight(EVIL)
    flow.client << REFUSED
    flow.client >> preflight(APP, b"Access-Control-Request-Headers: x-other")
    flow.client << REFUSED
    assert flow.dials == 0
    assert flow.filters["refuses"].asked == []  # type: ignore[attr-defined]  # a Scripted
    assert [(line["status"], line["reason"], line["filter"]) for line in flow.log] == [(204, "filter", "browsers")] * 3


def test_a_method_that_no_route_takes(make_api: MakeFlow) -> None:
    flow = make_api("browsers", methods="methods = GET")
    flow.client >> preflight(APP)
    flow.client.refused(405, "method")


def test_errors_are_for_the_page_to_read(make_api: MakeFlow) -> None:
    flow = make_api("browsers, refuses")
    flow.client >> request(APP)
    fields = flow.client.refused(401, "no_token")
    assert fields[b"access-control-allow-origin"] == b"https://app.example.com"
    assert (fields[b"access-control-allow-credentials"], fields[b"vary"]) == (b"true", b"Origin")
    flow.client >> request(EVIL)
    fields = flow.client.refused(401, "no_token")
    assert fields[b"vary"] == b"Origin"
    assert not [name for name in fields if name.startswith(b"access-control-")]


def test_errors_of_the_proxy_too(make_api: MakeFlow) -> None:
    flow = make_api("browsers")
    flow.client >> request(APP)
    flow.refuse()
    assert flow.client.refused(502, "connect_failed")[b"access-control-allow-origin"] == b"https://app.example.com"


def test_what_the_upstream_says_is_replaced(make_api: MakeFlow) -> None:
    flow = make_api("browsers")
    flow.client >> request(APP)
    flow.upstream >> (
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\nAccess-Control-Allow-Methods: PATCH\r\n"
        b"Content-Length: 2\r\n\r\nok"
    )
    flow.client << (
        b"HTTP/1.1 200 OK\r\nVary: Accept, Origin\r\nAccess-Control-Allow-Origin: https://app.example.com\r\n"
        b"Access-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: X-Request-ID\r\n"
        b"Content-Length: 2\r\n\r\nok"
    )


def test_a_blocked_origin_gets_no_further(make_api: MakeFlow) -> None:
    flow = make_api("browsers", block="yes")
    for asked in (request(EVIL), preflight(EVIL), request(b"Origin: null", method=b"POST")):
        flow.client >> asked
        flow.client.refused(403, "origin_denied")
    assert flow.dials == 0
    assert [(line["reason"], line["filter"]) for line in flow.log] == [("origin_denied", "browsers")] * 3
    # A page of its own: http, for this listener has no TLS.
    flow.client >> request(b"Origin: http://a", method=b"POST")
    assert flow.dials == 1
    flow.refuse()
    flow.client.refused(502, "connect_failed")


def test_a_forged_request_is_stopped_before_the_cookie_is_read(make_api: MakeFlow) -> None:
    flow = make_api("forgery, token")
    flow.client >> request(EVIL, COOKIE, b"Content-Length: 0", method=b"POST")
    flow.client.refused(403, "origin_denied")
    assert flow.dials == 0
    line = flow.logged(status=403, reason="origin_denied", by="gateway")
    assert line["filter"] == "forgery"
    flow.client >> request(b"Origin: http://a", COOKIE, b"Content-Length: 0", method=b"POST")
    flow.upstream << (
        b"POST /api/x HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nCookie: a=1; b=2\r\n"
        b"Authorization: Bearer abc\r\nContent-Length: 0\r\n\r\n"
    )
    flow.upstream >> b"HTTP/1.1 204 No Content\r\n\r\n"
    flow.client << b"HTTP/1.1 204 No Content\r\n\r\n"


def test_the_cookie_goes_on_as_a_header(make_api: MakeFlow) -> None:
    flow = make_api("token")
    flow.client >> request(b"cookie: token=abc", b"authorization: Bearer other")
    flow.upstream << b"GET /api/x HTTP/1.1\r\nHost: a\r\nauthorization: Bearer other\r\n\r\n"
    flow.upstream >> b"HTTP/1.1 204 No Content\r\n\r\n"
    flow.client >> request(COOKIE)
    flow.upstream << b"GET /api/x HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\nAuthorization: Bearer abc\r\n\r\n"
    flow.upstream >> b"HTTP/1.1 204 No Content\r\n\r\n"


def test_a_client_cannot_have_the_header_dropped(make_api: MakeFlow) -> None:
    """CORRECTNESS H3: what Connection names is the client's own, not what is set here."""
    flow = make_api("token")
    flow.client >> request(b"Connection: authorization", b"Authorization: Basic x", b"Cookie: token=abc")
    flow.upstream << b"GET /api/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abc\r\n\r\n"
    flow.upstream >> b"HTTP/1.1 204 No Content\r\n\r\n"


def test_security_headers_on_preflights_and_errors(make_api: MakeFlow) -> None:
    flow = make_api("careful, browsers, refuses")
    flow.client >> preflight(APP)
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in flow.client.take()
    flow.client >> request(APP)
    fields = flow.client.refused(401, "no_token")
    assert (fields[b"x-content-type-options"], fields[b"x-frame-options"]) == (b"nosniff", b"DENY")
    assert b"strict-transport-security" not in fields
