"""CORRECTNESS H10: how large heads may be, of requests (431) and of responses (502)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gwproxy.errors import Reason
from tests.wire.conftest import Connect
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.refusal import AccessLedger, Refusals, check_reply
from tests.wire.kit.upstream import ScriptedUpstream, UpstreamConnection, respond

CONFIG = """
[log]
access = access.log
error = error.log

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[upstream:main]
servers = http://127.0.0.1:@MAIN@
max_response_header_size = 4k
max_response_headers = 20

[route:main]
path = /up/
upstream = main
"""


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    with running(CONFIG, tmp_path_factory.mktemp("limits"), {"MAIN": upstreams["MAIN"].port}) as process:
        yield process


def answer(*lines: bytes) -> bytes:
    """A response with these fields."""
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"Content-Length: 2", b"", b"ok"])


MANY = [b"X-%d: 1" % number for number in range(101)]
TOO_LARGE = {
    "total": [b"X-%d: %b" % (number, b"a" * 1000) for number in range(40)],
    "count": MANY,
    "count_of_one_name": [b"X-A: 1"] * 101,
    "single": [b"X-A: " + b"a" * 40_000],
    "name": [b"X-" + b"a" * 40_000 + b": 1"],
}


@pytest.mark.parametrize("lines", TOO_LARGE.values(), ids=TOO_LARGE)
def test_h10_request_heads_that_are_too_large(refused: Refusals, lines: list[bytes]) -> None:
    refused(request(*lines), status=431, reason=Reason.HEAD_TOO_LARGE)


def test_h10_a_request_head_that_never_ends(connect: Connect, ledger: AccessLedger) -> None:
    """Refused when there is too much of it, not when it is whole."""
    client = connect()
    client.send(request(b"X-A: " + b"a" * 40_000)[:-4])
    response = client.read_response()
    check_reply(response, 431, Reason.HEAD_TOO_LARGE)
    ledger.expect(response, "h10 endless", Reason.HEAD_TOO_LARGE, by="gateway")


def test_h10_request_heads_within_the_bounds(client: RawClient, upstream: ScriptedUpstream) -> None:
    fields = [(b"X-%d" % number, b"a" * 300) for number in range(99)]  # and Host
    assert client.ask(request(*(name + b": " + value for name, value in fields))).status == 200
    got = upstream.only_request()
    assert [field for field in got.headers if field in fields] == fields


@pytest.mark.parametrize(
    "lines",
    [[b"X-A: " + b"a" * 5000], [b"X-%d: %b" % (n, b"a" * 500) for n in range(15)], [b"X-A: 1"] * 21],
    ids=["single", "total", "count"],
)
def test_h10_response_heads_that_are_too_large(
    client: RawClient, upstream: ScriptedUpstream, lines: list[bytes]
) -> None:
    upstream.handler = respond(answer(*lines))
    response = client.ask(request())
    check_reply(response, 502, Reason.BAD_RESPONSE)
    upstream.wait_dropped()


def test_h10_a_response_head_that_never_ends(client: RawClient, upstream: ScriptedUpstream) -> None:
    gate = threading.Event()

    def handler(connection: UpstreamConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 5000)
        connection.wait(gate)

    upstream.handler = handler
    response = client.ask(request())
    gate.set()
    check_reply(response, 502, Reason.BAD_RESPONSE)


def test_h10_response_heads_within_the_bounds(client: RawClient, upstream: ScriptedUpstream) -> None:
    upstream.handler = respond(answer(*(b"X-%d: %b" % (n, b"a" * 150) for n in range(19))))
    response = client.ask(request())
    assert (response.status, response.headers.get(b"x-18")) == (200, b"a" * 150)


@pytest.mark.xfail(reason="HTTP/2 is not in this version yet", run=False)
def test_h10_a_flood_of_continuation_frames() -> None:
    raise NotImplementedError
