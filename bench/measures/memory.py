"""Memory of idle keep-alive connections: what a gateway holds for clients that have asked once and stay connected."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from contextlib import ExitStack

from bench.gateways import Bench, Peer, small_backend
from bench.measures.cpu import Samples, load
from bench.request import request_bytes

CONNECTIONS = 3000
SPARE_DESCRIPTORS = 200
MIB = 1 << 20


def measure_memory(bench: Bench, peers: Sequence[Peer]) -> dict[str, Samples]:
    """By peer: MiB a 1,000 idle connections (growth of PSS after some load has warmed every cache), and MiB before."""
    count = min(CONNECTIONS, _allow_descriptors(2 * CONNECTIONS + SPARE_DESCRIPTORS) - SPARE_DESCRIPTORS)
    samples: dict[str, Samples] = {}
    with small_backend(bench):
        for peer in peers:
            with peer.started(bench) as gateway, ExitStack() as opened:
                load(bench, 1)
                before = gateway.memory_bytes()
                request = request_bytes()
                for _ in range(count):
                    connection = opened.enter_context(bench.client.connect())
                    connection.send(request)
                    connection.receive()
                grown = gateway.memory_bytes() - before
            samples[peer.name] = {
                "mib": [grown / MIB / count * 1000],
                "mib_at_rest": [before / MIB],
            }
    return samples


def _allow_descriptors(wanted: int) -> int:
    """Raise the limit of open files, for this process and what it starts later; returns what is allowed now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= wanted:
        return wanted
    allowed = wanted if hard == unlimited else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
