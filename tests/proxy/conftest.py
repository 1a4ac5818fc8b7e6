"""A gateway in memory: see tests.flow.kit."""

from __future__ import annotations

from tests.flow.kit.fixtures import MakeFlow, flow, make_flow

__all__ = ["MakeFlow", "flow", "make_flow"]
