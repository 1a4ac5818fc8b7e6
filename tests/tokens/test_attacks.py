"""Tokens that somebody forged: the good ones pass, none of these does, and nobody is asked what a token asks for."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gwproxy.calls import Answer
from gwproxy.filters import jwt
from gwproxy.filters.decision import Denial
from gwproxy.testing import FakeCalls, FakeExchange, FilterHarness, Surroundings, build_filter
from gwproxy.testing.harness import Played
from gwproxy.tokens.verify import Refusal
from tests.tokens.kit.families import FAMILIES, KIDS, PUBLISHED, SIGNERS, good
from tests.tokens.kit.forge import CLAIMS, SECRET

URL = "https://idp.example/keys"
RULES = {"issuer": CLAIMS["iss"], "audience": "api", "claims_to_headers": "sub: X-User-Id"}
REASONS = {str(Denial(refusal)) for refusal in Refusal}


class Guarded:
    """Two gateways' filters: one that trusts published keys, one that shares a secret."""

    def __init__(self) -> None:
        self.calls = FakeCalls({URL: [Answer(200, [], json.dumps({"keys": PUBLISHED}).encode())]})
        self.around = Surroundings(calls=self.calls)
        self.public = self._build("public", algorithms=", ".join(KIDS), jwks_url=URL)
        self.shared = self._build("shared", algorithms="HS256", secret=SECRET.decode())
        self.around.keeper.start()

    def _build(self, name: str, **options: str) -> Any:
        return build_filter(jwt, {**RULES, **options}, name=name, around=self.around)

    def ask(self, token: bytes) -> list[Played]:
        """Both of them."""
        headers = [(b"Authorization", b"Bearer " + token), (b"X-User-Id", b"admin"), (b"x_user_id", b"admin")]
        return [FilterHarness(each).run(FakeExchange(headers=headers)) for each in (self.public, self.shared)]

    def passes(self, algorithm: str) -> bool:
        """Whether a good token passes where it should, and nowhere else."""
        public, shared = self.ask(good(algorithm))
        right, wrong = (shared, public) if algorithm == "HS256" else (public, shared)
        return (
            (right.status, wrong.status) == (200, 401)
            and (b"X-User-Id", b"user-1") in right.sent[0].headers
            and (b"X-User-Id", b"admin") not in right.sent[0].headers
        )


@pytest.fixture
def nothing_is_connected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Who was looked up or connected to."""
    contacted: list[Any] = []

    def contact(*address: Any) -> Any:
        contacted.append(address)
        raise OSError("not in this test")

    monkeypatch.setattr(socket.socket, "connect", contact)
    monkeypatch.setattr(socket.socket, "connect_ex", contact)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, contact)
    return contacted


@pytest.fixture
def guarded(nothing_is_connected: list[Any]) -> Iterator[Guarded]:
    guarded = Guarded()
    assert all(map(guarded.passes, SIGNERS))
    yield guarded
    # it takes no attack amiss
    assert all(map(guarded.passes, SIGNERS))
    assert [asked.url for asked in guarded.calls.asked] == [URL]
    assert nothing_is_connected == []
    guarded.around.keeper.stop()


def forged(family: str) -> list[bytes]:
    """Without those that are the same by chance."""
    return list(dict.fromkeys(FAMILIES[family]()))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_forged_token_passes(family: str, guarded: Guarded) -> None:
    wrong = []
    for token in forged(family):
        for played in guarded.ask(token):
            refused = (
                played.status == 401
                and played.reply is not None
                and played.reply.detail in REASONS
                and played.exchange.principal is None
                and played.sent == []
                and (played.header(b"www-authenticate") or b"").startswith(b'Bearer realm="api", error="invalid_token"')
            )
            if not refused:
                wrong.append((token[:200], played.status, played.reply))
    assert not wrong


def test_there_are_six_hundred_of_them() -> None:
    everything = {token for family in FAMILIES for token in forged(family)}
    assert len(everything) >= 600
    assert not everything & {good(algorithm) for algorithm in SIGNERS}
