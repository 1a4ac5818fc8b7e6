"""treq's client, with a way for forwarded traffic beside its own.

`request()` and its kin are treq's, for what the gateway asks on its own behalf: they decode bodies, follow redirects
and keep cookies in one jar, all of which would be wrong for somebody else's traffic (one visitor's session would be
handed to the next). `forward()` does none of it: it gets an attempt its connection, and the attempt writes raw bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from treq.client import HTTPClient

from gwproxy.upstream.agent import UpstreamAgent

if TYPE_CHECKING:
    from gwproxy.upstream.pool import Waiter
    from gwproxy.upstream.server import Server


class UpstreamClient(HTTPClient):
    """One a gateway."""

    # forward(server, attempt, fresh, careful): gives `attempt` a connection to `server`, at once if one is idle, else
    # when one is made. `fresh`: not one that was idle. `careful`: one that still looks alive, for what must not be sent
    # twice; one that rested long is looked at in any case. Raises QueueFull. There is no Deferred here: an idle
    # connection is the usual case, and nothing waits.
    forward: Callable[[Server, Waiter, bool, bool], None]

    def __init__(self, agent: UpstreamAgent) -> None:
        super().__init__(agent)
        self.forward = agent.connect
