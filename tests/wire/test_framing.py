"""CORRECTNESS F: where messages end, and what is no message. One test an id at least, named after it.

F15 is about HTTP/2 and comes with it.
"""

from __future__ import annotations

import json
import threading

import pytest

from gwproxy.errors import Reason
from tests.wire.conftest import Connect
from tests.wire.kit.client import FIN, RawClient, request
from tests.wire.kit.messages import Framing
from tests.wire.kit.refusal import AccessLedger, Refusals, check_reply, never_whole
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection, respond

CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = b"GET /up/smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 5", CHUNKED],
        [CHUNKED, b"Content-Length: 5"],
        [b"Content-Length: 0", CHUNKED],
        [b"content-length: 5", b"TRANSFER-ENCODING: chunked"],
    ],
)
def test_f1_length_and_transfer_encoding(refused: Refusals, lines: list[bytes]) -> None:
    raw = request(*lines, method=b"POST", body=b"0\r\n\r\n" + SMUGGLED)
    refused(raw, status=400, reason=Reason.BAD_FRAMING)


@pytest.mark.parametrize(
    "value", [b"5, 5", b"+5", b"-0", b"-5", b"0x5", b"5 5", b"", b"5;", b"5.0", b"five", b"9" * 20, b"9" * 5000]
)
def test_f2_content_length_that_is_no_number(refused: Refusals, value: bytes) -> None:
    raw = request(b"Content-Length: " + value, method=b"POST", body=b"12345" + SMUGGLED)
    refused(raw, status=400, reason=Reason.BAD_FRAMING)


@pytest.mark.parametrize("second", [b"5", b"6", b"0"])
def test_f2_two_content_lengths(refused: Refusals, second: bytes) -> None:
    raw = request(b"Content-Length: 5", b"Content-Length: " + second, method=b"POST", body=b"12345" + SMUGGLED)
    refused(raw, status=400, reason=Reason.BAD_FRAMING)


@pytest.mark.parametrize("coding", [b"identity", b"gzip", b"gzip, chunked", b"xchunked", b"chunkedx", b"x"])
def test_f3_other_transfer_codings(refused: Refusals, coding: bytes) -> None:
    raw = request(b"Transfer-Encoding: " + coding, method=b"POST", body=b"0\r\n\r\n" + SMUGGLED)
    refused(raw, status=501, reason=Reason.TRANSFER_CODING)


@pytest.mark.parametrize(
    "lines",
    [
        [b"Transfer-Encoding: chunked\x0b"],
        [b"Transfer-Encoding: \x0bchunked"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b"Transfer-Encoding: chunked, identity"],
        [b'Transfer-Encoding: "chunked"'],
        [b"Transfer-Encoding:"],
        [CHUNKED, CHUNKED],
        [CHUNKED, b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: identity", CHUNKED],
    ],
)
def test_f3_chunked_in_disguise(client: RawClient, refused: Refusals, ledger: AccessLedger, lines: list[bytes]) -> None:
    """Whether it is an unknown coding or a mistake is left open; that it is refused is not."""
    response = client.ask(request(*lines, method=b"POST", body=b"0\r\n\r\n" + SMUGGLED))
    reason = Reason(json.loads(response.body)["reason"])
    allowed = {Reason.BAD_FRAMING: 400, Reason.BAD_REQUEST: 400, Reason.TRANSFER_CODING: 501}
    assert response.status == allowed[reason]
    assert client.ending() == FIN
    ledger.expect(response, f"f3 {lines}", reason, by="gateway")
    refused.nothing_reached()


def test_f4_transfer_encoding_in_http_1_0(refused: Refusals) -> None:
    raw = request(CHUNKED, method=b"POST", version=b"1.0", body=b"0\r\n\r\n" + SMUGGLED)
    refused(raw, status=400, reason=Reason.BAD_FRAMING)


BAD_NAMES = [b"", b"a..b", b".a", b"a b", b"user@a.test", b"a.test/x", b"a.test,b.test", b"a\\b", b"a?b", b"a#b"]
BAD_ADDRESSES = [b"a.test:x", b"a.test:99999", b"a.test:80:80", b"[::1", b"[zz]"]


@pytest.mark.parametrize("host", [*BAD_NAMES, *BAD_ADDRESSES])
def test_f5_host_that_is_none(refused: Refusals, host: bytes) -> None:
    refused(request(host=host), status=400, reason=Reason.BAD_HOST)


@pytest.mark.parametrize(
    "lines", [[], [b"Host: a.test", b"Host: a.test"], [b"Host: a.test", b"Host: b.test"], [b"Host: a.test", b"hOsT:"]]
)
def test_f5_not_one_host(refused: Refusals, lines: list[bytes]) -> None:
    refused(request(*lines, host=None), status=400, reason=Reason.BAD_HOST)


def test_f5_http_1_0_needs_no_host(client: RawClient) -> None:
    assert client.ask(request(host=None, version=b"1.0")).status == 200


@pytest.mark.parametrize(
    "line",
    [
        b"X-Name : 1",
        b"X-Name\t: 1",
        b" X-Name: 1",
        b"X Name: 1",
        b"X-Na\x00me: 1",
        b"X-Na\x01me: 1",
        b"X-Na\x7fme: 1",
        b"X-N\xe4me: 1",
        b"X-Name",
        b": 1",
        b"X-Name: a\x00b",
        b"X-Name: a\x01b",
        b"X-Name: a\x7fb",
        b"X-Name: a\rb",
        b"X-Name: a\rX-Other: b",
        b"X-Name: a\nX-Other: b",
        b"X-Name: a\r\n folded",
        b"X-Name: a\r\n\tfolded",
        b"X-Name:\r\n folded",
    ],
)
def test_f6_field_lines_that_are_none(refused: Refusals, line: bytes) -> None:
    refused(request(line, b"X-Last: 1"), status=400, reason=Reason.BAD_REQUEST)


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /up/x HTTP/1.1\nHost: a.test\n\n",
        b"GET /up/x HTTP/1.1\r\nHost: a.test\n\r\n",
        b"GET /up/x HTTP/1.1\nHost: a.test\r\n\r\n",
        b"GET /up/x HTTP/1.1\rHost: a.test\r\r",
        b"GET  /up/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"GET\t/up/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b" GET /up/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"GET /up/x HTTP/1.1 \r\nHost: a.test\r\n\r\n",
        b"GET /up/x\r\nHost: a.test\r\n\r\n",
        b"GET /up/x http/1.1\r\nHost: a.test\r\n\r\n",
        b"G\x00T /up/x HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_f6_lines_that_are_no_request(refused: Refusals, raw: bytes) -> None:
    refused(raw, status=400, reason=Reason.BAD_REQUEST)


def test_f7_underscores_are_dropped(client: RawClient, upstream: ScriptedUpstream) -> None:
    lines = [b"X_Forwarded_For: 6.6.6.6", b"x_user: root", b"X-User: me", b"Content_Length: 3"]
    assert client.ask(request(*lines)).status == 200
    headers = upstream.only_request().headers
    assert headers.get(b"x-user") == b"me"
    assert not [name for name, _ in headers if b"_" in name]
    assert b"6.6.6.6" not in b"".join(value for _, value in headers)


def test_f7_underscores_are_refused(refused: Refusals) -> None:
    refused(request(b"x_user: root"), status=400, reason=Reason.BAD_REQUEST, port="PORT_REJECT")


def test_f7_underscores_are_kept(connect: Connect, upstream: ScriptedUpstream) -> None:
    client = connect("PORT_KEEP")
    assert client.ask(request(b"x_user: me", b"X_Forwarded_For: 6.6.6.6")).status == 200
    headers = upstream.only_request().headers
    assert headers.get(b"x_user") == b"me"
    # not even kept may it stand beside the one that the gateway vouches for
    assert b"x_forwarded_for" not in headers


BAD_CHUNKS = [
    b"0x5\r\nabcde\r\n0\r\n\r\n",
    b"5;\nabcde\r\n0\r\n\r\n",
    b"5\nabcde\r\n0\r\n\r\n",
    b"5\r\nabcde0\r\n\r\n",
    b"5\r\nabcde\n0\r\n\r\n",
    b"5\r\nabcdef\r\n0\r\n\r\n",
    b" 5\r\nabcde\r\n0\r\n\r\n",
    b"+5\r\nabcde\r\n0\r\n\r\n",
    b"-5\r\nabcde\r\n0\r\n\r\n",
    b"\r\nabcde\r\n0\r\n\r\n",
    b"g\r\nabcde\r\n0\r\n\r\n",
    b"8000000000000001\r\nabcde\r\n0\r\n\r\n",
    b"10000000000000005\r\nabcde\r\n0\r\n\r\n",
    b"5\r\nabcde\r\n0\r\nX : 1\r\n\r\n",
    b"5\r\nabcde\r\n0\r\nX: 1\n\r\n",
]


@pytest.mark.parametrize("body", BAD_CHUNKS)
@pytest.mark.parametrize("split", [False, True], ids=["with_head", "after_head"])
def test_f8_bad_chunks_of_a_request(
    connect: Connect, upstream: ScriptedUpstream, ledger: AccessLedger, body: bytes, split: bool
) -> None:
    """The head may be upstream already; the body must never look whole there."""
    client = connect()
    head = request(CHUNKED, method=b"POST")
    if split:
        client.send(head)
        upstream.wait_for_requests(1, complete=False)
        client.send(body + SMUGGLED)
    else:
        client.send(head + body + SMUGGLED)
    response = client.read_response()
    check_reply(response, 400, Reason.BAD_CHUNK)
    assert client.ending() == FIN
    upstream.wait_dropped()
    assert [each.complete for each in upstream.requests] in ([], [False])
    ledger.expect(response, f"f8 {body!r} {split}", Reason.BAD_CHUNK)


@pytest.mark.parametrize("body", BAD_CHUNKS)
def test_f8_bad_chunks_of_a_response(client: RawClient, upstream: ScriptedUpstream, body: bytes) -> None:
    upstream.handler = respond(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body, close=False)
    client.send(request())
    reply = never_whole(client)
    if reply is not None:
        check_reply(reply, 502, Reason.BAD_RESPONSE)
    upstream.wait_dropped()


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_f8_data_after_a_response(client: RawClient, upstream: ScriptedUpstream, response: bytes) -> None:
    """What was announced is delivered; what follows it is nobody's, and the connection is not used again."""
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned"
    upstream.handler = respond(response + poison)
    assert client.ask(request()).body in (b"ok", b"")
    upstream.wait_dropped()
    upstream.handler = respond(OK)
    assert client.ask(request()).body == b"ok"
    first, second = upstream.wait_for_requests(2)
    assert first.connection != second.connection


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2",
        b"Content-Length: 2\r\nContent-Length: 3",
        b"Content-Length: 2, 3",
        b"Content-Length: +2",
        b"Content-Length: 2x",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ],
)
def test_f9_ambiguous_responses(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, lines: bytes
) -> None:
    upstream.handler = respond(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    response = client.ask(request())
    check_reply(response, 502, Reason.BAD_RESPONSE)
    upstream.wait_dropped()
    assert client.is_open()
    ledger.expect(response, f"f9 {lines!r}", Reason.BAD_RESPONSE, by="gateway", upstream="main")


def test_f10_pipelined_requests_are_answered_in_order_one_at_a_time(
    client: RawClient, upstream: ScriptedUpstream
) -> None:
    gate = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        got = connection.read_request()
        if got.target == b"/up/1":
            connection.wait(gate)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(got.target), got.target))

    upstream.handler = handler
    targets = [b"/up/1", b"/up/2", b"/up/3"]
    client.send(b"".join(request(target=target) for target in targets))
    upstream.wait_for_requests(1)
    assert client.has_nothing()
    assert len(upstream.requests) == 1
    gate.set()
    assert [client.read_response().body for _ in targets] == targets
    assert [each.target for each in upstream.requests] == targets


@pytest.mark.parametrize(
    ("line", "body"),
    [
        (b"Content-Length: 5", b"abcde"),
        (CHUNKED, b"5\r\nabcde\r\n0\r\n\r\n"),
        (CHUNKED, b"5\r\nabcde\r\n0\r\nT: 1\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("cut", [None, -1, -20], ids=["at_once", "cut_late", "cut_early"])
def test_f10_the_second_request_is_not_part_of_the_first_body(
    client: RawClient, upstream: ScriptedUpstream, line: bytes, body: bytes, cut: int | None
) -> None:
    both = request(line, method=b"POST", body=body) + request(target=b"/up/second")
    client.send(both) if cut is None else client.send(both[:cut], both[cut:])
    assert [client.read_response().status for _ in range(2)] == [200, 200]
    first, second = upstream.wait_for_requests(2)
    assert (first.body, second.target, second.body) == (b"abcde", b"/up/second", b"")


@pytest.mark.parametrize("connection", [None, b"Content-Length, Transfer-Encoding", b"close, Host"])
@pytest.mark.parametrize(
    ("line", "body", "framing"),
    [
        (b"Content-Length: 5", b"abcde", Framing.LENGTH),
        (b"content-length:005", b"abcde", Framing.LENGTH),
        (CHUNKED, b"2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n", Framing.CHUNKED),
        (b"transfer-encoding: Chunked", b"5\r\nabcde\r\n0\r\n\r\n", Framing.CHUNKED),
    ],
)
def test_f11_one_framing_goes_upstream(
    client: RawClient, upstream: ScriptedUpstream, line: bytes, body: bytes, framing: Framing, connection: bytes | None
) -> None:
    """The upstream's parser takes one valid framing and nothing else."""
    lines = [line] if connection is None else [line, b"Connection: " + connection]
    assert client.ask(request(*lines, method=b"POST", body=body)).status == 200
    got = upstream.only_request()
    assert (got.framing, got.body, got.headers.get(b"host")) == (framing, b"abcde", b"a.test")
    assert b"connection" not in got.headers or got.headers.get(b"connection") == b"keep-alive"
    if framing is Framing.LENGTH:
        assert got.headers.get(b"content-length") == b"5"


@pytest.mark.parametrize(
    ("method", "target"), [(b"CONNECT", b"a.test:443"), (b"CONNECT", b"/up/x"), (b"TRACE", b"/up/x")]
)
def test_f12_connect_and_trace(refused: Refusals, method: bytes, target: bytes) -> None:
    response = refused(request(method=method, target=target), status=405, reason=Reason.METHOD, closes=False)
    # RFC 9110 section 15.5.6: what is allowed is said
    assert b"allow" in response.headers


def test_f13_absolute_form_routes_by_the_target(
    client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream
) -> None:
    assert client.ask(request(target=b"http://other.test/up/x?q", host=b"a.test")).status == 200
    got = other_upstream.only_request()
    assert (got.target, got.headers.get(b"host")) == (b"/up/x?q", b"other.test")
    upstream.wait_quiet()
    assert not upstream.requests


def test_f13_the_target_never_chooses_the_upstream(
    client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream
) -> None:
    """The address in the target is that of a server which is there, and which would answer."""
    address = b"127.0.0.1:%d" % other_upstream.port
    assert client.ask(request(target=b"http://" + address + b"/up/x")).status == 200
    got = upstream.only_request()
    assert (got.target, got.headers.get(b"host")) == (b"/up/x", address)
    other_upstream.wait_quiet()
    assert not other_upstream.requests


@pytest.mark.parametrize(
    "target",
    [b"ftp://a.test/up/x", b"http:/up/x", b"http://", b"http://u@a.test/up/x", b"http:///up/x", b"a.test/up/x"],
)
def test_f13_absolute_forms_that_are_none(refused: Refusals, target: bytes) -> None:
    refused(request(target=target), status=400, reason=Reason.BAD_TARGET)


def test_f14_options_of_the_server(client: RawClient) -> None:
    assert client.ask(request(method=b"OPTIONS", target=b"*")).status in (200, 204)
    assert client.is_open()


@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD", b"PROPFIND"])
def test_f14_the_asterisk_is_for_options(refused: Refusals, method: bytes) -> None:
    refused(request(method=method, target=b"*"), status=400, reason=Reason.BAD_TARGET, method=method)
