"""SCORECARD C1, C2: whoever is slow on purpose is cut at the deadline, however the bytes trickle."""

from __future__ import annotations

import itertools
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import FIN, RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Response
from tests.wire.kit.reader import PATIENCE
from tests.wire.kit.refusal import AccessLedger, check_reply
from tests.wire.kit.upstream import OK, ScriptedUpstream, UpstreamConnection

CONFIG = Path(__file__).with_name("attack.ini")
HEADER_TIMEOUT = 1.0
# Clocks of two processes, and a timer's grain.
GRAIN = 0.1

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """One with short timeouts."""
    with running(CONFIG.read_text(), tmp_path_factory.mktemp("slow"), {"MAIN": upstreams["MAIN"].port}) as process:
        yield process


def trickle(client: RawClient, raw: bytes, then: bytes) -> Response:
    """Send `raw` byte by byte, then `then` again and again, until an answer comes."""
    client.socket.settimeout(0.05)
    deadline = time.monotonic() + PATIENCE
    for byte in itertools.chain(raw, itertools.cycle(then)):
        assert time.monotonic() < deadline, "nobody minds"
        try:
            client.socket.send(bytes([byte]))
            client.socket.recv(1, socket.MSG_PEEK)
            break
        except TimeoutError:
            continue
    client.socket.settimeout(PATIENCE)
    return client.read_response()


def at_once(calls: Sequence[Callable[[], Response]]) -> list[Response]:
    """All calls in threads: each waits for a timeout of the gateway."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


class Crowd:
    """Many clients at once, each of which sends a byte of its text now and then."""

    def __init__(self, port: int, texts: list[bytes]) -> None:
        self.began: list[float] = []
        self.lasted: dict[int, float] = {}
        self.received: dict[int, bytes] = {}
        self._texts = texts
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[int, socket.socket] = {}
        for number, text in enumerate(texts):
            sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
            self.began.append(time.monotonic())
            sock.sendall(text[:2])
            sock.setblocking(False)
            self._sockets[number] = sock
            self.received[number] = b""
            self._selector.register(sock, selectors.EVENT_READ, number)

    def run(self, patience: float) -> None:
        """Until all are closed, or `patience` seconds have passed."""
        deadline = time.monotonic() + patience
        turn = 2
        while self._sockets and time.monotonic() < deadline:
            for key, _ in self._selector.select(0.1):
                self._read(key.data)
            for number, sock in self._sockets.items():
                text = self._texts[number]
                try:
                    sock.send(text[turn % len(text) : turn % len(text) + 1])
                except OSError:
                    pass  # its end has not been read yet
            turn += 1

    def _read(self, number: int) -> None:
        sock = self._sockets[number]
        try:
            data = sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.received[number] += data
        if not data:
            self.lasted[number] = time.monotonic() - self.began[number]
            self._selector.unregister(sock)
            sock.close()
            del self._sockets[number]

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()
        self._selector.close()


def test_c1_three_hundred_slow_heads_at_once(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """Some are slow in the request line, some in a field, some send field after field; nobody else waits for them."""
    texts = [b"GET /up/" + b"a" * 200, b"GET /up/x HTTP/1.1\r\nX: " + b"a" * 200, b"\r\n" * 200]
    crowd = Crowd(gateway.ports["PORT_HEADS"], texts * 100)
    try:
        with gateway.connect() as other:
            assert other.ask(request()).status == 200
        crowd.run(PATIENCE)
        assert len(crowd.lasted) == 300
        assert min(crowd.lasted.values()) > HEADER_TIMEOUT - GRAIN
        answers = {received[:12] for number, received in crowd.received.items() if number % 3 != 2}
        assert answers == {b"HTTP/1.1 408"}
    finally:
        crowd.close()
    told = [received for received in crowd.received.values() if received.startswith(b"HTTP/1.1 408")]
    assert gateway.metrics().value("gateway_bad_requests_total", reason="header_timeout") == len(told)


HEADS = [b"G", b"GET /up/", b"GET /up/x HTTP/1.1\r\n", b"GET /up/x HTTP/1.1\r\nHost: a.test\r\n\r"]


def test_c1_heads_that_stop_and_heads_that_never_end(
    gateway: GatewayProcess, upstream: ScriptedUpstream, ledger: AccessLedger
) -> None:
    """The time for a head is not the time for being idle, and a byte now and then begins neither anew."""

    def stop_after(raw: bytes) -> Response:
        with gateway.connect("PORT_HEADS") as client:
            client.send(raw)
            response = client.read_response()
            assert client.ending() == FIN
        return response

    def never_end_the_second() -> Response:
        with gateway.connect("PORT_HEADS") as client:
            assert client.ask(request()).status == 200
            return trickle(client, b"GET /up/x HTTP/1.1\r\nX: ", b"a")

    for response in at_once([*[partial(stop_after, raw) for raw in HEADS], never_end_the_second]):
        check_reply(response, 408, Reason.HEADER_TIMEOUT)
        ledger.expect(response, "c1", Reason.HEADER_TIMEOUT, by="gateway")
    assert len(upstream.requests) == 1


def test_c1_silent_clients_are_closed_without_a_word(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    with gateway.connect("PORT_IMPATIENT") as new, gateway.connect("PORT_IMPATIENT") as used:
        assert used.ask(request()).status == 200
        assert [new.ending(), used.ending()] == [FIN, FIN]


SLOW_BODIES = [
    # what goes with the head, and what trickles behind it: never silent, and yet too slow
    (b"Content-Length: 100000", b"", b"a"),
    (b"Transfer-Encoding: chunked", b"", b"1\r\na\r\n"),
    # one that stops, to which the trickle adds nothing
    (b"Content-Length: 5", b"abcd", b""),
]


def test_c2_bodies_below_the_rate(gateway: GatewayProcess, upstream: ScriptedUpstream, ledger: AccessLedger) -> None:
    """They end in a 408, and the upstream sees none of them whole."""

    def upload(line: bytes, body: bytes, then: bytes) -> Response:
        with gateway.connect("PORT_IMPATIENT") as client:
            client.send(request(line, method=b"POST", body=body))
            response = trickle(client, b"", then) if then else client.read_response()
            return response

    for response in at_once([partial(upload, *each) for each in SLOW_BODIES]):
        check_reply(response, 408, Reason.BODY_TIMEOUT)
        ledger.expect(response, "c2", Reason.BODY_TIMEOUT, by="gateway")
    upstream.wait_dropped()
    assert not [each for each in upstream.requests if each.complete]


def test_c2_who_is_slow_within_the_bounds_is_served(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    """A body above the rate, and an upstream that is slow to answer, both for longer than any timeout."""

    def handler(connection: UpstreamConnection) -> None:
        got = connection.read_request()
        if got.target == b"/up/slow":
            time.sleep(1.2)  # longer than header_timeout and idle_timeout: being slow is what is tested
        connection.send(OK)

    def upload() -> Response:
        with gateway.connect("PORT_IMPATIENT") as client:
            client.send(request(b"Content-Length: 48000", method=b"POST"))
            for _ in range(12):
                client.send(b"a" * 4000)
                time.sleep(0.1)
            return client.read_response()

    def wait() -> Response:
        with gateway.connect("PORT_IMPATIENT") as client:
            return client.ask(request(b"Content-Length: 3", method=b"POST", target=b"/up/slow", body=b"abc"))

    upstream.handler = handler
    assert [response.status for response in at_once([upload, wait])] == [200, 200]
    assert {len(each.body) for each in upstream.requests} == {3, 48000}
