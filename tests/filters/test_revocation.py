"""The filter `revocation`: a good token that is no more to be accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent

from gwproxy.config import ConfigMistake
from gwproxy.filters import revocation
from gwproxy.filters.api import Principal
from gwproxy.filters.revocation import MOST_KNOWN, SCRIPT, StoredRevocations
from gwproxy.filters.revoked import Token
from gwproxy.store.redis import StoreFailed
from gwproxy.testing import FakeExchange, FilterHarness, Played, Surroundings, build_filter, parse_options
from tests.filters.fake_store import FakeStore
from tests.store.conftest import redis
from tests.store.redis_process import RedisProcess

__all__ = ["redis"]

ISSUED = 1_699_999_000


class Revoking:
    """A filter and what is around it."""

    def __init__(self, store: FakeStore | None = None, /, **options: str) -> None:
        self.around = Surroundings(stores={} if store is None else {"shared": store})
        options = {**({} if store is None else {"store": "shared"}), **options}
        self.filter = build_filter(revocation, options, name="revoked", around=self.around)
        self.harness = FilterHarness(("revoked", self.filter), clock=self.around.clock)

    def ask(self, jti: str = "id-1", sub: str = "alice", **claims: Any) -> Played:
        claims = {"jti": jti, "sub": sub, "iat": ISSUED, **claims}
        return self.harness.run(FakeExchange(principal=Principal(sub, claims, method="jwt")))


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    return tmp_path / "revoked.txt"


def test_a_token_on_the_list_is_refused(listed: Path) -> None:
    listed.write_text("jti id-1\nsub bob\nbefore 1699998000 sub carol\n")
    revoking = Revoking(file=str(listed))
    denied = revoking.ask()
    assert denied.reply is not None
    assert (denied.reply.status, denied.reply.detail) == (401, "token_revoked")
    assert denied.header(b"www-authenticate") == (
        b'Bearer error="invalid_token", error_description="the token was revoked"'
    )
    assert revoking.ask("id-2").status == 200
    assert revoking.ask("id-2", "bob").status == 401
    assert revoking.ask("id-2", "carol").status == 200
    assert revoking.ask("id-2", "carol", iat=1699997999).status == 401
    assert revoking.around.decisions("revoked") == {("allow", "enforce"): 2, ("deny", "enforce"): 3}
    assert [(event["event"], event["reason"]) for event in revoking.around.events] == [
        ("auth_failed", "token_revoked")
    ] * 3


def test_nobody_has_nothing_to_revoke(listed: Path) -> None:
    listed.write_text("before 2030-01-01\n")
    revoking = Revoking(FakeStore(), file=str(listed))
    assert revoking.harness.run().status == 200


def test_the_list_is_read_again(listed: Path, logged_errors: list[LogEvent]) -> None:
    listed.write_text("# none yet\n")
    revoking = Revoking(file=str(listed))
    revoking.around.keeper.start()
    assert revoking.ask().status == 200
    listed.write_text("jti id-1\n")
    revoking.around.clock.advance(1)
    assert revoking.ask().status == 401
    listed.write_text("jti id-2 gone wrong\n")
    revoking.around.clock.advance(1)
    assert revoking.ask().status == 401
    assert "line 1" in str(logged_errors.pop())
    listed.unlink()
    revoking.around.clock.advance(1)
    assert revoking.ask().status == 401
    logged_errors.clear()
    revoking.around.keeper.stop()


def test_an_entry_ends_by_itself(listed: Path) -> None:
    listed.write_text("jti id-1 1700000010\n")
    revoking = Revoking(file=str(listed))
    revoking.around.clock.advance(9.5)
    assert revoking.ask().status == 401
    revoking.around.clock.advance(1)
    assert revoking.ask().status == 200


def test_in_shadow_mode_it_passes(listed: Path) -> None:
    listed.write_text("jti id-1\n")
    revoking = Revoking(file=str(listed), mode="shadow")
    assert revoking.ask().status == 200
    assert revoking.around.decisions("revoked") == {("deny", "shadow"): 1}


# With a store


def test_the_store_is_asked_once_in_a_while() -> None:
    store = FakeStore()
    revoking = Revoking(store)
    played = revoking.ask()
    (question,) = store.asked
    assert question.script == SCRIPT
    assert question.keys == ["revoked:jti:id-1", "revoked:sub:alice", "revoked:before", "revoked:before:alice"]
    assert question.arguments == [str(ISSUED)]
    assert played.waiting
    question.answer.callback(0)
    assert played.status == 200
    revoking.around.clock.advance(0.9)
    assert revoking.ask().status == 200
    assert len(store.asked) == 1
    assert revoking.ask("id-2").waiting
    revoking.around.clock.advance(0.1)
    again = revoking.ask()
    store.asked[-1].answer.callback(1)
    assert again.status == 401
    assert revoking.ask().status == 401
    assert len(store.asked) == 3


def test_without_a_cache_it_is_asked_each_time() -> None:
    store = FakeStore()
    revoking = Revoking(store, cache_ttl="0")
    for i in range(3):
        revoking.ask()
        store.asked[i].answer.callback(0)
    assert len(store.asked) == 3


def test_the_file_is_asked_first(listed: Path) -> None:
    store = FakeStore()
    listed.write_text("jti id-1\n")
    revoking = Revoking(store, file=str(listed))
    assert revoking.ask().status == 401
    assert store.asked == []
    assert revoking.ask("id-2").waiting


@pytest.mark.parametrize("down", ["known", "found out"])
@pytest.mark.parametrize(
    ("on_store_error", "status", "decision"),
    [(None, 503, "deny"), ("allow", 200, "error")],
)
def test_without_its_answer(on_store_error: str | None, status: int, decision: str, down: str) -> None:
    store = FakeStore()
    revoking = Revoking(store, **({} if on_store_error is None else {"on_store_error": on_store_error}))
    store.available = down == "found out"
    played = revoking.ask()
    if down == "found out":
        store.asked[0].answer.errback(StoreFailed("timeout"))
    assert played.status == status
    if status == 503:
        assert played.reply is not None
        assert played.reply.detail == "store_unavailable"
        assert played.header(b"retry-after") == b"1"
    assert revoking.around.decisions("revoked") == {(decision, "enforce"): 1}
    assert [(each["event"], each["reason"]) for each in revoking.around.events] == [
        ("check_failed", "store_unavailable")
    ]


def test_what_is_known_is_bounded() -> None:
    store = FakeStore()
    stored = StoredRevocations(store, 60.0, lambda: 0.0)  # type: ignore[arg-type]  # stands in for one
    for i in range(MOST_KNOWN + 10):
        asked = stored.ask(Token({"jti": str(i) * 1000}, ""))
        assert asked is not None
        store.asked.pop().answer.callback(0)
    assert MOST_KNOWN // 2 <= len(stored._known) <= MOST_KNOWN
    assert all(len(jti) < 65 for jti, _, _ in stored._known._new)


@pytest.mark.parametrize(
    ("commands", "revoked"),
    [
        ([], False),
        (["SET jti:id-1 1"], True),
        (["SADD jti:id-1 any type will do"], True),
        (["SET jti:id-2 1"], False),
        (["SET sub:alice 1 EX 60"], True),
        (["SET before 1699999000"], False),
        (["SET before 1699999001"], True),
        (["SET before:alice 1699999001"], True),
        (["SET before:bob 1699999001"], False),
        (["SET before 1699998000", "SET before:alice 1699999001"], True),
        (["SET before 2027-01-31"], True),
        (["SET jti:id-1 1 PX 1", "DEBUG SLEEP 0.01"], False),
    ],
)
def test_what_stands_in_redis(redis: RedisProcess, commands: list[str], revoked: bool) -> None:
    store = FakeStore()
    revoking = Revoking(store)
    revoking.ask()
    (question,) = store.asked
    for command in commands:
        verb, key, *rest = command.split()
        redis.ask(verb, key if verb == "DEBUG" else f"revoked:{key}", *rest)
    answer = redis.ask("EVAL", question.script, "4", *question.keys, *question.arguments)
    assert answer == f":{int(revoked)}\r\n"


def test_in_redis_a_token_that_does_not_say_when_was_issued_before(redis: RedisProcess) -> None:
    store = FakeStore()
    Revoking(store).ask(iat=None)
    (question,) = store.asked
    redis.ask("SET", "revoked:before", "1")
    assert redis.ask("EVAL", question.script, "4", *question.keys, *question.arguments) == ":1\r\n"


# What is refused at load


def test_a_mistake_in_the_file_is_told_with_its_line(listed: Path) -> None:
    listed.write_text("jti a\nrevoke b\n")
    with pytest.raises(ConfigMistake, match=r"revoked\.txt: line 2: an entry is") as caught:
        Revoking(file=str(listed))
    assert caught.value.key == "file"


@pytest.mark.parametrize(
    ("options", "said", "key"),
    [
        ({}, "needs a file or a store", ""),
        ({"file": "FILE", "on_store_error": "allow"}, "needs a store", "on_store_error"),
        ({"file": "FILE", "cache_ttl": "5s"}, "needs a store", "cache_ttl"),
        ({"store": "other"}, "there is no such", "store"),
    ],
)
def test_contradictions(options: dict[str, str], said: str, key: str, listed: Path) -> None:
    listed.write_text("")
    with pytest.raises(ConfigMistake, match=said) as caught:
        Revoking(None, **{name: text.replace("FILE", str(listed)) for name, text in options.items()})
    assert caught.value.key == key


def test_traits(listed: Path) -> None:
    listed.write_text("")
    assert revocation.traits(parse_options(revocation.Options, {"file": str(listed)})).needs_principal
