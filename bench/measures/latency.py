"""Added latency at a fixed low rate: through the gateway, less what the backend itself takes.

Open loop: requests go out at their times whether or not earlier ones are answered, and each is timed from when it was
due, so that a stall counts for every request that it held up.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Sequence

from bench.gateways import Bench, Peer, small_backend
from bench.measures.cpu import Samples
from bench.request import request_bytes
from bench.sockets import Client, Connection

RATE = 200
WARM_UP = 100  # requests
DIRECT = "direct"


def measure_latency(bench: Bench, peers: Sequence[Peer]) -> dict[str, Samples]:
    """By peer, and for `direct`: the latency of every request in milliseconds, all rounds together."""
    samples: dict[str, Samples] = {name: {"ms": []} for name in (DIRECT, *(peer.name for peer in peers))}
    with small_backend(bench):
        for _ in range(bench.rounds):
            samples[DIRECT]["ms"] += open_loop(Client(bench.backend_port), bench.seconds)
            for peer in peers:
                with peer.started(bench):
                    samples[peer.name]["ms"] += open_loop(bench.client, bench.seconds)
    return samples


def open_loop(client: Client, seconds: float) -> list[float]:
    """RATE requests a second for `seconds`; how many milliseconds each took from its due time."""
    request = request_bytes()
    idle: deque[Connection] = deque()
    busy: dict[int, tuple[Connection, float]] = {}  # by descriptor, with the due time
    latencies: list[float] = []
    total = WARM_UP + int(RATE * seconds)
    start, sent = time.perf_counter(), 0
    try:
        while len(latencies) < total:
            due = start + sent / RATE
            wait = due - time.perf_counter() if sent < total else 10.0
            if wait <= 0:
                connection = idle.pop() if idle else client.connect()
                connection.send(request)
                busy[connection.socket.fileno()] = connection, due
                sent += 1
                continue
            # select(), for its timeout has microseconds where poll() and epoll have milliseconds.
            ready, _, _ = select.select(list(busy), (), (), wait)
            if not ready and sent == total:
                raise TimeoutError(f"{len(busy)} requests were never answered")
            for descriptor in ready:
                connection, due = busy.pop(descriptor)
                status, _ = connection.receive()
                latencies.append((time.perf_counter() - due) * 1000)
                if status != 200:
                    raise ValueError(f"status {status}")
                idle.append(connection)
    finally:
        for connection in (*idle, *(connection for connection, _ in busy.values())):
            connection.close()
    return latencies[WARM_UP:]
