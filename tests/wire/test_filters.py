"""SCORECARD G7: a filter that fails costs its own request a 500, wherever it fails; all others go on.

The filter is somebody else's: a module and its metadata in a folder that only this gateway's path has.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from gwproxy.errors import Reason
from tests.wire.conftest import Connect
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.gateway import GatewayProcess
from tests.wire.kit.refusal import check_reply
from tests.wire.kit.upstream import ScriptedUpstream

CONFIG = """
[admin]
endpoint = tcp:@PORT_ADMIN@:interface=127.0.0.1

[log]
access = access.log
error = error.log
security = off

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[upstream:main]
servers = http://127.0.0.1:@MAIN@

[filter:outer]
type = marking

[filter:fragile]
type = fragile

[route:main]
path = /up/
upstream = main
filters = outer, fragile

[route:local]
path = /local/
respond = 200 here
filters = outer, fragile
"""

MODULE = '''
import attrs
from twisted.internet.defer import Deferred, fail

from gwproxy.filters.api import Reply


class Broken(Exception):
    pass


@attrs.frozen
class Options:
    pass


class Transform:
    def __init__(self, where):
        self.where = where

    def data(self, data):
        if self.where == b"data":
            raise Broken("token=hunter2")
        return data

    def end(self):
        if self.where == b"end":
            raise Broken
        return b"!"


class Fragile:
    """Fails where the request says."""

    def __init__(self, reactor):
        self.reactor = reactor

    def on_request(self, exchange):
        where = exchange.header(b"x-fail")
        if where == b"on_request":
            raise Broken
        if where == b"at_once":
            return fail(Broken())
        if where == b"later":
            return self.later()
        if where == b"verdict":
            return "yes"
        if where == b"late_verdict":
            waiting = Deferred()
            self.reactor.callLater(0, waiting.callback, "yes")
            return waiting
        if where == b"reply":
            return Reply("no status")
        if where == b"text":
            return Reply(200, body="text")
        if where == b"busy":
            import time
            time.sleep(0.3)
        return None

    async def later(self):
        waiting = Deferred()
        self.reactor.callLater(0, waiting.callback, None)
        await waiting
        raise Broken

    def on_attempt(self, exchange):
        if exchange.header(b"x-fail") == b"on_attempt":
            raise Broken

    def on_response(self, exchange):
        where = exchange.header(b"x-fail")
        if where == b"on_response":
            raise Broken
        if where in (b"data", b"end"):
            exchange.add_body_transform(Transform(where))
        if where == b"bytes":
            exchange.response_headers.append((b"X-Text", "not bytes"))

    def on_done(self, exchange):
        if exchange.header(b"x-fail") == b"on_done":
            raise Broken


def factory(options, context):
    return Fragile(context.reactor)
'''

MARKING = '''
import attrs


@attrs.frozen
class Options:
    pass


class Marking:
    """Another filter, outside the fragile one."""

    def on_response(self, exchange):
        exchange.response_headers.append((b"X-Outer", b"was here"))


def factory(options, context):
    return Marking()
'''


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """One with the filter. Tracebacks are what is expected of it, so only how it ends is checked."""
    site = tmp_path_factory.mktemp("site")
    metadata = site / "fragile-1.0.dist-info"
    metadata.mkdir()
    (site / "gwproxy_fragile.py").write_text(MODULE)
    (site / "gwproxy_marking.py").write_text(MARKING)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: fragile\nVersion: 1.0\n")
    entries = "[gwproxy.filters]\nfragile = gwproxy_fragile\nmarking = gwproxy_marking\n"
    (metadata / "entry_points.txt").write_text(entries)
    process = GatewayProcess(CONFIG, tmp_path_factory.mktemp("filters"), {"MAIN": upstreams["MAIN"].port})
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
            process.start()
        yield process
        assert process.stop() == 0, process.output()
    finally:
        process.kill()


def write_logs(gateway: GatewayProcess) -> None:
    """SIGUSR1 writes what is buffered, at once instead of within a second."""
    os.kill(gateway.pid, signal.SIGUSR1)


def logged_trace(gateway: GatewayProcess, request_id: bytes) -> str:
    """The traceback of this request, from the error log."""
    wanted = request_id.decode()
    write_logs(gateway)
    record = gateway.wait_for_log(lambda each: each.get("id") == wanted, "error.log")
    assert record["level"] in ("error", "critical")
    return f"{record['message']}\n{record['trace']}"


IN_TIME = ["on_request", "at_once", "later", "verdict", "late_verdict", "on_response"]


@pytest.mark.parametrize("route", [b"/up/x", b"/local/x"])
@pytest.mark.parametrize("where", [*IN_TIME, "reply", "text", "bytes"])
def test_g7_that_request_is_a_500(
    gateway: GatewayProcess, client: RawClient, upstream: ScriptedUpstream, where: str, route: bytes
) -> None:
    """Told apart in the logs, counted, with what the filters outside it add; the connection goes on."""
    before = gateway.metrics().value("gateway_requests_total", code="500")
    response = client.ask(request(b"X-Fail: " + where.encode(), target=route))
    check_reply(response, 500, Reason.INTERNAL)
    assert b"Broken" not in response.body
    request_id = response.headers.get(b"x-request-id") or b""
    if where in IN_TIME:
        assert response.headers.get(b"x-outer") == b"was here"
        assert "fragile" in logged_trace(gateway, request_id)
    write_logs(gateway)
    record = gateway.wait_for_log(lambda each: each["id"] == request_id.decode())
    assert (record["status"], record["reason"]) == (500, "internal")
    assert gateway.metrics().value("gateway_requests_total", code="500") == before + 1
    if where not in ("on_response", "bytes"):
        assert not upstream.requests
    assert client.ask(request(target=route)).status == 200


def test_g7_before_an_attempt(gateway: GatewayProcess, client: RawClient, upstream: ScriptedUpstream) -> None:
    response = client.ask(request(b"X-Fail: on_attempt"))
    check_reply(response, 500, Reason.INTERNAL)
    assert "fragile" in logged_trace(gateway, response.headers.get(b"x-request-id") or b"")
    assert client.ask(request()).status == 200
    assert len(upstream.only_request().headers.all(b"x-fail")) == 0


def test_g7_when_all_is_done(gateway: GatewayProcess, client: RawClient) -> None:
    """The client has its answer; the access log has its line."""
    response = client.ask(request(b"X-Fail: on_done"))
    assert response.status == 200
    request_id = (response.headers.get(b"x-request-id") or b"").decode()
    write_logs(gateway)
    assert gateway.wait_for_log(lambda each: each["id"] == request_id)["status"] == 200
    gateway.wait_for_log(lambda each: "on_done of filter fragile failed" in each["message"], "error.log")
    assert client.ask(request()).status == 200


@pytest.mark.parametrize("route", [b"/up/x", b"/local/x"])
@pytest.mark.parametrize("where", [b"data", b"end"])
def test_g7_in_the_middle_of_a_body(
    gateway: GatewayProcess, client: RawClient, connect: Connect, where: bytes, route: bytes
) -> None:
    """The head is out: the response breaks off, and the logs say whose fault it was. It is not the upstream's."""
    client.send(request(b"X-Fail: " + where, target=route))
    response = client.read_head()
    with pytest.raises((EOFError, ConnectionResetError)):
        client.read_body(response)
    request_id = response.headers.get(b"x-request-id") or b""
    assert "Broken" in logged_trace(gateway, request_id)
    write_logs(gateway)
    record = gateway.wait_for_log(lambda each: each["id"] == request_id.decode())
    assert (record["status"], record["reason"]) == (200, "internal")
    assert gateway.metrics().value("gateway_requests_in_flight") == 0
    assert connect().ask(request()).status == 200


def test_g7_who_holds_the_event_loop_up_is_told(gateway: GatewayProcess, client: RawClient) -> None:
    assert client.ask(request(b"X-Fail: busy")).status == 200
    gateway.wait_for_log(lambda each: each["message"].startswith("the event loop was held up for"), "error.log")
    assert gateway.metrics().value("gateway_event_loop_lag_seconds") > 0.1
