"""CORRECTNESS B2 and B3: answers that come while the request body is still on its way."""

from __future__ import annotations

import pytest

from gwproxy.errors import Reason
from tests.wire.conftest import Connect
from tests.wire.kit.bulk import digest, framing, pieces, send_body
from tests.wire.kit.client import FIN, RawClient, request
from tests.wire.kit.messages import Response
from tests.wire.kit.refusal import AccessLedger, check_reply
from tests.wire.kit.upstream import OK, Handler, ScriptedUpstream, UpstreamConnection

MIB = 1 << 20
SIZE = 2 * MIB
BOTH = pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])


def upload(*lines: bytes, target: bytes = b"/up/x") -> bytes:
    return request(*lines, method=b"POST", target=target)


def early(answer: bytes) -> Handler:
    """Answers when it has read the head; whether the body comes to its end is seen behind that."""

    def handler(connection: UpstreamConnection) -> None:
        head = connection.read_head()
        connection.send(answer)
        connection.read_body(head)

    return handler


def ends_as_announced(client: RawClient, response: Response) -> None:
    """The gateway may have read the whole upload before the answer: then the connection stays."""
    if b"connection" in response.headers:
        assert client.ending() == FIN
    else:
        assert client.ask(request(target=b"/none/x")).status == 404


@BOTH
@pytest.mark.parametrize("status", [413, 401, 200])
def test_b2_an_early_answer_reaches_the_client_in_peace(
    client: RawClient, upstream: ScriptedUpstream, chunked: bool, status: int
) -> None:
    """The answer is whole before the upload is; the rest of the upload is taken and dropped, and the end is a FIN."""
    upstream.handler = early(b"HTTP/1.1 %d Early\r\nContent-Length: 5\r\n\r\nearly" % status)
    client.send(upload(framing(SIZE, chunked=chunked)))
    response = client.read_response()
    assert (response.status, response.body) == (status, b"early")
    assert response.headers.get(b"connection") == b"close"
    send_body(client.socket.sendall, SIZE, chunked=chunked)
    assert client.ending() == FIN
    upstream.wait_dropped()
    [got] = upstream.requests
    assert not got.complete


@BOTH
def test_b2_a_client_may_send_all_before_it_reads(client: RawClient, upstream: ScriptedUpstream, chunked: bool) -> None:
    """As many libraries do. The answer is larger than the buffers on its way."""
    size = 3 * MIB
    upstream.handler = early(b"HTTP/1.1 200 Early\r\nContent-Length: %d\r\n\r\n" % size + b"".join(pieces(size)))
    client.send(upload(framing(SIZE, chunked=chunked)))
    send_body(client.socket.sendall, SIZE, chunked=chunked)
    response = client.read_response()
    assert digest([response.body]) == digest(pieces(size))
    ends_as_announced(client, response)


def test_b2_an_upload_without_an_end_is_not_drained_for_ever(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = early(OK)
    size = 64 * MIB
    client.send(upload(b"Content-Length: %d" % size))
    assert client.read_response().status == 200
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        send_body(client.socket.sendall, size, chunked=False)


@BOTH
def test_b2_an_upstream_that_answers_and_cuts(connect: Connect, upstream: ScriptedUpstream, chunked: bool) -> None:
    """Closed with bytes unread, its kernel sends a reset behind the answer. The answer is there all the same."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_head()
        connection.read_some()
        connection.send(b"HTTP/1.1 413 Early\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly")
        connection.close()

    upstream.handler = handler
    for _ in range(10):
        client = connect()
        client.send(upload(framing(SIZE, chunked=chunked)))
        send_body(client.socket.sendall, SIZE, chunked=chunked)
        response = client.read_response()
        assert (response.status, response.body) == (413, b"early")
        ends_as_announced(client, response)


def test_b2_an_answer_that_ends_after_the_upload_keeps_the_connections(
    client: RawClient, upstream: ScriptedUpstream
) -> None:
    """Begun early, but both bodies came to their ends: the upstream's connection is as good as any."""

    def handler(connection: UpstreamConnection) -> None:
        head = connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        connection.read_body(head)
        connection.send(b"k")

    upstream.handler = handler
    client.send(upload(b"Content-Length: 5"))
    response = client.read_head()
    client.send(b"abcde")
    assert client.read_body(response).body == b"ok"
    assert client.ending() == FIN  # it was announced with the head, when the upload was not whole yet
    upstream.wait_quiet()
    [connection] = [upstream.connection_of(got) for got in upstream.requests]
    assert connection.open
    assert not connection.ended


OWN: list[tuple[str, bytes, int, Reason]] = [
    ("no_route", b"/none/x", 404, Reason.NO_ROUTE),
    ("method", b"/get-only/x", 405, Reason.METHOD),
    ("refused", b"/refusing/x", 502, Reason.CONNECT_FAILED),
]


@BOTH
@pytest.mark.parametrize(("target", "status", "reason"), [row[1:] for row in OWN], ids=[row[0] for row in OWN])
def test_b3_replies_of_the_gateway_behave_the_same(
    client: RawClient, ledger: AccessLedger, chunked: bool, target: bytes, status: int, reason: Reason
) -> None:
    client.send(upload(framing(SIZE, chunked=chunked), target=target))
    if status == 502:
        client.send(b"1\r\na\r\n" if chunked else b"")
    response = client.read_response()
    check_reply(response, status, reason)
    assert response.headers.get(b"connection") == b"close"
    send_body(client.socket.sendall, SIZE, chunked=chunked)
    assert client.ending() == FIN
    ledger.expect(response, f"b3 {target!r}", reason, by="gateway")


def test_b3_too_large(client: RawClient, ledger: AccessLedger) -> None:
    client.send(upload(b"Content-Length: %d" % SIZE, target=b"/small/x"))
    response = client.read_response()
    check_reply(response, 413, Reason.BODY_TOO_LARGE)
    assert response.headers.get(b"connection") == b"close"
    send_body(client.socket.sendall, SIZE, chunked=False)
    assert client.ending() == FIN
    ledger.expect(response, "b3 413", Reason.BODY_TOO_LARGE, by="gateway")


@pytest.mark.parametrize(
    "body", [(b"Content-Length: 3", b"abc"), (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n")]
)
def test_b3_a_body_that_is_there_already_costs_no_connection(client: RawClient, body: tuple[bytes, bytes]) -> None:
    line, data = body
    response = client.ask(upload(line, target=b"/none/x") + data)
    check_reply(response, 404, Reason.NO_ROUTE)
    assert b"connection" not in response.headers
    assert client.ask(request()).status == 200


def test_b3_a_body_of_which_a_part_is_there(client: RawClient) -> None:
    """The part that is missing is not taken for the next request."""
    client.send(upload(b"Content-Length: 100", target=b"/none/x") + b"GET /up/smuggled ")
    check_reply(client.read_response(), 404, Reason.NO_ROUTE)
    client.send(b"HTTP/1.1\r\nHost: a.test\r\n\r\n")
    client.half_close()
    assert client.ending() == FIN
