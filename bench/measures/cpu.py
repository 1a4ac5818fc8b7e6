"""CPU time per small proxied request, keep-alive, under full load."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.gateways import Bench, Peer, small_backend
from bench.request import HEADERS, PATH

WARM_UP_SECONDS = 2.0
CONNECTIONS = 32
SERVED = re.compile(r"(\d+) requests in")
TROUBLE = re.compile(r"Non-2xx or 3xx responses: \d+|Socket errors: .*")

Samples = dict[str, list[float]]


# Makes requests of which none is like another.
CHANGING = Path(__file__).resolve().parent.parent / "peers" / "changing.lua"


def measure_cpu(bench: Bench, peers: Sequence[Peer]) -> dict[str, Samples]:
    """By peer, one sample a round: microseconds of CPU a request, and requests a second. The peers take turns."""
    return _measure(bench, peers, ())


def measure_changing(bench: Bench, peers: Sequence[Peer]) -> dict[str, Samples]:
    """The same, with heads that never repeat on a connection."""
    return _measure(bench, peers, ("-s", str(CHANGING)))


def _measure(bench: Bench, peers: Sequence[Peer], script: Sequence[str]) -> dict[str, Samples]:
    samples: dict[str, Samples] = {peer.name: {"us": [], "requests_per_second": []} for peer in peers}
    with small_backend(bench):
        for _ in range(bench.rounds):
            for peer in peers:
                with peer.started(bench) as gateway:
                    load(bench, WARM_UP_SECONDS, script, peer.headers)
                    before = gateway.cpu_seconds()
                    served = load(bench, bench.seconds, script, peer.headers)
                    used = gateway.cpu_seconds() - before
                samples[peer.name]["us"].append(used / served * 1e6)
                samples[peer.name]["requests_per_second"].append(served / bench.seconds)
    return samples


def load(bench: Bench, seconds: float, script: Sequence[str] = (), headers: Mapping[str, str] = HEADERS) -> int:
    """Run wrk, with a `script` perhaps, for whole `seconds`; how many requests were answered.

    Raises ValueError if any was not answered 2xx.
    """
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", *script]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{bench.port}{PATH}"],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {bench.load_cpu}),
    )
    served, trouble = SERVED.search(done.stdout), TROUBLE.search(done.stdout)
    if served is None or int(served[1]) == 0 or trouble:
        raise ValueError(f"the load did not go through: {trouble[0] if trouble else done.stdout}")
    return int(served[1])
