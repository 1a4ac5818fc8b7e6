"""Which route takes a request, and the answers that routes make themselves; CORRECTNESS N13."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gwproxy.errors import Reason
from tests.wire.conftest import Connect
from tests.wire.kit.client import FIN, RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Framing
from tests.wire.kit.refusal import AccessLedger, check_reply
from tests.wire.kit.upstream import ScriptedUpstream

# Every route of the first kind answers with its own name.
NAMED = {
    "exact-host": "host = a.test\npath = /",
    "exact-path": "host = a.test\npath = = /users/me",
    "regex": "host = a.test\npath = ~ /users/[0-9]+",
    "template": "host = a.test\npath = /users/{id}",
    "template-below": "host = a.test\npath = /users/{id}/orders",
    "prefix": "host = a.test\npath = /users",
    "prefix-longer": "host = a.test\npath = /users/all/",
    "get": "host = a.test\npath = /methods/\nmethods = GET",
    "post": "host = a.test\npath = /methods/\nmethods = POST, PURGE",
    "any-method": "host = a.test\npath = /open/",
    "put-only": "host = a.test\npath = /open/\nmethods = PUT",
    "wildcard": "host = *.a.test\npath = /",
    "wildcard-longer": "host = *.b.a.test\npath = /",
    "other-host": "host = other.test, third.test\npath = /only/",
    "post-only": "host = methods.test\npath = /post/\nmethods = POST, PURGE",
    "get-only": "host = methods.test\npath = /get/\nmethods = GET",
    "any-host": "path = /any/",
}
CONFIG = """
[log]
access = access.log
error = error.log

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[upstream:main]
servers = http://127.0.0.1:@MAIN@

[filter:marked]
type = headers
response_set = X-Marked: yes

[route:main]
path = /up/
upstream = main

[route:small]
path = /small/
max_body = 1k
upstream = main

[route:no-content]
path = /respond/204
respond = 204

[route:error]
path = /respond/503
respond = 503 closed for today, sorry
filters = marked

[route:moved]
path = /moved/
redirect = 308 https://www.example.com$uri
filters = marked

[route:fixed]
path = /fixed
redirect = 302 /elsewhere?from=fixed

[route:below]
path = /below/
redirect = 307 /base$uri

[route:here]
host = here.test
redirect = 301 $uri
""" + "".join(f"\n[route:{name}]\n{lines}\nrespond = 200 {name}\n" for name, lines in NAMED.items())


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    with running(CONFIG, tmp_path_factory.mktemp("routes"), {"MAIN": upstreams["MAIN"].port}) as process:
        yield process


# Precedence


@pytest.mark.parametrize(
    ("host", "target", "route"),
    [
        (b"a.test", b"/", "exact-host"),
        (b"A.test.:99", b"/nothing/special", "exact-host"),
        (b"a.test", b"/users/me", "exact-path"),
        (b"a.test", b"/users/m%65?x=1", "exact-path"),
        (b"a.test", b"/users/me/", "prefix"),
        (b"a.test", b"/users/12", "regex"),
        (b"a.test", b"/users/12a", "template"),
        (b"a.test", b"/users/12/orders", "template-below"),
        (b"a.test", b"/users/12/orders/1", "prefix"),
        (b"a.test", b"/users/", "prefix"),
        (b"a.test", b"/users", "prefix"),
        (b"a.test", b"/usersx", "exact-host"),
        (b"a.test", b"/users/all/x", "prefix-longer"),
        (b"a.test", b"/users/x/../me", "exact-path"),
        (b"a.test", b"/any/x", "exact-host"),
        (b"x.a.test", b"/users/me", "wildcard"),
        (b"x.y.a.test", b"/", "wildcard"),
        (b"x.b.a.test", b"/", "wildcard-longer"),
        (b"b.a.test", b"/", "wildcard"),
        (b"third.test", b"/only/x", "other-host"),
        (b"third.test", b"/any/x", "any-host"),
        (b"unknown.test", b"/any/x", "any-host"),
        (b"127.0.0.1", b"/any/", "any-host"),
    ],
)
def test_the_most_specific_route_answers(
    client: RawClient, ledger: AccessLedger, host: bytes, target: bytes, route: str
) -> None:
    response = client.ask(request(target=target, host=host))
    assert (response.status, response.body) == (200, route.encode())
    ledger.expect(response, route, Reason.RESPOND, by="gateway", route=route)


@pytest.mark.parametrize(
    ("method", "target", "route"),
    [
        (b"GET", b"/methods/x", b"get"),
        (b"POST", b"/methods/x", b"post"),
        (b"PURGE", b"/methods/x", b"post"),
        (b"PUT", b"/open/x", b"put-only"),
        (b"DELETE", b"/open/x", b"any-method"),
        (b"PROPFIND", b"/open/x", b"any-method"),
        # a route that does not take the method leaves it to a less specific one
        (b"DELETE", b"/methods/x", b"exact-host"),
    ],
)
def test_methods_choose_too(client: RawClient, method: bytes, target: bytes, route: bytes) -> None:
    response = client.ask(request(method=method, target=target))
    assert (response.status, response.body) == (200, route)


@pytest.mark.parametrize(
    ("host", "target"),
    [(b"unknown.test", b"/"), (b"third.test", b"/only"), (b"third.test", b"/ONLY/"), (b"unknown.test", b"/any")],
)
def test_404_and_the_connection_goes_on(client: RawClient, ledger: AccessLedger, host: bytes, target: bytes) -> None:
    response = client.ask(request(host=host, target=target))
    check_reply(response, 404, Reason.NO_ROUTE)
    assert client.ask(request(target=b"/users/me")).status == 200
    ledger.expect(response, "404", Reason.NO_ROUTE, by="gateway", route=None, upstream=None)


def test_404_for_a_request_with_a_body(client: RawClient) -> None:
    """The body is there already: it is read, and not taken for the next request."""
    raw = request(b"Content-Length: 3", method=b"POST", host=b"unknown.test", target=b"/", body=b"abc")
    assert client.ask(raw).status == 404
    assert client.ask(request(target=b"/users/me")).body == b"exact-path"


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        (b"GET", b"/post/x", {b"POST", b"PURGE"}),
        (b"HEAD", b"/post/x", {b"POST", b"PURGE"}),
        (b"OPTIONS", b"/post/x", {b"POST", b"PURGE"}),
        (b"post", b"/post/x", {b"POST", b"PURGE"}),
        (b"foo", b"/post/x", {b"POST", b"PURGE"}),
        (b"POST", b"/get/x", {b"GET", b"HEAD"}),
    ],
)
def test_405_says_what_is_allowed(
    client: RawClient, ledger: AccessLedger, method: bytes, target: bytes, allowed: set[bytes]
) -> None:
    response = client.ask(request(method=method, target=target, host=b"methods.test"), method=method)
    check_reply(response, 405, Reason.METHOD, method)
    allow = response.headers.get(b"allow") or b""
    assert {name.strip() for name in allow.split(b",")} == allowed
    assert client.is_open()
    ledger.expect(response, f"405 {method!r}", Reason.METHOD, by="gateway")


def test_get_takes_head_along(client: RawClient) -> None:
    response = client.ask(request(method=b"HEAD", target=b"/get/x", host=b"methods.test"), method=b"HEAD")
    assert (response.status, response.headers.get(b"content-length")) == (200, b"8")
    assert client.ask(request(target=b"/get/x", host=b"methods.test")).body == b"get-only"


# respond


def test_respond(client: RawClient) -> None:
    response = client.ask(request(target=b"/any/x", host=b"b.test"))
    assert (response.status, response.phrase, response.body) == (200, b"OK", b"any-host")
    assert response.headers.get(b"content-type") == b"text/plain; charset=utf-8"
    assert response.framing is Framing.LENGTH
    assert response.headers.get(b"date")


def test_respond_to_an_upload(client: RawClient) -> None:
    raw = request(b"Transfer-Encoding: chunked", method=b"POST", target=b"/any/x", host=b"b.test")
    assert client.ask(raw + b"3\r\nabc\r\n0\r\n\r\n").body == b"any-host"
    assert client.ask(request(target=b"/users/me")).body == b"exact-path"


def test_respond_without_a_body(client: RawClient) -> None:
    response = client.ask(request(target=b"/respond/204", host=b"b.test"))
    assert (response.status, response.framing) == (204, Framing.NONE)
    assert (b"content-length" in response.headers, b"content-type" in response.headers) == (False, False)
    assert client.ask(request(target=b"/users/me")).body == b"exact-path"


def test_respond_with_an_error_of_ones_own(client: RawClient, ledger: AccessLedger) -> None:
    """The text is the operator's: no page replaces it. Filters see it as they see any response."""
    response = client.ask(request(target=b"/respond/503", host=b"b.test"))
    assert (response.status, response.body) == (503, b"closed for today, sorry")
    assert response.headers.get(b"x-marked") == b"yes"
    ledger.expect(response, "respond 503", Reason.RESPOND, by="gateway", route="error")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_respond_to_a_client_that_wants_no_more(client: RawClient, version: bytes) -> None:
    response = client.ask(request(b"Connection: close", target=b"/any/x", host=b"b.test", version=version))
    assert (response.status, response.headers.get(b"connection")) == (200, b"close")
    assert client.ending() == FIN


# redirect, N13


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        (b"/moved/x/", 308, b"https://www.example.com/moved/x/"),
        (b"/moved/x?a=1&b=%2F", 308, b"https://www.example.com/moved/x?a=1&b=%2F"),
        (b"/moved/?", 308, b"https://www.example.com/moved/?"),
        (b"/moved/%41%c3%a9", 308, b"https://www.example.com/moved/%41%c3%a9"),
        (b"/moved/x/../y", 308, b"https://www.example.com/moved/y"),
        (b"/fixed", 302, b"/elsewhere?from=fixed"),
        (b"/fixed/x?a=1", 302, b"/elsewhere?from=fixed"),
        (b"/below/x", 307, b"/base/below/x"),
        (b"http://b.test/moved/x", 308, b"https://www.example.com/moved/x"),
    ],
)
def test_redirect(client: RawClient, ledger: AccessLedger, target: bytes, status: int, location: bytes) -> None:
    response = client.ask(request(target=target, host=b"b.test"))
    assert (response.status, response.headers.get(b"location"), response.body) == (status, location, b"")
    assert response.framing is Framing.LENGTH
    assert (response.headers.get(b"x-marked") == b"yes") == (b"/moved/" in target)
    assert client.is_open()
    ledger.expect(response, f"redirect {target!r}", Reason.REDIRECT, by="gateway")


@pytest.mark.parametrize("method", [b"POST", b"HEAD", b"DELETE", b"foo"])
def test_redirect_whatever_the_method(client: RawClient, method: bytes) -> None:
    response = client.ask(request(method=method, target=b"/moved/x", host=b"b.test"), method=method)
    assert (response.status, response.headers.get(b"location")) == (308, b"https://www.example.com/moved/x")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/x?y", b"/x?y"),
        (b"//evil.test", b"/evil.test"),
        (b"///evil.test/..", b"/"),
        (b"//evil.test/%2e%2e", b"/"),
        (b"/.//evil.test", b"/evil.test"),
        (b"/x/..//evil.test", b"/evil.test"),
        (b"//user@evil.test:80/?x", b"/user@evil.test:80/?x"),
        (b"http://here.test//evil.test/", b"/evil.test/"),
        (b"/%2F/evil.test", b"/%2F/evil.test"),
        (b"/%5Cevil.test", b"/%5Cevil.test"),
        (b"/%09/evil.test", b"/%09/evil.test"),
        (b"//%0d%0aSet-Cookie:x=1", b"/%0d%0aSet-Cookie:x=1"),
        (b"/?next=//evil.test", b"/?next=//evil.test"),
    ],
)
def test_n13_a_redirect_stays_on_this_server(client: RawClient, target: bytes, path: bytes) -> None:
    """A Location that begins with two slashes, or what browsers take for them, would name another one."""
    response = client.ask(request(target=target, host=b"here.test"))
    assert response.status == 301
    location = response.headers.get(b"location") or b""
    assert location[1:2] not in (b"/", b"\\")
    assert location == path


@pytest.mark.parametrize("target", [b"//moved/..//moved//evil.test", b"///moved///evil.test", b"//moved/@evil.test"])
def test_n13_nor_does_the_path_become_a_host_elsewhere(client: RawClient, target: bytes) -> None:
    response = client.ask(request(target=target, host=b"b.test"))
    location = response.headers.get(b"location") or b""
    assert location.startswith(b"https://www.example.com/")


# max_body


@pytest.mark.parametrize("extra", [0, 1])
def test_max_body_with_a_length(client: RawClient, upstream: ScriptedUpstream, extra: int) -> None:
    body = b"a" * (1024 + extra)
    response = client.ask(
        request(b"Content-Length: %d" % len(body), method=b"POST", host=b"b.test", target=b"/small/x", body=body)
    )
    if extra:
        check_reply(response, 413, Reason.BODY_TOO_LARGE)
        upstream.wait_quiet()
        assert not upstream.requests
    else:
        assert response.status == 200
        assert upstream.only_request().body == body


@pytest.mark.parametrize("extra", [0, 1])
def test_max_body_in_chunks(connect: Connect, upstream: ScriptedUpstream, ledger: AccessLedger, extra: int) -> None:
    """What counts are the bytes of the body, not those of its chunks; the upstream never sees it whole."""
    client = connect()
    chunks = b"1\r\na\r\n" * (1024 + extra)
    client.send(
        request(b"Transfer-Encoding: chunked", method=b"POST", host=b"b.test", target=b"/small/x")
        + chunks
        + b"0\r\n\r\n"
    )
    response = client.read_response()
    if extra:
        check_reply(response, 413, Reason.BODY_TOO_LARGE)
        upstream.wait_dropped()
        assert not [got for got in upstream.requests if got.complete]
        ledger.expect(response, "max_body", Reason.BODY_TOO_LARGE, by="gateway", route="small")
    else:
        assert response.status == 200
        assert upstream.only_request().body == b"a" * 1024
