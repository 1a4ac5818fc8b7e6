"""SCORECARD A2, A3, A6, A7: what is refused is answered and closed at once, and tells nothing about the inside."""

from __future__ import annotations

import re

import pytest

from gwproxy.errors import Reason
from tests.wire.conftest import Connect
from tests.wire.kit.client import FIN, RawClient, request
from tests.wire.kit.refusal import AccessLedger, Refusals, check_reply
from tests.wire.kit.upstream import ScriptedUpstream

HOPELESS = [
    b"GET /up/x HTTP/1.1\n",
    b"GET /up/x HTTP/1.1\nHost: a.test\n\n",
    b"GET /up/x HTTP/1.1\r\nHost: a.test\n",
    b"GET /up/x HTTP/1.1\r\nHost: a.test\n\n",
    b"GET /up/x HTTP/1.1\rHost",
    b"GET /up/x HTTP/1.1\r\n Host",
    b"GET /up/x HTTP/1.1\r\nHost: a.test\r\n folded",
    b"GET /up/x HTTP/1.1\r\nHost : a",
    b"GET /up/x HTTP/1.1\r\nX Y: a",
    b"GET /up/x HTTP/1.1\r\nX: \x00",
    b"GET /up/x HTTP/1.1\r\nHost: a.test\r\n\rX",
    b"GET /up/x HTTP/1.1x",
    b"GET  /up/x",
    b"GET /up/x \r\n",
    b"/up/x HTTP/1.1\r\n",
    b"\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"{}",
    b"\r\n\r\nGET\x00",
]


@pytest.mark.parametrize("raw", HOPELESS)
def test_a2_what_can_no_longer_become_a_request_is_answered_at_once(refused: Refusals, raw: bytes) -> None:
    """The head does not end, and the client neither: only the gateway can."""
    refused(raw, status=400, reason=Reason.BAD_REQUEST)


@pytest.mark.parametrize("raw", HOPELESS)
def test_a2_also_byte_by_byte(connect: Connect, upstream: ScriptedUpstream, ledger: AccessLedger, raw: bytes) -> None:
    client = connect()
    for byte in raw[:-1]:
        try:
            client.send(bytes([byte]))
        except (BrokenPipeError, ConnectionResetError):
            break  # refused before the last byte
    else:
        client.send(raw[-1:])
    response = client.read_response()
    check_reply(response, 400, Reason.BAD_REQUEST)
    assert client.ending() == FIN
    ledger.expect(response, f"a2 {raw!r}", Reason.BAD_REQUEST, by="gateway")
    assert not upstream.requests


# Names that mean something to the gateway or to the upstream's framework, with `_` for `-`.
TWINS = [
    b"Content_Length",
    b"Transfer_Encoding",
    b"X_Forwarded_For",
    b"X_Forwarded_Proto",
    b"x_forwarded-host",
    b"X_Real_IP",
    b"X_Request_ID",
    b"HTTP2_Settings",
    b"Proxy_Authorization",
    b"Proxy_Connection",
    b"X_Original_URL",
]


@pytest.mark.parametrize("port", ["PORT", "PORT_KEEP"])
def test_a3_no_underscored_twin_of_what_the_gateway_vouches_for(
    connect: Connect, upstream: ScriptedUpstream, port: str
) -> None:
    assert connect(port).ask(request(*[name + b": 6" for name in TWINS])).status == 200
    headers = upstream.only_request().headers
    twins = {name.lower() for name in TWINS}
    assert not [name for name, _ in headers if name.lower() in twins]
    assert b"6" not in [value for _, value in headers]


@pytest.mark.parametrize("character", [*b'"(),/:;<=>?@[]{}\\\x7f\x80\xff\x00'])
def test_a3_names_of_other_characters(refused: Refusals, character: int) -> None:
    line = b"X%cForwarded: 1" % character
    if character == ord(":"):
        line = b":X-Forwarded: 1"
    refused(request(line), status=400, reason=Reason.BAD_REQUEST)


def test_a6_a_large_head_is_answered_though_all_of_it_is_sent(refused: Refusals) -> None:
    """A megabyte goes out before the answer is read: were it cut, the answer would be lost."""
    line = b"X-Large: " + b"a" * (1 << 20)
    refused(request(line), status=431, reason=Reason.HEAD_TOO_LARGE)


def test_a6_a_long_target_is_answered_though_all_of_it_is_sent(refused: Refusals) -> None:
    refused(request(target=b"/up/" + b"a" * (1 << 20)), status=414, reason=Reason.TARGET_TOO_LONG)


def test_a6_a_head_that_never_ends(refused: Refusals) -> None:
    head = b"GET /up/x HTTP/1.1\r\n"
    refused(head, *[b"X-%d: %b\r\n" % (n, b"a" * 1000) for n in range(40)], status=431, reason=Reason.HEAD_TOO_LARGE)


def test_a6_a_client_that_goes_on_sending_is_not_reset(connect: Connect, upstream: ScriptedUpstream) -> None:
    """Most clients read only when they have sent all: a reset would take the answer away from them (B3)."""
    client = connect()
    client.send(b"GET /up/x HTTP/1.1\r\nX: " + b"a" * 40_000)
    check_reply(client.read_response(), 431, Reason.HEAD_TOO_LARGE)
    for _ in range(50):
        client.send(b"a" * 1000)
    client.half_close()
    assert client.ending() == FIN


def test_a6_too_many_fields(refused: Refusals) -> None:
    refused(request(*[b"X: 1"] * 100), status=431, reason=Reason.HEAD_TOO_LARGE)


@pytest.mark.parametrize("length", [1025, 10**12])
def test_a6_a_large_body_is_refused_before_it_is_read(refused: Refusals, length: int) -> None:
    line = b"Content-Length: %d" % length
    refused(
        request(line, method=b"POST", target=b"/small/x"),
        status=413,
        reason=Reason.BODY_TOO_LARGE,
    )


def test_a6_a_large_body_is_answered_though_all_of_it_is_sent(refused: Refusals) -> None:
    raw = request(b"Content-Length: 1000000", method=b"POST", target=b"/small/x", body=b"a" * 1_000_000)
    refused(raw, status=413, reason=Reason.BODY_TOO_LARGE)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00",
        request(host=None),
        request(target=b"/nowhere"),
        request(method=b"TRACE"),
        request(b"Expect: x"),
        request(target=b"/" + b"a" * 9000),
        request(target=b"/refusing/x"),
        request(b"Upgrade: websocket", b"Connection: upgrade"),
        request(b"Accept: text/html", target=b"/refusing/x"),
        request(b"Accept: text/html, Traceback;q=0.1", target=b"/nowhere<script>"),
    ],
)
def test_a6_no_reply_tells_about_the_inside(connect: Connect, raw: bytes) -> None:
    client = connect()
    response = client.ask(raw)
    assert response.status >= 400
    told = client.received
    assert b"server" not in response.headers
    assert not re.search(rb"127\.0\.0\.1|Traceback|[Tt]wisted|[Pp]ython|llhttp|gwproxy/|\.py|<script|File ", told), told


UPGRADES = [
    [b"Upgrade: websocket", b"Connection: Upgrade"],
    [b"upgrade: WebSocket", b"connection: keep-alive, upgrade"],
    [b"Upgrade: h2c, websocket", b"Connection: close", b"Connection: UPGRADE"],
    [b"Upgrade: h2c", b"Upgrade: websocket", b"Connection: upgrade"],
]


@pytest.mark.parametrize("lines", UPGRADES)
def test_a7_a_websocket_where_none_is_taken(refused: Refusals, lines: list[bytes]) -> None:
    """What follows is no HTTP, or pretends to be: the connection ends, whatever it says."""
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    after = b"GET /up/smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"
    raw = request(*lines, key, b"Sec-WebSocket-Version: 13", body=after)
    refused(raw, status=403, reason=Reason.UPGRADE)


@pytest.mark.parametrize("connection", [b"Upgrade, HTTP2-Settings", b"Upgrade", b"keep-alive"])
@pytest.mark.parametrize("protocol", [b"h2c", b"H2C", b"TLS/1.2", b"foo", b"h2c, foo"])
def test_a7_other_upgrades_are_stripped(
    client: RawClient, upstream: ScriptedUpstream, protocol: bytes, connection: bytes
) -> None:
    """The request is an ordinary one then (RFC 9110 section 7.8), and what comes after it is HTTP/1 or refused."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    lines = [b"Upgrade: " + protocol, b"HTTP2-Settings: AAMAAABkAAQAAP__", b"Connection: " + connection]
    assert client.ask(request(*lines) + preface).status == 200
    refusal = client.read_response()
    assert refusal.status in (400, 505)
    assert client.ending() == FIN
    got = upstream.only_request()
    assert not {b"upgrade", b"http2-settings", b"connection"} & {name.lower() for name, _ in got.headers}
    assert b"PRI" not in upstream.connection_of(got).received


def test_a7_http2_with_prior_knowledge(refused: Refusals) -> None:
    refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status=400, reason=Reason.BAD_REQUEST)
