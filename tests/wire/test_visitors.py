"""STACK Z1 to Z3, Z12 and Z13: what a client library does for its user must not happen to somebody else's traffic."""

from __future__ import annotations

import gzip

import pytest

from tests.wire.conftest import Connect
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond

SESSION = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=alice; Path=/\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok"


def test_z1_one_visitors_cookies_are_not_anothers(connect: Connect, upstream: ScriptedUpstream) -> None:
    """Over the same connection to the upstream."""
    upstream.handler = respond(SESSION)
    alice, bob = connect(), connect()
    response = alice.ask(request(b"Cookie: mine=alice"))
    assert response.headers.all(b"set-cookie") == [b"session=alice; Path=/", b"b=2"]
    bob.ask(request())
    alice.ask(request())
    bob.ask(request(b"Cookie: mine=bob; session=x"))
    assert [got.headers.all(b"cookie") for got in upstream.requests] == [
        [b"mine=alice"],
        [],
        [],
        [b"mine=bob; session=x"],
    ]
    assert len({got.connection for got in upstream.requests}) == 1


@pytest.mark.parametrize("asked", [[], [b"Accept-Encoding: identity"], [b"Accept-Encoding: br, gzip;q=0.1"]])
def test_z2_nothing_is_decoded_or_asked_for(client: RawClient, upstream: ScriptedUpstream, asked: list[bytes]) -> None:
    body = gzip.compress(b"a" * 1000)
    upstream.handler = respond(
        b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nETag: "e"\r\nContent-Length: %d\r\n\r\n%b' % (len(body), body)
    )
    response = client.ask(request(*asked))
    assert response.body == body
    assert response.headers.get(b"content-encoding") == b"gzip"
    assert response.headers.get(b"etag") == b'"e"'
    assert response.headers.get(b"content-length") == b"%d" % len(body)
    got = upstream.only_request().headers
    assert [b"Accept-Encoding: " + value for value in got.all(b"accept-encoding")] == asked
    assert b"user-agent" not in got


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("location", [b"/up/elsewhere", b"http://other.test/up/x", b"//[::1", b"../%zz"])
def test_z3_redirects_are_the_clients(
    client: RawClient, upstream: ScriptedUpstream, status: int, method: bytes, location: bytes
) -> None:
    upstream.handler = respond(b"HTTP/1.1 %d Go\r\nLocation: %b\r\nContent-Length: 2\r\n\r\ngo" % (status, location))
    response = client.ask(request(method=method))
    assert (response.status, response.body, response.headers.get(b"location")) == (status, b"go", location)
    assert upstream.only_request().method == method


def test_z3_authentication_is_the_clients(client: RawClient, upstream: ScriptedUpstream) -> None:
    """A 401 with a challenge is passed on, and credentials go as they came."""
    upstream.handler = respond(
        b'HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm="a"\r\n'
        b"WWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n"
    )
    response = client.ask(request(b"Authorization: Basic YTpi"))
    assert response.headers.all(b"www-authenticate") == [b'Basic realm="a"', b"Bearer"]
    assert upstream.only_request().headers.all(b"authorization") == [b"Basic YTpi"]


def test_z12_a_delete_that_may_have_arrived_is_not_sent_again(client: RawClient, upstream: ScriptedUpstream) -> None:
    served: set[int] = set()

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        if connection.number in served:
            connection.close()
        else:
            served.add(connection.number)
            connection.send(OK)

    upstream.handler = handler
    client.ask(request())
    assert client.ask(request(method=b"DELETE")).status == 502
    upstream.wait_quiet()
    assert [got.method for got in upstream.requests] == [b"GET", b"DELETE"]


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ([b"Content-Length: 3"], b"abc"),
        ([b"Transfer-Encoding: chunked"], b"3\r\nabc\r\n0\r\n\r\n"),
    ],
)
def test_z13_there_is_one_framing_field(
    client: RawClient, upstream: ScriptedUpstream, lines: list[bytes], body: bytes
) -> None:
    client.ask(request(*lines, method=b"POST", body=body))
    got = upstream.only_request()
    assert len(got.headers.all(b"content-length")) + len(got.headers.all(b"transfer-encoding")) == 1
    assert got.body == b"abc"
