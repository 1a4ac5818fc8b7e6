"""SCORECARD A1: thousands of nearly right requests. Nothing that can be read in two ways reaches the upstream.

The number of cases is GWPROXY_SMUGGLING_CASES, their seed GWPROXY_SMUGGLING_SEED: both have defaults that suit a test
run. Each case found by a longer run stands below as a test of its own, with its bytes.
"""

from __future__ import annotations

import os
import re

import pytest

from tests.wire.kit.gateway import GatewayProcess
from tests.wire.kit.mutations import cases, understood
from tests.wire.kit.upstream import ScriptedUpstream, UpstreamConnection

COUNT = int(os.environ.get("GWPROXY_SMUGGLING_CASES", "3000"))
SEED = int(os.environ.get("GWPROXY_SMUGGLING_SEED", "2026"))

# Refusals have these; 2xx and 404 are answers to requests that were understood.
STATUSES = {200, 204, 400, 403, 404, 405, 413, 414, 417, 431, 501, 505}

_SEEN = re.compile(rb"\r\nX-Seen: ([0-9]+)\r\n")
_STATUS = re.compile(rb"^HTTP/1\.1 ([0-9]{3}) ", re.MULTILINE)


def numbering(upstream: ScriptedUpstream) -> None:
    """Each whole request is answered with its number, so that answers and requests can be told to be the same."""

    def handler(connection: UpstreamConnection) -> None:
        got = connection.read_request()
        number = next(at for at, each in enumerate(upstream.requests) if each is got)
        connection.send(b"HTTP/1.1 200 OK\r\nX-Seen: %d\r\nContent-Length: 0\r\n\r\n" % number)

    upstream.handler = handler


def exchange(gateway: GatewayProcess, pieces: list[bytes]) -> tuple[bytes, str]:
    """Send all, then a FIN; what comes back until the end, and how it ends."""
    with gateway.connect() as client:
        try:
            client.send(*pieces)
            client.half_close()
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused already
        except OSError as error:
            assert error.errno == 107, error  # not connected: reset before the FIN
        return client.read_until_closed()


def check(gateway: GatewayProcess, upstream: ScriptedUpstream, pieces: list[bytes]) -> None:
    """The upstream saw what was answered and nothing else, and read it as an independent parser does."""
    upstream.forget()
    numbering(upstream)
    received, _ = exchange(gateway, pieces)
    upstream.wait_quiet()
    upstream.raise_failures()
    whole = [number for number, each in enumerate(upstream.requests) if each.complete]
    assert [int(number) for number in _SEEN.findall(received)] == whole, received
    statuses = {int(status) for status in _STATUS.findall(received)} - {100, 102}
    assert statuses <= STATUSES, received
    seen = [(each.method, each.body) for each in upstream.requests if each.complete]
    expected = understood(b"".join(pieces))
    # what the gateway answers itself (404, OPTIONS *) is not seen upstream: a subsequence, in order
    rest = iter(expected)
    assert all(one in rest for one in seen), (seen, expected)


@pytest.mark.slow
def test_a1_nothing_ambiguous_reaches_the_upstream(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    reached = 0
    for number, pieces in enumerate(cases(SEED, COUNT)):
        try:
            check(gateway, upstream, pieces)
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"seed {SEED}, case {number}: {pieces!r}: {error}") from error
        reached += len(upstream.requests)
    # a generator that makes only rubbish would prove nothing
    assert reached > COUNT // 10
