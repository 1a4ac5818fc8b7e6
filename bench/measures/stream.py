"""CPU time per MiB streamed through, both ways, for bodies of 1 MiB and of 100 MiB, one transfer at a time."""

from __future__ import annotations

from collections.abc import Sequence

from bench.gateways import Bench, Peer, bulk_backend
from bench.measures.cpu import Samples
from bench.processes import Running
from bench.request import request_bytes
from bench.sockets import Connection

MIB = 1 << 20
# (MiB a body, how many of them)
SIZES = ((1, 150), (100, 2))
BLOCK = memoryview(bytes(1 << 18))


def measure_stream(bench: Bench, peers: Sequence[Peer]) -> dict[str, Samples]:
    """By peer, one sample a round and cell: milliseconds of CPU a MiB. The peers in turn each round."""
    samples: dict[str, Samples] = {peer.name: {} for peer in peers}
    with bulk_backend(bench):
        for _ in range(bench.rounds):
            for peer in peers:
                with peer.started(bench) as gateway, bench.client.connect() as connection:
                    _transfer_all(gateway, connection, samples[peer.name])
    return samples


def _transfer_all(gateway: Running, connection: Connection, samples: Samples) -> None:
    for mib, count in SIZES:
        for name, transfer in (("down", download), ("up", upload)):
            transfer(connection, mib * MIB)  # warm
            before = gateway.cpu_seconds()
            for _ in range(count):
                transfer(connection, mib * MIB)
            used = gateway.cpu_seconds() - before
            samples.setdefault(f"{name}_{mib}mib", []).append(used * 1000 / (mib * count))


def download(connection: Connection, size: int) -> None:
    connection.send(request_bytes(path=f"/api/bytes/{size}"))
    status, length = connection.receive()
    if (status, length) != (200, size):
        raise ValueError(f"a download of {size} bytes gave status {status} and {length} bytes")


def upload(connection: Connection, size: int) -> None:
    connection.send(request_bytes("POST", "/api/upload", length=size))
    left = size
    while left > 0:
        piece = BLOCK[:left]
        connection.send(piece)
        left -= len(piece)
    status, _ = connection.receive()
    if status != 200:
        raise ValueError(f"an upload of {size} bytes gave status {status}")
