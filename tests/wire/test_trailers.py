"""CORRECTNESS T: fields behind a chunked body, in both directions. One test an id at least."""

from __future__ import annotations

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import FIN, RawClient, request
from tests.wire.kit.messages import Framing
from tests.wire.kit.refusal import AccessLedger, check_reply
from tests.wire.kit.upstream import ScriptedUpstream, UpstreamConnection, respond

CHUNKED = b"Transfer-Encoding: chunked"


def answer(*lines: bytes, trailers: bytes = b"") -> bytes:
    """A chunked response of `abc` with these trailer lines."""
    head = b"\r\n".join([b"HTTP/1.1 200 OK", CHUNKED, *lines])
    return head + b"\r\n\r\n3\r\nabc\r\n0\r\n" + trailers + b"\r\n"


def upload(*lines: bytes, trailers: bytes = b"", target: bytes = b"/up/x") -> bytes:
    """A chunked request of `abc` with these trailer lines."""
    body = b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n"
    return request(CHUNKED, *lines, method=b"POST", target=target, body=body)


def test_t1_what_is_announced_is_announced_and_relayed(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(answer(b"Trailer: X-Sum, X-More", trailers=b"X-Sum: 1\r\nX-More: a\r\nX-More: b\r\n"))
    response = client.ask(request(b"TE: trailers"))
    assert (response.body, response.framing) == (b"abc", Framing.CHUNKED)
    announced = response.headers.get(b"trailer")
    assert announced is not None
    assert {name.strip().lower() for name in announced.split(b",")} == {b"x-sum", b"x-more"}
    assert list(response.trailers) == [(b"X-Sum", b"1"), (b"X-More", b"a"), (b"X-More", b"b")]
    assert b"x-sum" not in response.headers


def test_t1_several_lines_announce(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(answer(b"Trailer: X-A", b"Trailer: X-B", trailers=b"X-B: 2\r\nX-A: 1\r\n"))
    response = client.ask(request())
    announced = b",".join(response.headers.all(b"trailer")).lower().replace(b" ", b"")
    assert set(announced.split(b",")) == {b"x-a", b"x-b"}
    assert list(response.trailers) == [(b"X-B", b"2"), (b"X-A", b"1")]


def test_t1_what_is_not_announced_does_no_harm(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(answer(trailers=b"X-Sum: 1\r\n"))
    response = client.ask(request())
    assert response.body == b"abc"
    assert b"x-sum" not in response.headers
    assert list(response.trailers) in ([], [(b"X-Sum", b"1")])
    assert client.ask(request()).body == b"abc"


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_t1_there_are_none_where_there_are_no_chunks(
    client: RawClient, upstream: ScriptedUpstream, method: bytes
) -> None:
    """For HTTP/1.0 clients, and where no body follows."""
    head = answer(b"Trailer: X-Sum").split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    whole = answer(b"Trailer: X-Sum", trailers=b"X-Sum: 1\r\n")
    upstream.handler = respond(head if method == b"HEAD" else whole)
    response = client.ask(request(method=method, version=b"1.0"), method=method)
    assert response.body == (b"" if method == b"HEAD" else b"abc")
    assert b"trailer" not in response.headers
    assert b"X-Sum" not in client.received
    assert client.ending() == FIN


FORBIDDEN = [
    b"Content-Length",
    b"Transfer-Encoding",
    b"Host",
    b"Connection",
    b"Trailer",
    b"TE",
    b"Upgrade",
    b"Keep-Alive",
    b"Authorization",
    b"Proxy-Authorization",
    b"WWW-Authenticate",
    b"Set-Cookie",
    b"Cookie",
    b"Content-Encoding",
    b"Content-Type",
    b"Content-Range",
    b"Cache-Control",
    b"Expect",
    b"Range",
    b"Vary",
    b"Location",
    b"Via",
    b"Forwarded",
    b"X-Forwarded-For",
    b"X-Real-IP",
]


# Twice and malformed these two are refused, with all that they stand in.
ODD = {b"Content-Length": b"Content-Length: 5", b"Transfer-Encoding": b"Transfer-Encoding: chunked"}


def trailing(name: bytes) -> bytes:
    """A trailer section with a field of this name among others."""
    return b"X-Before: 1\r\n%b\r\nX-After: 2\r\n" % ODD.get(name, b"%b: 5\r\n%b: 6" % (name, name.upper()))


@pytest.mark.parametrize("name", FORBIDDEN)
def test_t2_nothing_that_decides_may_come_behind_a_response(
    client: RawClient, upstream: ScriptedUpstream, name: bytes
) -> None:
    upstream.handler = respond(answer(b"Trailer: X-Before, %b, X-After" % name, trailers=trailing(name)))
    response = client.ask(request(b"TE: trailers"))
    assert list(response.trailers) == [(b"X-Before", b"1"), (b"X-After", b"2")]
    announced = (response.headers.get(b"trailer") or b"").lower().replace(b" ", b"").split(b",")
    assert set(announced) == {b"x-before", b"x-after"}
    assert client.is_open()


@pytest.mark.parametrize("name", FORBIDDEN)
def test_t2_nothing_that_decides_may_come_behind_a_request(
    client: RawClient, upstream: ScriptedUpstream, name: bytes
) -> None:
    response = client.ask(upload(b"Trailer: X-Before, %b, X-After" % name, trailers=trailing(name)))
    assert response.status == 200
    got = upstream.only_request()
    assert list(got.trailers) == [(b"X-Before", b"1"), (b"X-After", b"2")]
    announced = (got.headers.get(b"trailer") or b"").lower().replace(b" ", b"").split(b",")
    assert set(announced) == {b"x-before", b"x-after"}


def test_t3_request_trailers_are_relayed_and_no_headers(client: RawClient, upstream: ScriptedUpstream) -> None:
    client.ask(upload(b"Trailer: X-Sum", b"X-User: head", trailers=b"X-Sum: 1\r\nX-User: trailer\r\n"))
    got = upstream.only_request()
    assert (got.framing, got.body) == (Framing.CHUNKED, b"abc")
    assert got.headers.all(b"x-user") == [b"head"]
    assert b"x-sum" not in got.headers
    assert list(got.trailers) == [(b"X-Sum", b"1"), (b"X-User", b"trailer")]
    assert client.is_open()


def read_only(connection: UpstreamConnection) -> None:
    """Reads a request, which never ends."""
    connection.read_request()


def test_t3_request_trailers_have_a_bound(client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger) -> None:
    upstream.handler = read_only
    client.send(upload(trailers=b"X-Sum: " + b"a" * 40_000 + b"\r\n"))
    response = client.read_response()
    check_reply(response, 400, Reason.BAD_CHUNK)
    assert client.ending() == FIN
    upstream.wait_quiet()
    assert not any(got.complete for got in upstream.requests)
    ledger.expect(response, "t3", Reason.BAD_CHUNK, by="gateway")


def test_t3_response_trailers_have_a_bound(client: RawClient, upstream: ScriptedUpstream) -> None:
    """The body has been passed on by then: it breaks off."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        connection.send(b"0\r\nX-Sum: " + b"a" * 40_000 + b"\r\n\r\n")

    upstream.handler = handler
    client.send(request())
    response = client.read_head()
    if response.status == 502:  # what came together was judged together
        check_reply(client.read_body(response), 502, Reason.BAD_RESPONSE)
    else:
        with pytest.raises((EOFError, ConnectionResetError)):
            client.read_body(response)
    upstream.wait_dropped()


@pytest.mark.parametrize(
    "line", [b"X-Sum : 1", b"X-Sum", b"X Sum: 1", b": 1", b"X-Sum: a\x00b", b"X-Sum: 1\r\n folded"]
)
def test_t3_malformed_trailers(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, line: bytes
) -> None:
    upstream.handler = read_only
    client.send(upload(trailers=line + b"\r\n"))
    response = client.read_response()
    check_reply(response, 400, Reason.BAD_CHUNK)
    assert client.ending() == FIN
    ledger.expect(response, f"t3 {line!r}", Reason.BAD_CHUNK, by="gateway")


@pytest.mark.parametrize(
    ("line", "forwarded"),
    [(b"TE: trailers", [b"trailers"]), (b"TE: gzip;q=0.5, trailers", [b"trailers"]), (b"TE: gzip", []), (b"X: y", [])],
)
def test_t4_te_tells_that_trailers_are_welcome(
    client: RawClient, upstream: ScriptedUpstream, line: bytes, forwarded: list[bytes]
) -> None:
    """They are relayed, so it may be told (H4); nothing else of TE is."""
    client.ask(request(line, b"Connection: TE"))
    assert upstream.only_request().headers.all(b"te") == forwarded
