"""Start-up time: from the start of the process to its first 200 from the backend."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.gateways import Bench, Peer, small_backend
from bench.measures.cpu import Samples
from bench.request import request_bytes


def measure_startup(bench: Bench, peers: Sequence[Peer]) -> dict[str, Samples]:
    """By peer, one sample a round: milliseconds. It is asked every 2 ms, from the other CPU."""
    samples: dict[str, Samples] = {peer.name: {"ms": []} for peer in peers}
    with small_backend(bench):
        for _ in range(max(3, bench.rounds)):
            for peer in peers:
                began = time.perf_counter()
                with peer.launched(bench) as gateway:
                    gateway.wait_ready(bench.client, request_bytes())
                    samples[peer.name]["ms"].append((time.perf_counter() - began) * 1000)
    return samples
