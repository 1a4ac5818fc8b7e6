"""CORRECTNESS H: which header fields travel end to end, and which end at the gateway. One test an id at least.

H10, how large they may be, is in test_head_limits.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gwproxy.errors import Reason
from tests.wire.conftest import Connect
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Request
from tests.wire.kit.refusal import AccessLedger, check_reply
from tests.wire.kit.upstream import ScriptedUpstream, respond

CONFIG = """
[gateway]
server_header = own
via = inner

[log]
access = access.log
error = error.log

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[upstream:main]
servers = http://127.0.0.1:@MAIN@

[filter:caller]
type = headers
request_set = X-User-Id: u-1, Authorization: Bearer ours
request_add = X-Added: once
response_set = X-Answered: yes
response_add = X-More: once

[route:main]
path = /up/
upstream = main
filters = caller
"""

# RFC 9110 section 7.6.1 and its elders; what a client may not name for the gateway is in test_forwarding.py.
HOP_BY_HOP = [
    (b"Keep-Alive", b"timeout=5"),
    (b"Proxy-Connection", b"keep-alive"),
    (b"Proxy-Authenticate", b"Basic"),
    (b"Proxy-Authorization", b"Basic eA=="),
    (b"TE", b"gzip"),
    (b"Trailer", b"X-Sum"),
    (b"Upgrade", b"tls/1.0"),
    (b"HTTP2-Settings", b"AAMAAABkAAQAAP__"),
]
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
# What the gateway adds to a request by itself.
ADDED = {
    *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-real-ip", b"forwarded"),
    *(b"via", b"x-request-id", b"traceparent"),
}


@pytest.fixture(scope="module")
def own(upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with a filter that sets fields, a Server field and a name of its own."""
    with running(CONFIG, tmp_path_factory.mktemp("headers"), {"MAIN": upstreams["MAIN"].port}) as process:
        yield process


@pytest.fixture
def own_client(own: GatewayProcess, upstream: ScriptedUpstream) -> Iterator[RawClient]:
    with own.connect() as client:
        yield client


def answer(*lines: bytes) -> bytes:
    """A response with these fields."""
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"Content-Length: 2", b"", b"ok"])


def line(name: bytes, value: bytes) -> bytes:
    return name + b": " + value


def sent_on(got: Request) -> list[tuple[bytes, bytes]]:
    """The fields of a request that are the client's own."""
    return [(name, value) for name, value in got.headers if name.lower() not in ADDED | {b"host"}]


# H1, H2: what ends here


@pytest.mark.parametrize(("name", "value"), HOP_BY_HOP)
@pytest.mark.parametrize("case", [bytes.upper, bytes.lower])
def test_h1_hop_by_hop_fields_of_a_request(
    client: RawClient, upstream: ScriptedUpstream, name: bytes, value: bytes, case: Callable[[bytes], bytes]
) -> None:
    assert client.ask(request(line(case(name), value), b"X-Kept: 1")).status == 200
    assert sent_on(upstream.only_request()) == [(b"X-Kept", b"1")]


@pytest.mark.parametrize("value", [b"close", b"keep-alive", b"Upgrade", b"TE", b""])
def test_h1_connection_of_a_request(client: RawClient, upstream: ScriptedUpstream, value: bytes) -> None:
    assert client.ask(request(line(b"Connection", value), b"X-Kept: 1")).status == 200
    assert sent_on(upstream.only_request()) == [(b"X-Kept", b"1")]


@pytest.mark.parametrize(("name", "value"), HOP_BY_HOP)
@pytest.mark.parametrize("case", [bytes.upper, bytes.lower])
def test_h1_hop_by_hop_fields_of_a_response(
    client: RawClient, upstream: ScriptedUpstream, name: bytes, value: bytes, case: Callable[[bytes], bytes]
) -> None:
    upstream.handler = respond(answer(line(case(name), value), b"X-Kept: 1"))
    response = client.ask(request())
    assert name not in response.headers
    assert response.headers.get(b"x-kept") == b"1"


def test_h1_proxy_authenticate_of_a_407(client: RawClient, upstream: ScriptedUpstream) -> None:
    """The upstream is no proxy of the client's: its demand is not passed on."""
    upstream.handler = respond(
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
    )
    response = client.ask(request())
    assert response.status == 407
    assert b"proxy-authenticate" not in response.headers


def test_h1_the_upstreams_close_is_not_the_clients(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(answer(b"Connection: close"), close=True)
    assert b"connection" not in client.ask(request()).headers
    assert client.ask(request()).status == 200
    first, second = upstream.wait_for_requests(2)
    assert first.connection != second.connection


NAMING = [
    [b"Connection: X-Secret, x-other"],
    [b"Connection: x-SECRET", b"Connection: X-Other"],
    [b"Connection: close", b"connection: x-secret,,x-other ,"],
    [b"Connection:", b"CONNECTION: \tX-Secret\t,\tX-OTHER"],
]
NAMED = [b"X-Secret: 1", b"x-other: 2", b"X-SECRET: 3", b"X-Other:"]


@pytest.mark.parametrize("naming", NAMING)
@pytest.mark.parametrize("first", [True, False])
def test_h2_fields_named_in_connection_of_a_request(
    client: RawClient, upstream: ScriptedUpstream, naming: list[bytes], first: bool
) -> None:
    lines = [*naming, *NAMED] if first else [*NAMED, *naming]
    assert client.ask(request(*lines, b"X-Kept: 1")).status == 200
    assert sent_on(upstream.only_request()) == [(b"X-Kept", b"1")]


@pytest.mark.parametrize("naming", NAMING)
def test_h2_fields_named_in_connection_of_a_response(
    client: RawClient, upstream: ScriptedUpstream, naming: list[bytes]
) -> None:
    upstream.handler = respond(answer(*NAMED, *naming, b"X-Kept: 1"), close=True)
    response = client.ask(request())
    assert (b"x-secret" in response.headers, b"x-other" in response.headers) == (False, False)
    assert response.headers.get(b"x-kept") == b"1"


def test_h2_the_body_stays_framed_whatever_connection_names(client: RawClient, upstream: ScriptedUpstream) -> None:
    client.ask(request(b"Connection: Content-Length, Host", b"Content-Length: 3", method=b"POST", body=b"abc"))
    got = upstream.only_request()
    assert (got.body, got.headers.get(b"host")) == (b"abc", b"a.test")


# H3: what the gateway sets


@pytest.mark.parametrize("name", [*sorted(ADDED), b"x-user-id", b"authorization", b"host"])
def test_h3_no_client_deletes_what_the_gateway_sets(
    own_client: RawClient, upstream: ScriptedUpstream, name: bytes
) -> None:
    raw = request(b"Connection: close, " + name.upper(), b"Authorization: Bearer theirs", b"X-User-Id: root")
    assert own_client.ask(raw).status == 200
    headers = upstream.only_request().headers
    assert headers.get(name)
    assert headers.get(b"x-user-id") == b"u-1"
    assert headers.get(b"authorization") == b"Bearer ours"


@pytest.mark.parametrize("name", [b"X-Answered", b"X-Request-ID", b"Via", b"Date", b"Server"])
def test_h3_no_upstream_deletes_what_the_gateway_sets(
    own_client: RawClient, upstream: ScriptedUpstream, name: bytes
) -> None:
    upstream.handler = respond(answer(b"Connection: keep-alive, " + name, line(name, b"theirs")))
    value = own_client.ask(request()).headers.get(name)
    assert value
    assert b"theirs" not in value


def test_h3_messages_that_repeat_on_a_connection_mean_the_same(
    own_client: RawClient, upstream: ScriptedUpstream
) -> None:
    """What the gateway made of one, filters' work too, is not in the next."""
    upstream.handler = respond(answer(b"X-Kept: 1", b"X-Secret: 2", b"Connection: x-secret", b"Via: 1.1 a"))
    raw = request(b"X-A: 1", b"X-Secret: 2", b"Connection: x-secret", b"Via: 1.1 b", b"TE: trailers")
    sent: list[dict[bytes, list[bytes]]] = []
    for lines in [raw, raw, raw, request(b"X-A: 2"), raw]:
        response = own_client.ask(lines)
        fields = [(name, value) for name, value in response.headers if name.lower() not in (b"date", b"x-request-id")]
        assert sorted(fields) == [
            *[(b"Content-Length", b"2"), (b"Server", b"gwproxy"), (b"Via", b"1.1 a, 1.1 inner")],
            *[(b"X-Answered", b"yes"), (b"X-Kept", b"1"), (b"X-More", b"once")],
        ]
        headers = upstream.requests[-1].headers
        sent.append({name: headers.all(name) for name, _ in headers if name not in (b"X-Request-ID", b"traceparent")})
    assert sent[0] == sent[1] == sent[2] == sent[4]
    assert (sent[0][b"X-Added"], sent[0][b"Via"]) == ([b"once"], [b"1.1 b, 1.1 inner"])
    assert (sent[3][b"X-A"], sent[3][b"Via"], sent[3][b"X-User-Id"]) == ([b"2"], [b"1.1 inner"], [b"u-1"])


# H4: trailers are wanted


@pytest.mark.parametrize(
    "lines",
    [
        [b"TE: trailers"],
        [b"TE: trailers", b"Connection: TE"],
        [b"te: gzip;q=0.5, Trailers", b"Connection: te, close"],
        [b"TE: deflate", b"TE: trailers"],
    ],
)
def test_h4_te_trailers_survives_alone(client: RawClient, upstream: ScriptedUpstream, lines: list[bytes]) -> None:
    assert client.ask(request(*lines)).status == 200
    headers = upstream.only_request().headers
    assert headers.get(b"te") == b"trailers"
    # RFC 9110 section 10.1.4: TE goes one hop, so Connection has to name it
    assert headers.get(b"connection") == b"TE"


# H5, H6, H11: what travels


def test_h5_repeated_fields_of_a_request_keep_their_order(client: RawClient, upstream: ScriptedUpstream) -> None:
    fields = [
        (b"X-A", b"1"),
        (b"cookie", b"a=1"),
        (b"x-a", b"2"),
        (b"Accept", b"text/html"),
        (b"Cookie", b"b=2"),
        (b"ACCEPT", b"text/plain;q=0.5"),
        (b"X-A", b"1"),
        (b"X-Empty", b""),
    ]
    assert client.ask(request(*(line(*field) for field in fields))).status == 200
    assert sent_on(upstream.only_request()) == fields


def test_h5_repeated_fields_of_a_response_keep_their_order(client: RawClient, upstream: ScriptedUpstream) -> None:
    fields = [
        (b"Set-Cookie", b"a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT"),
        (b"x-a", b"1"),
        (b"set-cookie", b"b=2"),
        (b"X-A", b"2"),
        (b"WWW-Authenticate", b"Basic"),
        (b"WWW-Authenticate", b"Bearer"),
        (b"X-Empty", b""),
    ]
    upstream.handler = respond(answer(*(line(*field) for field in fields)))
    names = {name.lower() for name, _ in fields}
    got = [field for field in client.ask(request()).headers if field[0].lower() in names]
    assert got == fields


def test_h6_nothing_is_added_for_the_client(client: RawClient, upstream: ScriptedUpstream) -> None:
    assert client.ask(request()).status == 200
    assert {name.lower() for name, _ in upstream.only_request().headers} == ADDED | {b"host"}


def test_h6_nothing_is_added_to_the_response(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(answer())
    names = {name.lower() for name, _ in client.ask(request()).headers}
    assert names == {b"content-length", b"date", b"via", b"x-request-id"}


def test_h11_blanks_around_a_value_are_no_part_of_it(connect: Connect, upstream: ScriptedUpstream) -> None:
    """RFC 9112 section 5. Looked at as it came: the kit takes them off too."""
    upstream.handler = respond(answer(b"X-B: \t 1 \t"))
    client = connect()
    raw = request(b"Host: \ta.test \t", b"X-A:\t1 \t ", b"Expect: 100-continue ", host=None)
    assert client.ask(raw).status == 200
    received = upstream.connection_of(upstream.only_request()).received
    assert b"\r\nHost: a.test\r\n" in received
    assert b"\r\nX-A: 1\r\n" in received
    assert b"\r\nX-B: 1\r\n" in client.received


OBS_TEXT = b"gr\xfc\xdfe \xc3\xa9 \x80\xff\ttab"


def test_h11_bytes_beyond_ascii_in_a_request(client: RawClient, upstream: ScriptedUpstream) -> None:
    assert client.ask(request(line(b"X-Text", OBS_TEXT), line(b"Referer", OBS_TEXT))).status == 200
    assert sent_on(upstream.only_request()) == [(b"X-Text", OBS_TEXT), (b"Referer", OBS_TEXT)]


def test_h11_bytes_beyond_ascii_in_a_response(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(answer(line(b"X-Text", OBS_TEXT), line(b"Location", OBS_TEXT)))
    headers = client.ask(request()).headers
    assert (headers.get(b"x-text"), headers.get(b"location")) == (OBS_TEXT, OBS_TEXT)


# H7, H8, H9: who answers


def test_h7_server_and_date_are_passed_on(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(answer(b"Server: app/1", line(b"Date", DATE)))
    headers = client.ask(request()).headers
    assert (headers.get(b"server"), headers.get(b"date")) == (b"app/1", DATE)


@pytest.mark.parametrize("dates", [[], [DATE, b"Mon, 07 Nov 1994 08:49:37 GMT"]])
def test_h7_there_is_one_date(client: RawClient, upstream: ScriptedUpstream, dates: list[bytes]) -> None:
    upstream.handler = respond(answer(*(line(b"Date", date) for date in dates)))
    assert (client.ask(request()).headers.get(b"date") or b"").endswith(b" GMT")


def test_h7_a_server_field_of_its_own(own_client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(answer(b"Server: app/1.2.3", b"server: more"))
    assert own_client.ask(request()).headers.get(b"server") == b"gwproxy"


@pytest.mark.parametrize(
    ("lines", "via"),
    [
        ([], b"1.1 gwproxy"),
        ([b"Via: 1.0 fred"], b"1.0 fred, 1.1 gwproxy"),
        ([b"Via: 1.0 fred", b"via: 2 p.example:80 (Proxy, 1)"], b"1.0 fred, 2 p.example:80 (Proxy, 1), 1.1 gwproxy"),
    ],
)
def test_h8_via_is_appended(client: RawClient, upstream: ScriptedUpstream, lines: list[bytes], via: bytes) -> None:
    upstream.handler = respond(answer(*lines))
    response = client.ask(request(*lines))
    assert response.headers.get(b"via") == via
    assert upstream.only_request().headers.get(b"via") == via


def test_h8_via_says_how_the_message_came(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", close=True)
    response = client.ask(request(version=b"1.0"))
    assert response.headers.get(b"via") == b"1.0 gwproxy"
    assert upstream.only_request().headers.get(b"via") == b"1.0 gwproxy"


def test_h8_the_name_is_configured(own_client: RawClient, upstream: ScriptedUpstream) -> None:
    response = own_client.ask(request(b"Via: 1.1 gwproxy, 1.1 gwproxy, 1.1 gwproxy, 1.1 gwproxy"))
    assert response.headers.get(b"via") == b"1.1 inner"
    via = upstream.only_request().headers.get(b"via") or b""
    assert via.endswith(b", 1.1 gwproxy, 1.1 inner")


@pytest.mark.parametrize(
    "lines",
    [
        [b"Via: 1.1 gwproxy, 1.1 other, 1.0 GWPROXY (again), 1.1 gwproxy"],
        [b"Via: 1.1 gwproxy", b"via: 1.1 gwproxy", b"Via: HTTP/1.1 gwproxy"],
    ],
)
def test_h8_a_circle(client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, lines: list[bytes]) -> None:
    response = client.ask(request(*lines))
    check_reply(response, 508, Reason.LOOP)
    upstream.wait_quiet()
    assert not upstream.requests
    ledger.expect(response, "h8", Reason.LOOP, by="gateway")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"X-Accel-Redirect", b"/up/secret"),
        (b"X-ACCEL-Buffering", b"no"),
        (b"x-accel-limit-rate", b"1"),
        (b"X-Accel-Expires", b"0"),
        (b"X-Sendfile", b"/etc/passwd"),
        (b"X-LIGHTTPD-send-file", b"/etc/passwd"),
    ],
)
def test_h9_control_fields_are_neither_obeyed_nor_shown(
    client: RawClient, upstream: ScriptedUpstream, name: bytes, value: bytes
) -> None:
    upstream.handler = respond(answer(line(name, value)))
    response = client.ask(request())
    assert (response.status, response.body) == (200, b"ok")
    assert name not in response.headers
    assert len(upstream.requests) == 1


@pytest.mark.xfail(reason="HTTP/2 is not in this version yet", run=False)
def test_h5_cookie_lines_of_http_2_are_joined() -> None:
    raise NotImplementedError
