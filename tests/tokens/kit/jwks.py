"""A source of keys, the process and the provider around it, played. Time is a Clock."""

from __future__ import annotations

import json
from typing import Any

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gwproxy.calls import Answer, CallFailed
from gwproxy.testing import FakeCalls, Surroundings
from gwproxy.tokens.jwks import JwksSource
from gwproxy.tokens.keys import KeySet, VerificationKey
from gwproxy.tokens.provider import Provider
from gwproxy.tokens.saved import SavedKeys

URL = "https://idp.example.com/keys"


PUBLIC = Ed25519PrivateKey.generate().public_key()


def read(document: Any) -> KeySet:
    """Keys of what stands for a JWKS here: a list of kids."""
    if not isinstance(document, list) or not document:
        raise ValueError("is no list of kids")
    return KeySet([VerificationKey(kid, frozenset(["EdDSA"]), PUBLIC) for kid in document])


def kids(keys: KeySet | None) -> list[str | None] | None:
    return None if keys is None else [key.kid for key in keys.keys]


def answer(*kids: str, cache: bytes = b"") -> Answer:
    return Answer(200, [(b"Cache-Control", cache)] if cache else [], json.dumps(kids).encode())


@attrs.define
class World:
    """A source, and the process and the provider around it."""

    around: Surroundings
    source: JwksSource

    @property
    def calls(self) -> FakeCalls:
        assert isinstance(self.around.calls, FakeCalls)
        return self.around.calls

    @property
    def fetches(self) -> int:
        return len(self.calls.asked)

    def advance(self, seconds: float) -> None:
        self.around.clock.advance(seconds)

    def answer(self, *kids: str, cache: bytes = b"") -> None:
        """The provider answers the fetch under way."""
        self.calls.asked[-1].answered.callback(answer(*kids, cache=cache))

    def fail(self, why: str = "connect") -> None:
        self.calls.asked[-1].answered.errback(CallFailed(why))

    def metric(self, name: str, **labels: str) -> float:
        family = next(family for family in self.around.meters.families() if family.name == name)
        wanted = tuple(str(labels.get(label, "test")) for label in family.label_names)
        return family.series[wanted]()

    def refetch(self) -> list[Any]:
        """What came of asking for newer keys; empty while it is waited for."""
        waiting = self.source.refetch()
        if waiting is None:
            return ["no"]
        told: list[Any] = []
        waiting.addCallback(lambda keys: told.append(kids(keys)))
        return told


def make_world(around: Surroundings | None = None, **options: Any) -> World:
    """A source that has not begun."""
    around = around or Surroundings()
    context = around.context()
    provider = Provider(around.calls, around.clock.seconds, url=URL, timeout=5.0)
    saved = None if around.state_dir is None else SavedKeys(around.state_dir, URL, context.in_thread)
    options = {"jitter": lambda: 0.0, **options}
    return World(around, JwksSource(context, provider, read, saved, **options))


def started_world(around: Surroundings | None = None, **options: Any) -> World:
    """One that has its first keys."""
    made = make_world(around, **options)
    made.source.start()
    made.answer("a")
    return made
