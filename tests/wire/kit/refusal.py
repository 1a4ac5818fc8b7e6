"""What must hold whenever the gateway refuses a request: the answer, the end of the connection, the silence behind it,
and the line in the access log.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import FIN, RawClient
from tests.wire.kit.gateway import GatewayProcess, LogRecord
from tests.wire.kit.messages import Response
from tests.wire.kit.upstream import ScriptedUpstream


@dataclass
class Expected:
    """An access-log line that has to come."""

    test: str
    status: int
    reason: str | None
    fields: dict[str, Any]


class AccessLedger:
    """Lines that the access log must have, found by the id that the response carried.

    They are looked for when a module ends: the log is written once a second, too seldom to wait for it in each test.
    """

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway
        self._expected: dict[str, Expected] = {}

    def expect(self, response: Response, test: str, reason: Reason | None, **fields: Any) -> None:
        """The line of `response` must have its status, this reason and these fields."""
        request_id = response.headers.get(b"x-request-id")
        assert request_id, f"a response without X-Request-ID: {response}"
        name = reason.value if reason else None
        self._expected[request_id.decode()] = Expected(test, response.status, name, fields)

    def mistakes(self) -> list[str]:
        """One text for each line that is missing, twice there, or other than expected."""
        if not self._expected:
            return []
        waiting = set(self._expected)

        def last(record: LogRecord) -> bool:
            waiting.discard(record["id"])
            return not waiting

        with suppress(AssertionError):  # what is missing is named below
            self._gateway.wait_for_log(last)
        found: dict[str, list[dict[str, Any]]] = {}
        for record in self._gateway.log_records():
            found.setdefault(record["id"], []).append(record)
        return [
            f"{expected.test}: {problem}"
            for request_id, expected in self._expected.items()
            if (problem := _compare(expected, found.get(request_id, [])))
        ]


def _compare(expected: Expected, records: list[dict[str, Any]]) -> str | None:
    if len(records) != 1:
        return f"{len(records)} lines in the access log instead of one"
    wanted = {"status": expected.status, "reason": expected.reason, **expected.fields}
    got = {name: records[0].get(name) for name in wanted}
    return None if got == wanted else f"the access log has {got} instead of {wanted}"


class Refusals:
    """Sends a request that must be refused, and checks all that has to hold then."""

    def __init__(
        self, gateway: GatewayProcess, upstreams: list[ScriptedUpstream], ledger: AccessLedger, test: str
    ) -> None:
        self._gateway = gateway
        self._upstreams = upstreams
        self._ledger = ledger
        self._test = test

    def __call__(
        self,
        *pieces: bytes,
        status: int,
        reason: Reason,
        method: bytes = b"GET",
        port: str = "PORT",
        closes: bool = True,
    ) -> Response:
        """Refused with this status and reason, the connection closed by a FIN, no upstream any the wiser, one log line.

        `closes` False: whether the connection is closed is left open.
        """
        with self._gateway.connect(port) as client:
            client.send(*pieces)
            response = client.read_response(method)
            check_reply(response, status, reason, method)
            if closes:
                assert client.ending() == FIN
        self.nothing_reached()
        self._ledger.expect(response, self._test, reason, by="gateway")
        return response

    def nothing_reached(self) -> None:
        """No upstream saw anything, not even after the gateway has done what came later."""
        with self._gateway.connect() as client:
            fence = client.ask(b"GET /up/fence HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert fence.status == 200, fence
        seen = []
        for upstream in self._upstreams:
            upstream.wait_quiet()
            seen += [request for request in upstream.requests if request.target != b"/up/fence"]
            upstream.requests.clear()
        assert not seen, f"reached an upstream: {seen}"


def check_reply(response: Response, status: int, reason: Reason, method: bytes = b"GET") -> None:
    """A reply of the gateway's own: status, problem+json with the reason, and the request's id."""
    assert response.status == status, response
    assert response.headers.get(b"content-type") == b"application/problem+json"
    if method == b"HEAD":
        return
    problem = json.loads(response.body)
    request_id = response.headers.get(b"x-request-id")
    assert request_id is not None
    assert (problem["status"], problem["reason"], problem["request_id"]) == (status, reason, request_id.decode())


def never_whole(client: RawClient) -> Response | None:
    """What a broken answer of the upstream comes to: a 502, which is returned, or a response that breaks off.

    A response that ends clean fails the test (CORRECTNESS M6).
    """
    response = client.read_head()
    if response.status == 502:
        return client.read_body(response)
    try:
        client.read_body(response)
    except (EOFError, ConnectionResetError):
        return None
    raise AssertionError(f"ended clean: {response}")


def report(mistakes: list[str]) -> None:
    """Fail with one line a mistake."""
    if mistakes:
        pytest.fail("the access log:\n" + "\n".join(mistakes), pytrace=False)
