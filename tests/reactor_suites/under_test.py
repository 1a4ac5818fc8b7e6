"""The two reactors that are compared: installed in a process, and made anew for each test of Twisted's ReactorBuilder.

A factory of the latter kind puts its loop in the place of the process's own for the length of the test, as Twisted's
own factory for the asyncio reactor does.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal, get_args

from twisted.internet.asyncioreactor import AsyncioSelectorReactor

Kind = Literal["asyncio", "uv"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: What Twisted adds to the name of a test class for the reactor that UnderTest makes.
SUFFIX = "_UnderTestTests"

_kind: Kind


def install(kind: Kind) -> None:
    """Makes it the process's reactor, and the one that Twisted's suites of reactors test. Comes before any of them is
    imported: they list their reactors as they are."""
    global _kind
    _kind = kind
    if kind == "uv":
        from gwproxy.uv.reactor import install as install_uv

        install_uv()
    else:
        from twisted.internet import asyncioreactor

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        asyncioreactor.install(loop)

    from twisted.internet.test.reactormixins import ReactorBuilder

    ReactorBuilder._reactors = [f"{__name__}.UnderTest"]


def UnderTest(case: Any) -> AsyncioSelectorReactor:  # becomes part of the names of classes
    """A new reactor for `case`, a ReactorBuilder."""
    before = asyncio.get_event_loop()
    reactor = _new_reactor()
    loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
    asyncio.set_event_loop(loop)

    def restore() -> None:
        loop.close()
        asyncio.set_event_loop(before)

    case.addCleanup(restore)
    return reactor


def _new_reactor() -> AsyncioSelectorReactor:
    if _kind == "uv":
        from gwproxy.uv.reactor import UvReactor

        return UvReactor()
    return AsyncioSelectorReactor(asyncio.new_event_loop())
