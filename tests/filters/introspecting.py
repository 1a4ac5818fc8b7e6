"""A filter of type introspection, and the endpoint that it asks, played."""

from __future__ import annotations

import json
from typing import Any

import attrs

from gwproxy.calls import Answer, CallFailed
from gwproxy.filters import introspection
from gwproxy.testing import FakeCalls, FakeExchange, FilterHarness, Played, Surroundings, build_filter

URL = "https://idp.example.com/introspect"
OPTIONS = {"url": URL, "client_id": "gateway", "client_secret": "hunter2"}


def answer(**members: Any) -> Answer:
    return Answer(200, [], json.dumps({"active": True, "sub": "alice", **members}).encode())


INACTIVE = Answer(200, [], b'{"active": false}')


@attrs.define
class World:
    """A filter and what is around it."""

    around: Surroundings
    options: dict[str, str]
    harness: FilterHarness

    @property
    def calls(self) -> FakeCalls:
        assert isinstance(self.around.calls, FakeCalls)
        return self.around.calls

    @property
    def questions(self) -> int:
        return len(self.calls.asked)

    def ask(self, token: bytes | None = b"abc", *headers: tuple[bytes, bytes]) -> Played:
        given = [] if token is None else [(b"Authorization", b"Bearer " + token)]
        return self.harness.run(FakeExchange(headers=[*given, *headers]))

    def reply(self, given: Answer | CallFailed) -> None:
        """The endpoint answers the last question."""
        answered = self.calls.asked[-1].answered
        if isinstance(given, CallFailed):
            answered.errback(given)
        else:
            answered.callback(given)

    def known(self, given: Answer | CallFailed, token: bytes = b"abc") -> Played:
        """One request with this token, the answer to its question, and what became of it."""
        played = self.ask(token)
        assert played.waiting
        self.reply(given)
        return played


def world(**options: str) -> World:
    around = Surroundings()
    given = {**OPTIONS, **options}
    made = build_filter(introspection, given, around=around)
    return World(around, given, FilterHarness(made, clock=around.clock))
