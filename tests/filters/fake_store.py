"""A store in which the test answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred


@attrs.define
class Question:
    """What was asked. The test fires `answer`."""

    script: str
    keys: list[str]
    arguments: list[Any]
    answer: Deferred[Any]


class FakeStore:
    """Stands in for gwproxy.store.redis.Store."""

    def __init__(self) -> None:
        self.available = True
        self.asked: list[Question] = []

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Deferred[Any]:
        """Takes the question down."""
        self.asked.append(Question(script, list(keys), list(arguments), Deferred()))
        return self.asked[-1].answer
