"""Throws bent requests at a gateway for a while, and tells what became of it.

    python -m tests.fuzz.socket_fuzz --seconds 180 --seed 1

The gateway runs with a configuration of its own and the echo service behind it. Ends with status 1 if it logged a
traceback, died, stopped serving, or if its memory or its descriptors went on growing.
"""

from __future__ import annotations

import argparse
import select
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.fuzz.mutate import REQUESTS, mutated, pieces
from tests.wire.kit.client import abort_on_close, request
from tests.wire.kit.gateway import GatewayProcess
from tests.wire.kit.mutations import case

CONFIG = """
[admin]
endpoint = tcp:@PORT_ADMIN@:interface=127.0.0.1

[log]
access = off
error = error.log
security = off

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1
header_timeout = 1s
idle_timeout = 1s

[upstream:echo]
servers = builtin:echo

[filter:security]
type = security_headers

[filter:tidy]
type = headers
request_set = X-Client-Ip: $client_ip, X-Path: $path
response_remove = Server

[route:up]
path = /
upstream = echo
filters = security, tidy

[route:files]
path = /up/files/
static = .

[route:small]
path = /up/1
upstream = echo
max_body = 10
"""

# What may be more at the end than after the first tenth: caches that are bounded, the allocator's own.
MEMORY_RISE = 20 << 20
DESCRIPTORS_RISE = 20


class Fuzzer:
    """Clients of one gateway, some of which do not behave."""

    def __init__(self, port: int, seed: int) -> None:
        self._address = ("127.0.0.1", port)
        self._random = Random(seed)
        self._open: list[socket.socket] = []
        self.sent = 0
        self.answers: dict[bytes, int] = {}

    def step(self) -> None:
        """One client's conversation."""
        random = self._random
        with suppress(OSError):
            sock = self._connection()
            segments = case(random) if random.random() < 0.5 else pieces(random, mutated(random, REQUESTS))
            for segment in segments:
                sock.sendall(segment)
            self.sent += 1
            self._end(sock)

    def close(self) -> None:
        for sock in self._open:
            sock.close()
        self._open.clear()

    def _connection(self) -> socket.socket:
        """A new one, or one on which something was said before."""
        if self._open and self._random.random() < 0.3:
            return self._open.pop(self._random.randrange(len(self._open)))
        return socket.create_connection(self._address, 2.0)

    def _end(self, sock: socket.socket) -> None:
        """Leave it open, read, or go away in one of the ways in which clients do."""
        way = self._random.randrange(6)
        if way == 0 and len(self._open) < 50:
            self._open.append(sock)
            return
        with sock:
            if way == 1:
                abort_on_close(sock)
                return
            if way == 2:
                return
            if way == 3:
                sock.shutdown(socket.SHUT_WR)
            if select.select([sock], [], [], 0.02)[0]:
                status = sock.recv(65536)[:12]
                self.answers[status] = self.answers.get(status, 0) + 1


def serves(gateway: GatewayProcess) -> bool:
    """Whether an ordinary request is answered."""
    with gateway.connect() as client:
        return client.ask(request(target=b"/fence")).status == 200


def run(gateway: GatewayProcess, seconds: float, seed: int) -> list[str]:
    """Fuzz for so long; what is wrong then."""
    fuzzer = Fuzzer(gateway.ports["PORT"], seed)
    began = time.monotonic()
    memory = descriptors = 0
    while (now := time.monotonic() - began) < seconds and gateway.is_running():
        for _ in range(100):
            fuzzer.step()
        if not memory and now > seconds / 10:
            memory, descriptors = gateway.rss_bytes(), gateway.descriptors()
    fuzzer.close()
    if not gateway.is_running():
        return [f"the gateway ended: {gateway.output()}"]
    time.sleep(3.0)  # longer than every timeout of the configuration
    rise, more = gateway.rss_bytes() - memory, gateway.descriptors() - descriptors
    print(f"{fuzzer.sent} conversations in {seconds:.0f} s; memory {rise / 2**20:+.1f} MiB, descriptors {more:+d}")
    print({status.decode("latin-1"): count for status, count in sorted(fuzzer.answers.items())})
    problems = [f"traceback: {line[:2000]}" for line in gateway.tracebacks()[:5]]
    if not serves(gateway):
        problems.append("an ordinary request is not served")
    if (in_flight := gateway.metrics().value("gateway_requests_in_flight")) > 0:
        problems.append(f"{in_flight:.0f} requests are still in flight")
    if rise > MEMORY_RISE:
        problems.append(f"memory rose by {rise >> 20} MiB")
    if more > DESCRIPTORS_RISE:
        problems.append(f"{more} more descriptors are open")
    return problems


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        gateway = GatewayProcess(CONFIG, Path(folder), {})
        try:
            gateway.start()
            problems = run(gateway, options.seconds, options.seed)
            if gateway.is_running() and (status := gateway.stop()) != 0:
                problems.append(f"exit status {status}: {gateway.output()}")
        finally:
            gateway.kill()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
