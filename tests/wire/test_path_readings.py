"""SCORECARD A5: however a server reads a path that the gateway passed on, it is one that the route may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product

import pytest

from tests.wire.conftest import Connect
from tests.wire.kit.client import request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.upstream import ScriptedUpstream

CONFIG = """
[log]
access = access.log
error = error.log

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[upstream:main]
servers = http://127.0.0.1:@MAIN@

[upstream:guarded]
servers = http://127.0.0.1:@OTHER@

[route:main]
path = /up/
upstream = main

[route:guarded]
path = /admin
upstream = guarded
"""


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    ports = {name: server.port for name, server in upstreams.items()}
    with running(CONFIG, tmp_path_factory.mktemp("readings"), ports) as process:
        yield process


SEPARATORS = [b"/", b"//", b"/./", b"%2f", b"%5C", b"\\", b";/", b"/%2e/", b"%252f"]
DOTS = [b"..", b"%2e%2e", b".%2E", b"..;", b"%2e%2e%3b", b"%252e%252e", b"...", b"..%00", b"..%09"]


def decode(path: bytes) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), path)


def without_parameters(path: bytes) -> bytes:
    return re.sub(rb";[^/]*", b"", path)


def resolve(path: bytes) -> bytes:
    kept: list[bytes] = []
    for segment in path.split(b"/")[1:]:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    return b"/" + b"/".join(kept)


def merge(path: bytes) -> bytes:
    return re.sub(rb"/+", b"/", path)


def backslashes(path: bytes) -> bytes:
    return path.replace(b"\\", b"/")


# As servers of different kinds read a path before they look at it: nginx, RFC 3986, servlet containers, IIS.
READINGS: list[list[Callable[[bytes], bytes]]] = [
    [decode, merge, resolve],
    [merge, resolve, decode],
    [resolve, decode],
    [decode, resolve, merge],
    [without_parameters, decode, merge, resolve],
    [decode, without_parameters, merge, resolve],
    [decode, backslashes, merge, resolve],
    [decode, backslashes, without_parameters, resolve, merge],
]


@pytest.mark.parametrize("start", [b"/up", b"/up/x", b"/up/x/y"])
def test_a5_no_reading_of_a_path_leads_elsewhere(connect: Connect, upstream: ScriptedUpstream, start: bytes) -> None:
    """What reaches the upstream of /up/ is below /up/ to everybody; what is not goes to that of /admin or nowhere."""
    client = connect()
    answers: dict[int, int] = {}
    for first, dots, second in product(SEPARATORS, DOTS, SEPARATORS):
        target = start + first + dots + second + b"admin"
        response = client.ask(request(target=target))
        answers[response.status] = answers.get(response.status, 0) + 1
        assert response.status in (200, 400, 404), (target, response)
        if response.status == 400:
            client.close()
            client = connect()
    assert set(answers) >= {200, 400}
    assert upstream.requests
    for got in upstream.requests:
        for reading in READINGS:
            path = got.target
            for step in reading:
                path = step(path)
            assert path.startswith(b"/up/"), (got.target, [step.__name__ for step in reading])
