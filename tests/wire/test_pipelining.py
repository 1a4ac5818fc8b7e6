"""SCORECARD C8: pipelined requests are answered in order, also when something breaks in the middle."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import FIN, RST, RawClient, request
from tests.wire.kit.gateway import GatewayProcess
from tests.wire.kit.refusal import check_reply
from tests.wire.kit.upstream import ScriptedUpstream, UpstreamConnection

TARGETS = [b"/up/%d" % number for number in range(6)]
PIPELINE = b"".join([request(target=target) for target in TARGETS])


def echo(connection: UpstreamConnection, target: bytes) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))


def failing_at(target: bytes, fail: Callable[[UpstreamConnection], None]) -> Callable[[UpstreamConnection], None]:
    """A handler that echoes the target, and does something else for one."""

    def handler(connection: UpstreamConnection) -> None:
        got = connection.read_request()
        if got.target == target:
            fail(connection)
        else:
            echo(connection, got.target)

    return handler


def test_c8_in_order_with_answers_of_all_kinds(client: RawClient, upstream: ScriptedUpstream) -> None:
    """Own answers, the upstream's, with bodies and without: a thousand in one go, cut anywhere."""
    upstream.handler = failing_at(b"", lambda connection: None)
    chosen = random.Random(8)
    expected: list[bytes] = []
    raw = b""
    for number in range(1000):
        target = b"/up/%d" % number
        kind = chosen.randrange(4)
        if kind == 0:
            raw += request(target=b"/nowhere/%d" % number)
            expected.append(b"")
            continue
        expected.append(target)
        if kind == 1:
            raw += request(target=target)
        elif kind == 2:
            raw += request(
                b"Content-Length: 40",
                method=b"POST",
                target=target,
                body=b"GET /up/x HTTP/1.1\r\nHost: a.test\r\n\r\n1234",
            )
        else:
            raw += request(b"Transfer-Encoding: chunked", method=b"POST", target=target, body=b"3\r\nGET\r\n0\r\n\r\n")
    cuts = [0, *sorted(chosen.sample(range(1, len(raw)), 40)), len(raw)]
    sender = threading.Thread(target=lambda: client.send(*[raw[a:b] for a, b in itertools.pairwise(cuts)]))
    sender.start()
    answers = [client.read_response() for _ in expected]
    sender.join()
    assert [answer.body if answer.status == 200 else b"" for answer in answers] == expected
    assert client.has_nothing()


def test_c8_a_502_in_the_middle_does_not_stop_the_others(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = failing_at(TARGETS[2], lambda connection: connection.send(b"nonsense\r\n\r\n"))
    client.send(PIPELINE)
    answers = [client.read_response() for _ in TARGETS]
    assert [answer.status for answer in answers] == [200, 200, 502, 200, 200, 200]
    check_reply(answers[2], 502, Reason.BAD_RESPONSE)
    assert [answer.body for answer in answers if answer.status == 200] == TARGETS[:2] + TARGETS[3:]


@pytest.mark.parametrize(
    "begun",
    [b"Content-Length: 100\r\n\r\nabcde", b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"],
    ids=["length", "chunked"],
)
def test_c8_a_broken_answer_in_the_middle_ends_the_connection(
    client: RawClient, upstream: ScriptedUpstream, begun: bytes
) -> None:
    """The client cannot know where it would have ended: what follows would be taken for a part of it."""

    def break_off(connection: UpstreamConnection) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\n" + begun)
        connection.close()

    upstream.handler = failing_at(TARGETS[2], break_off)
    client.send(PIPELINE)
    assert [client.read_response().body for _ in TARGETS[:2]] == TARGETS[:2]
    broken = client.read_head()
    assert broken.status == 200
    with pytest.raises((EOFError, ConnectionResetError)):
        client.read_body(broken)
    upstream.wait_quiet()
    assert [each.target for each in upstream.requests] == TARGETS[:3]


def test_c8_a_client_that_leaves_in_the_middle(
    client: RawClient, gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    """The upstream is told, and what was still to come never reaches it."""
    ended: list[str] = []
    upstream.handler = failing_at(TARGETS[2], lambda connection: ended.append(connection.wait_ended()))
    client.send(PIPELINE)
    assert [client.read_response().body for _ in TARGETS[:2]] == TARGETS[:2]
    upstream.wait_for_requests(3)
    client.reset()
    upstream.wait_for(lambda: ended, "the end of the request that is not waited for")
    with gateway.connect() as other:
        assert other.ask(request(target=b"/up/fence")).status == 200
    assert [each.target for each in upstream.requests] == [*TARGETS[:3], b"/up/fence"]


@pytest.mark.parametrize(
    "middle",
    [b"GET /up/x HTTP/1.1\r\n\r\n", b"\x00", request(b"Content-Length: 1", b"Transfer-Encoding: chunked")],
    ids=["no host", "no request", "ambiguous"],
)
def test_c8_a_malformed_request_in_the_middle_is_the_last(
    client: RawClient, upstream: ScriptedUpstream, middle: bytes
) -> None:
    """Those before it are answered first; where the next one begins, nobody knows."""
    gate = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        got = connection.read_request()
        connection.wait(gate)
        echo(connection, got.target)

    upstream.handler = handler
    client.send(request(target=TARGETS[0]) + request(target=TARGETS[1]) + middle + PIPELINE)
    upstream.wait_for_requests(1)
    assert client.has_nothing()
    gate.set()
    assert [client.read_response().body for _ in TARGETS[:2]] == TARGETS[:2]
    assert client.read_response().status == 400
    assert client.ending() == FIN
    upstream.wait_quiet()
    assert [each.target for each in upstream.requests] == TARGETS[:2]


def test_c8_close_in_the_middle_is_the_last(client: RawClient, upstream: ScriptedUpstream) -> None:
    """RFC 9112 section 9.6: nothing after a request that says close is looked at."""
    client.send(request(target=TARGETS[0]) + request(b"Connection: close", target=TARGETS[1]) + PIPELINE)
    assert [client.read_response().status for _ in range(2)] == [200, 200]
    rest, ending = client.read_until_closed()
    assert (rest, ending in (FIN, RST)) == (b"", True)
    upstream.wait_quiet()
    assert [each.target for each in upstream.requests] == TARGETS[:2]


def test_c8_a_flood_of_pipelined_requests_is_read_no_further(client: RawClient, upstream: ScriptedUpstream) -> None:
    """While one is answered, what may wait behind it is bounded: the client's sends come to a halt."""
    gate = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        got = connection.read_request()
        connection.wait(gate)
        echo(connection, got.target)

    upstream.handler = handler
    one = request(b"X-Pad: " + b"a" * 1000)
    client.socket.settimeout(0.3)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 64 << 20:
            sent += client.socket.send(one * 64)
    assert sent < 64 << 20
    # Nothing more is read, and the client's end is noticed all the same.
    client.reset()
    cut = upstream.connection_of(upstream.requests[0]).is_cut(within=1.0)
    gate.set()
    assert cut
    assert len(upstream.requests) == 1
