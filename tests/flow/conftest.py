"""The whole gateway in memory: see kit. After every test the same things must hold: see Flow.settle()."""

from __future__ import annotations

from tests.flow.kit.fixtures import MakeFlow, flow, make_flow

__all__ = ["MakeFlow", "flow", "make_flow"]
