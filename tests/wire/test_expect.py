"""CORRECTNESS E: Expect, and the responses before the response. One test an id at least.

The gateway streams, so it passes Expect on and relays the upstream's 100; what it refuses, it refuses without a 100.
"""

from __future__ import annotations

import threading

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.messages import Request
from tests.wire.kit.refusal import AccessLedger, Refusals, check_reply
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond

EXPECT = b"Expect: 100-continue"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nX-Early: 1\r\n\r\n"


def upload(*lines: bytes, target: bytes = b"/up/x", version: bytes = b"1.1", method: bytes = b"POST") -> bytes:
    """The head of a request with five bytes to come."""
    return request(b"Content-Length: 5", *lines, target=target, version=version, method=method)


def test_e1_the_upstream_decides_and_its_100_is_relayed(client: RawClient, upstream: ScriptedUpstream) -> None:
    gate = threading.Event()
    heads: list[Request] = []

    def handler(connection: UpstreamConnection) -> None:
        head = connection.read_head()
        heads.append(head)
        connection.wait(gate)
        connection.send(CONTINUE)
        connection.read_body(head)
        connection.send(OK)

    upstream.handler = handler
    client.send(upload(EXPECT))
    [got] = upstream.wait_for_requests(1, complete=False)
    assert got.headers.get(b"expect") == b"100-continue"
    assert client.has_nothing()
    gate.set()
    interim = client.read_response()
    assert (interim.status, list(interim.headers)) == (100, [])
    client.send(b"abcde")
    # the relayed one was the only one
    assert client.read_response().status == 200
    assert upstream.only_request().body == b"abcde"


REFUSED: list[tuple[str, bytes, int, Reason]] = [
    ("no_route", request(b"Content-Length: 5", EXPECT, method=b"POST", target=b"/none/x"), 404, Reason.NO_ROUTE),
    ("method", request(b"Content-Length: 5", EXPECT, method=b"POST", target=b"/get-only/x"), 405, Reason.METHOD),
    ("size", request(b"Content-Length: 1025", EXPECT, method=b"POST", target=b"/small/x"), 413, Reason.BODY_TOO_LARGE),
    ("host", request(b"Content-Length: 5", EXPECT, method=b"POST", host=b"a b"), 400, Reason.BAD_HOST),
    ("target", request(b"Content-Length: 5", EXPECT, method=b"POST", target=b"/up/%00"), 400, Reason.BAD_TARGET),
    (
        "framing",
        request(b"Content-Length: 5", b"Content-Length: 6", EXPECT, method=b"POST"),
        400,
        Reason.BAD_FRAMING,
    ),
]


@pytest.mark.parametrize(("raw", "status", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_e1_what_is_refused_gets_no_100(refused: Refusals, raw: bytes, status: int, reason: Reason) -> None:
    """The client waits with its body, which nobody will read: the connection ends."""
    refused(raw, status=status, reason=reason)


def test_e1_a_large_body_is_refused_before_it_is_sent(refused: Refusals) -> None:
    raw = request(b"Content-Length: 1099511627776", method=b"POST", target=b"/small/x")
    refused(raw, status=413, reason=Reason.BODY_TOO_LARGE)


def test_e2_a_client_that_does_not_wait(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(OK)
    client.send(upload(EXPECT) + b"abcde")
    _, final = client.read_final()
    assert final.status == 200
    assert upstream.only_request().body == b"abcde"


def test_e2_a_client_that_does_not_wait_gets_the_100_too(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(CONTINUE, OK)
    client.send(upload(EXPECT) + b"abcde")
    interim, final = client.read_final()
    # RFC 9110 section 10.1.1: it may be left out when the body is there already
    assert [response.status for response in interim] in ([], [100])
    assert (final.status, upstream.only_request().body) == (200, b"abcde")


@pytest.mark.parametrize("status", [417, 401, 413, 200])
def test_e2_a_final_status_instead_of_the_100(client: RawClient, upstream: ScriptedUpstream, status: int) -> None:
    """The client keeps its body. Neither connection is used again: a body may still be due on both."""

    def handler(connection: UpstreamConnection) -> None:
        connection.read_head()
        connection.send(b"HTTP/1.1 %d Decided\r\nContent-Length: 2\r\n\r\nno" % status)
        connection.wait_ended()

    upstream.handler = handler
    client.send(upload(EXPECT))
    response = client.read_response()
    assert (response.status, response.body) == (status, b"no")
    upstream.wait_dropped()
    [got] = upstream.requests
    assert (got.complete, got.body) == (False, b"")


@pytest.mark.parametrize("value", [b"200-ok", b"100-continue, other", b"100-continue;x=y", b"other"])
def test_e3_other_expectations(refused: Refusals, value: bytes) -> None:
    refused(upload(b"Expect: " + value), status=417, reason=Reason.EXPECTATION)


def test_e3_case_does_not_matter(client: RawClient, upstream: ScriptedUpstream) -> None:
    client.send(upload(b"eXpect: 100-Continue") + b"abcde")
    assert client.read_final()[1].status == 200
    assert upstream.only_request().body == b"abcde"


@pytest.mark.parametrize("interim", [EARLY_HINTS, b"HTTP/1.1 102 Processing\r\n\r\n"], ids=["103", "102"])
def test_e4_interim_responses_are_relayed_as_they_come(
    client: RawClient, upstream: ScriptedUpstream, interim: bytes
) -> None:
    gate = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(interim)
        connection.wait(gate)
        connection.send(OK)

    upstream.handler = handler
    client.send(request())
    hint = client.read_response()
    assert hint.status == int(interim[9:12])
    assert hint.headers.all(b"link") == ([b"</style.css>; rel=preload"] if hint.status == 103 else [])
    assert client.has_nothing()
    gate.set()
    final = client.read_response()
    assert (final.status, final.body) == (200, b"ok")
    assert b"link" not in final.headers
    assert b"x-early" not in final.headers


def test_e4_interim_responses_are_not_for_old_clients(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(EARLY_HINTS + CONTINUE + OK)
    response = client.ask(request(version=b"1.0"))
    assert (response.status, response.body) == (200, b"ok")


def test_e4_hints_and_answer_at_once(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(EARLY_HINTS + EARLY_HINTS + OK)
    client.send(request())
    interim, final = client.read_final()
    assert ([response.status for response in interim], final.body) == ([103, 103], b"ok")


@pytest.mark.parametrize(
    "flood",
    [EARLY_HINTS * 1000, b"HTTP/1.1 103 Early Hints\r\n" + b"Link: </a>\r\n" * 100_000 + b"\r\n"],
    ids=["many", "large"],
)
def test_e4_interim_responses_are_bounded(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, flood: bytes
) -> None:
    upstream.handler = respond(flood + OK)
    client.send(request())
    interim, final = client.read_final()
    assert len(interim) < 1000
    check_reply(final, 502, Reason.BAD_RESPONSE)
    upstream.wait_dropped()
    ledger.expect(final, "e4 flood", Reason.BAD_RESPONSE, by="gateway")


@pytest.mark.parametrize("lines", [[], [b"Connection: upgrade"], [b"Upgrade: websocket"]])
def test_e5_nobody_asked_for_101(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, lines: list[bytes]
) -> None:
    """Both fields together ask for an upgrade; one alone does not (U1)."""
    upstream.handler = respond(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi"
    )
    response = client.ask(request(*lines))
    check_reply(response, 502, Reason.BAD_RESPONSE)
    upstream.wait_dropped()
    ledger.expect(response, f"e5 {lines}", Reason.BAD_RESPONSE, by="gateway")
