"""The gateway's own replies, and what stands on every response: error bodies, X-Request-ID, traceparent."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest

from gwproxy.errors import Reason
from tests.wire.conftest import Connect
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.dead_ports import RefusingPort
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Response
from tests.wire.kit.reader import PATIENCE
from tests.wire.kit.refusal import AccessLedger
from tests.wire.kit.upstream import ScriptedUpstream, respond, silent

CONFIG = """
[gateway]
trusted_proxies = 127.0.0.2

[log]
access = access.log
error = error.log

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[listen:impatient]
endpoint = tcp:@PORT_IMPATIENT@:interface=127.0.0.1
header_timeout = 200ms

[upstream:main]
servers = http://127.0.0.1:@MAIN@

[upstream:impatient]
servers = http://127.0.0.1:@MAIN@
response_timeout = 200ms

[upstream:refusing]
servers = http://127.0.0.1:@REFUSING@

[route:main]
host = a.test, secret-host.test
path = /up/
upstream = main

[route:impatient]
path = /impatient/
upstream = impatient

[route:refusing]
path = /refusing/
upstream = refusing

[route:get-only]
path = /get-only/
methods = GET
respond = 200 hello

[route:small]
path = /small/
max_body = 1k
upstream = main

[route:redirect]
path = /redirect
redirect = 308 https://www.example.com$uri
"""

POST_TOO_LARGE = request(b"Content-Length: 5000", method=b"POST", target=b"/small/x")
# One of each kind of answer: raw request, status, reason (None: the upstream's).
ANSWERS: dict[str, tuple[bytes, int, Reason | None]] = {
    "forwarded": (request(), 200, None),
    "respond": (request(target=b"/get-only/x"), 200, Reason.RESPOND),
    "redirect": (request(target=b"/redirect"), 308, Reason.REDIRECT),
    "server_options": (request(method=b"OPTIONS", target=b"*"), 204, Reason.RESPOND),
    "no_route": (request(target=b"/secret-path?token=secret-token"), 404, Reason.NO_ROUTE),
    "no_such_method": (request(method=b"DELETE", target=b"/get-only/x"), 405, Reason.METHOD),
    "connect": (request(method=b"CONNECT", target=b"a.test:80"), 405, Reason.METHOD),
    "no_http": (b"secret-garbage\r\n\r\n", 400, Reason.BAD_REQUEST),
    "bad_host": (request(host=b"secret host"), 400, Reason.BAD_HOST),
    "bad_target": (request(target=b"/secret/%zz"), 400, Reason.BAD_TARGET),
    "too_large": (POST_TOO_LARGE, 413, Reason.BODY_TOO_LARGE),
    "refused_connection": (request(target=b"/refusing/x"), 502, Reason.CONNECT_FAILED),
    "no_answer": (request(target=b"/impatient/x"), 504, Reason.RESPONSE_TIMEOUT),
    "bad_answer": (request(target=b"/up/broken"), 502, Reason.BAD_RESPONSE),
    "slow_head": (b"GET /secret", 408, Reason.HEADER_TIMEOUT),
}
OWN = {name: row for name, row in ANSWERS.items() if row[1] >= 400}
BROWSER = b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

# Of the gateway, of its upstream, of the request: none of it is for whoever gets an error page.
INTERNAL = re.compile(
    rb"127\.0\.0|twisted|python|llhttp|traceback|\.py|errno|refused|secret|gwproxy|[0-9]\.[0-9]", re.I
)


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    refusing = RefusingPort()
    values = {"MAIN": upstreams["MAIN"].port, "REFUSING": refusing.port}
    try:
        with running(CONFIG, tmp_path_factory.mktemp("pages"), values) as process:
            yield process
    finally:
        refusing.close()


def ask(connect: Connect, upstream: ScriptedUpstream, name: str, *lines: bytes) -> Response:
    """The answer of this name, to a request with these fields too."""
    client = connect("PORT_IMPATIENT" if name == "slow_head" else "PORT")
    raw, status, _ = ANSWERS[name]
    if name == "no_answer":
        upstream.handler = silent
    elif name == "bad_answer":
        upstream.handler = respond(b"HTTP/1.1 200 OK\r\nsecret field\r\n\r\n")
    if lines and raw.endswith(b"\r\n\r\n"):
        raw = raw[:-2] + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    response = client.ask(raw)
    assert response.status == status, response
    return response


# Error bodies


@pytest.mark.parametrize("name", OWN)
def test_errors_are_problems(connect: Connect, upstream: ScriptedUpstream, ledger: AccessLedger, name: str) -> None:
    _, status, reason = OWN[name]
    response = ask(connect, upstream, name)
    assert response.headers.get(b"content-type") == b"application/problem+json"
    problem = json.loads(response.body)
    assert set(problem) == {"type", "title", "status", "reason", "request_id"}
    assert (problem["status"], problem["reason"]) == (status, reason)
    assert problem["title"] == response.phrase.decode()
    assert problem["request_id"].encode() == response.headers.get(b"x-request-id")
    ledger.expect(response, name, reason, by="gateway")


# Their heads are read no further than to what is wrong with them.
@pytest.mark.parametrize("name", sorted(set(OWN) - {"no_http", "slow_head", "connect"}))
def test_errors_are_pages_for_who_prefers_them(connect: Connect, upstream: ScriptedUpstream, name: str) -> None:
    _, status, reason = OWN[name]
    response = ask(connect, upstream, name, BROWSER)
    assert response.headers.get(b"content-type") == b"text/html; charset=utf-8"
    assert response.body.startswith(b"<!doctype html>")
    request_id = response.headers.get(b"x-request-id")
    assert request_id
    for text in (b"<h1>%d " % status, str(reason).encode(), request_id):
        assert text in response.body


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (b"text/html", True),
        (b"TEXT/HTML;charset=utf-8", True),
        (b"application/xhtml+xml", True),
        (b"application/json;q=0.5, text/html;q=0.6", True),
        (b"*/*", False),
        (b"text/*", False),
        (b"application/json", False),
        (b"application/json, text/html", False),
        (b"application/problem+json, text/html;q=0.9", False),
        (b"text/html;q=0", False),
        (b"text/html;q=nonsense", False),
        (b"", False),
        (b"text/htmlx", False),
        (b",;,=;q=", False),
    ],
)
def test_what_the_client_prefers(client: RawClient, accept: bytes, is_page: bool) -> None:
    response = client.ask(request(b"Accept: " + accept, target=b"/none"))
    kind = response.headers.get(b"content-type") or b""
    assert kind.startswith(b"text/html") == is_page
    assert kind.startswith(b"application/problem+json") != is_page


@pytest.mark.parametrize("lines", [[], [BROWSER]], ids=["problem", "page"])
@pytest.mark.parametrize("name", OWN)
def test_nothing_internal_is_in_the_body(
    connect: Connect, upstream: ScriptedUpstream, name: str, lines: list[bytes]
) -> None:
    response = ask(connect, upstream, name, *lines)
    request_id = response.headers.get(b"x-request-id") or b"-"
    assert not INTERNAL.findall(response.body.replace(request_id, b"").replace(b"1rem/1.5", b""))
    assert b"server" not in response.headers


@pytest.mark.parametrize("lines", [[], [BROWSER]], ids=["problem", "page"])
def test_an_error_for_head(client: RawClient, lines: list[bytes]) -> None:
    head = client.ask(request(*lines, method=b"HEAD", target=b"/none"), method=b"HEAD")
    got = client.ask(request(*lines, target=b"/none"))
    assert (head.status, got.status) == (404, 404)
    for name in (b"content-type", b"content-length"):
        assert head.headers.get(name) == got.headers.get(name)


@pytest.mark.parametrize("name", OWN)
def test_what_the_client_sends_is_not_repeated(connect: Connect, upstream: ScriptedUpstream, name: str) -> None:
    """Neither in the page nor in the head, where it could make a field of its own."""
    lines = [b"X-Request-ID: <script>1</script>", b"User-Agent: <script>2</script>"]
    response = ask(connect, upstream, name, BROWSER, *lines)
    assert b"<script>" not in response.body
    assert not [value for _, value in response.headers if b"<script>" in value]


# X-Request-ID


@pytest.mark.parametrize("name", ANSWERS)
def test_every_response_has_an_id(
    connect: Connect, upstream: ScriptedUpstream, ledger: AccessLedger, name: str
) -> None:
    response = ask(connect, upstream, name, b"X-Request-ID: forged")
    request_id = response.headers.get(b"x-request-id") or b""
    assert re.fullmatch(rb"[0-9a-f]{32}", request_id)
    ledger.expect(response, name, ANSWERS[name][2])


def test_the_upstream_sees_the_same_id_and_cannot_change_it(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(b"HTTP/1.1 200 OK\r\nX-Request-ID: theirs\r\nContent-Length: 0\r\n\r\n")
    responses = [client.ask(request(b"X-Request-ID: forged")) for _ in range(2)]
    ids = [response.headers.get(b"x-request-id") for response in responses]
    assert [got.headers.get(b"x-request-id") for got in upstream.requests] == ids
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"abc-123", True),
        (b"a" * 128, True),
        (b"a" * 129, False),
        (b"", False),
        (b"a b", False),
        (b"gr\xfc\xdfe", False),
    ],
)
def test_a_trusted_proxys_id_is_kept(
    gateway: GatewayProcess, upstream: ScriptedUpstream, ledger: AccessLedger, said: bytes, kept: bool
) -> None:
    source = socket.create_connection(("127.0.0.1", gateway.ports["PORT"]), PATIENCE, ("127.0.0.2", 0))
    with RawClient(source) as client:
        response = client.ask(request(b"X-Request-ID: " + said))
    assert (response.headers.get(b"x-request-id") == said) == kept
    assert upstream.only_request().headers.get(b"x-request-id") == response.headers.get(b"x-request-id")
    ledger.expect(response, f"id {said!r}", None)


# traceparent

TRACE = b"0af7651916cd43dd8448eb211c80319c"
PARENT = b"00-%b-b7ad6b7169203331-01" % TRACE


def test_a_trace_is_passed_on(client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger) -> None:
    response = client.ask(request(b"Traceparent: " + PARENT, b"tracestate: a=1", b"TraceState: b=2"))
    headers = upstream.only_request().headers
    assert (headers.get(b"traceparent"), headers.get(b"tracestate")) == (PARENT, b"a=1,b=2")
    ledger.expect(response, "trace", None, trace=TRACE.decode())


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"traceparent: "],
        [b"traceparent: 00-%b-b7ad6b7169203331" % TRACE],
        [b"traceparent: 00-%b-b7ad6b7169203331-01" % (b"0" * 32)],
        [b"traceparent: 00-%b-%b-01" % (TRACE, b"0" * 16)],
        [b"traceparent: ff-%b-b7ad6b7169203331-01" % TRACE],
        [b"traceparent: 00-%b-b7ad6b7169203331-01-more" % TRACE],
        [b"traceparent: " + PARENT.upper()],
        [b"traceparent: " + PARENT, b"traceparent: " + PARENT],
    ],
)
def test_a_trace_begins_here(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, lines: list[bytes]
) -> None:
    response = client.ask(request(*lines, b"tracestate: a=1"))
    headers = upstream.only_request().headers
    begun = re.fullmatch(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]", headers.get(b"traceparent") or b"")
    assert begun
    assert begun[1] not in (TRACE, b"0" * 32)
    # it belongs to the trace that was not taken over
    assert b"tracestate" not in headers
    ledger.expect(response, f"trace {lines}", None, trace=begun[1].decode())


def test_each_request_has_a_trace_of_its_own(client: RawClient, upstream: ScriptedUpstream) -> None:
    for _ in range(3):
        client.ask(request())
    traces = {(got.headers.get(b"traceparent") or b"")[3:35] for got in upstream.requests}
    assert len(traces) == 3
