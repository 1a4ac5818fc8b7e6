"""Which server gets the next attempt. Each picker takes the candidates, never none of them, and gives one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gwproxy.config.model import Balance

if TYPE_CHECKING:
    from gwproxy.upstream.server import Server

Picker = Callable[[Sequence["Server"]], "Server"]


def round_robin(candidates: Sequence[Server]) -> Server:
    """In turn, by weight, smoothly: a server of weight 5 does not get its five in a row (nginx's way)."""
    total = 0
    best = candidates[0]
    for server in candidates:
        server.turn += server.weight
        total += server.weight
        if server.turn > best.turn:
            best = server
    best.turn -= total
    return best


def least_active(candidates: Sequence[Server]) -> Server:
    """The one with the fewest attempts in flight for its weight; among equals, in turn."""
    lowest = min(server.active / server.weight for server in candidates)
    return round_robin([server for server in candidates if server.active / server.weight <= lowest])


PICKERS: Mapping[Balance, Picker] = {
    Balance.ROUND_ROBIN: round_robin,
    Balance.LEAST_ACTIVE: least_active,
}
