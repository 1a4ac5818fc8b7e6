"""Measure gwproxy beside its peers: `python -m bench`. See bench/README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.gateways import (
    BENCH,
    GATEWAY,
    GATEWAY_EPOLL,
    POLICIES,
    POLICIES_COOKIE,
    POLICIES_EPOLL,
    POLICIES_RS256,
    REFERENCE,
    Bench,
    Peer,
    all_peers,
    find_nginx,
    small_backend,
)
from bench.measures.cpu import Samples, measure_changing, measure_cpu
from bench.measures.filters import measure_filters
from bench.measures.latency import measure_latency
from bench.measures.memory import measure_memory
from bench.measures.startup import measure_startup
from bench.measures.stream import measure_stream
from bench.processes import StartFailed, port_is_free
from bench.report import figures_of, render

# Each measurement with the peers that it is worth the time for.
BESIDE = (GATEWAY, GATEWAY_EPOLL, REFERENCE)
MEASURES: dict[str, tuple[Callable[[Bench, Sequence[Peer]], Mapping[str, Samples]], tuple[str, ...]]] = {
    "cpu": (measure_cpu, (*BESIDE, "envoy-bare", "nginx-bare")),
    "changing": (measure_changing, BESIDE),
    "policies": (measure_cpu, (POLICIES, POLICIES_RS256, POLICIES_COOKIE, POLICIES_EPOLL, REFERENCE, GATEWAY)),
    "filters": (measure_filters, (POLICIES,)),
    "memory": (measure_memory, (*BESIDE, "nginx-bare")),
    "stream": (measure_stream, BESIDE),
    "latency": (measure_latency, BESIDE),
    "startup": (measure_startup, BESIDE),
}


def main() -> int:
    options = parse_arguments()
    # An unwound stack ends what was started; a default SIGTERM would leave it running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    problem = missing_tools() or busy_ports(options)
    if problem:
        print(problem, file=sys.stderr)
        return 2
    peers, skipped = find_peers(options.peers)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gwbench-") as scratch:
        bench = make_bench(options, Path(scratch))
        os.sched_setaffinity(0, {bench.load_cpu})
        peers = [peer for peer in peers if comes_up(bench, peer, skipped)]
        results = {name: run_measure(name, bench, peers) for name in options.only}
    for name, reason in skipped.items():
        print(f"\nSKIPPED {name}: {reason}")
    print(f"\n{time.monotonic() - began:.0f} s")
    save(options, results, skipped)
    failed = any("failed" in result for result in results.values())
    return 1 if failed or skipped else 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [peer.name for peer in all_peers()]
    parser.add_argument("--only", type=_list_of(MEASURES), default=list(MEASURES), help=f"of {', '.join(MEASURES)}")
    parser.add_argument("--peers", type=_list_of(names), default=names, help=f"of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of load, for each peer in each round")
    parser.add_argument("--port", type=int, default=8080, help="where the gateway measured listens")
    parser.add_argument("--backend-port", type=int, default=9001)
    parser.add_argument("--admin-port", type=int, default=9180)
    parser.add_argument("--json", type=Path, help="where the figures go; default: a new file in bench/results/")
    return parser.parse_args()


def _list_of(known: Mapping[str, object] | Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return names

    return parse


def missing_tools() -> str | None:
    """Without a backend and a load generator nothing can be measured."""
    if find_nginx() is None or shutil.which("wrk") is None:
        return "nginx and wrk are needed: apt-get install nginx-light wrk"
    return None


def busy_ports(options: argparse.Namespace) -> str | None:
    busy = [port for port in (options.port, options.backend_port, options.admin_port) if not port_is_free(port)]
    if busy:
        return f"in use on 127.0.0.1: {busy}; see --port, --backend-port, --admin-port"
    return None


def find_peers(names: Sequence[str]) -> tuple[list[Peer], dict[str, str]]:
    """The peers asked for, and those that are not installed with what to install."""
    wanted = [peer for peer in all_peers() if peer.name in names]
    skipped = {peer.name: f"not found; {peer.install}" for peer in wanted if peer.program is None}
    return [peer for peer in wanted if peer.program is not None], skipped


def make_bench(options: argparse.Namespace, scratch: Path) -> Bench:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        print("WARNING: one CPU only; the gateway shares it with the load, and the figures mean little")
    ports = {"port": options.port, "backend_port": options.backend_port, "admin_port": options.admin_port}
    return Bench(scratch, options.rounds, options.seconds, **ports, load_cpu=cpus[0], gateway_cpu=cpus[-1])


def comes_up(bench: Bench, peer: Peer, skipped: dict[str, str]) -> bool:
    """Try a peer once, so that one that cannot start is skipped, and said, before time is spent."""
    with small_backend(bench):
        try:
            with peer.started(bench):
                return True
        except StartFailed as failure:
            skipped[peer.name] = str(failure)
            return False


def run_measure(name: str, bench: Bench, peers: Sequence[Peer]) -> dict[str, object]:
    """One measurement, printed at once; its samples and figures, or why it failed: the others go on."""
    measure, names = MEASURES[name]
    try:
        samples = measure(bench, [peer for peer in peers if peer.name in names])
    except (StartFailed, OSError, EOFError, ValueError) as failure:
        print(f"\nFAILED {name}: {failure}", flush=True)
        return {"failed": str(failure)}
    figures = figures_of(name, samples)
    print(render(name, figures), flush=True)
    return {"figures": figures, "samples": samples}


def save(options: argparse.Namespace, results: Mapping[str, object], skipped: Mapping[str, str]) -> None:
    now = datetime.now(UTC)
    target: Path = options.json or BENCH / "results" / f"{now:%Y%m%dT%H%M%SZ}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=BENCH, capture_output=True, text=True, check=False
    )
    head = {
        "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "commit": commit.stdout.strip(),
        "python": platform.python_version(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "skipped": skipped,
    }
    target.write_text(json.dumps({**head, "results": results}, indent=1))
    print(f"written: {target}")


if __name__ == "__main__":
    sys.exit(main())
