"""A Twisted reactor on libuv: Twisted's protocols over uvloop's transports. It knows nothing of the gateway.

`twistd --reactor=uv ...` runs any application on it; install() does the same in a program of one's own, before anything
imports `twisted.internet.reactor`. Needs uvloop.
"""

from __future__ import annotations

import asyncio


def install() -> None:
    """Makes it the process's reactor. Raises ReactorAlreadyInstalledError, or ImportError where there is no uvloop."""
    from twisted.internet.main import installReactor

    from gwproxy.uv.reactor import UvReactor

    reactor = UvReactor()
    asyncio.set_event_loop(reactor.loop)
    installReactor(reactor)
