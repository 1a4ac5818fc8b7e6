"""The fixture that all tests with a gateway in memory share: a conftest.py imports it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.flow.kit.flow import Flow

MakeFlow = Callable[..., Flow]


@pytest.fixture
def make_flow() -> Iterator[MakeFlow]:
    """`make_flow(route="timeout = 1s", filters={...})`: a gateway. What a test leaves unfinished fails it."""
    made: list[Flow] = []

    def make(**parts: Any) -> Flow:
        made.append(Flow(**parts))
        return made[-1]

    yield make
    for flow in made:
        flow.settle()


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    """A gateway with nothing special."""
    return make_flow()
