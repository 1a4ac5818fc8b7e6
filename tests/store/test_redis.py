"""A store over a real Redis: what it answers, and what happens when it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, eventAsText, globalLogPublisher
from zope.interface import provider

from gwproxy.config.stores import StoreOptions, redis_url
from gwproxy.filters import gcra, revocation
from gwproxy.runtime.meters import Meters
from gwproxy.store.redis import Store, StoreFailed, login_of
from tests.store.redis_process import RedisProcess

ECHO = "return {tonumber(ARGV[1]), redis.call('INCR', KEYS[1])}"
PATIENCE = 10.0


@attrs.define
class Kept:
    """A store, with its metrics and what it logged."""

    store: Store
    meters: Meters
    log: list[str]

    def count(self, outcome: str) -> float:
        return self._read("store_questions", (self.store.name, outcome))

    @property
    def up(self) -> bool:
        return bool(self._read("store_up", (self.store.name,)))

    async def until(self, up: bool) -> None:
        """Waits for it."""
        from twisted.internet import reactor

        deadline = reactor.seconds() + PATIENCE
        while self.up is not up:
            assert reactor.seconds() < deadline, self.log
            await deferLater(reactor, 0.01, lambda: None)

    def _read(self, name: str, labels: tuple[str, ...]) -> float:
        (family,) = [family for family in self.meters.families() if family.name == name]
        return family.series[labels]()


def options(url: str, **others: Any) -> StoreOptions:
    return StoreOptions(name="shared", url=redis_url(url), **{"timeout": 1.0, **others})


@pytest.fixture
def make() -> Iterator[Any]:
    """`make(url, ...)`: a started store. All are stopped at the end, and have logged no password."""
    from twisted.internet import reactor

    made: list[Store] = []
    log: list[str] = []

    @provider(ILogObserver)
    def collect(event: LogEvent) -> None:
        log.append(eventAsText(event))

    def make_store(url: str, **others: Any) -> Kept:
        meters = Meters()
        made.append(Store(options(url, **others), reactor, meters))
        made[-1].start()
        return Kept(made[-1], meters, log)

    globalLogPublisher.addObserver(collect)
    yield make_store
    for store in made:
        store.stop()
        assert "pass-word" not in repr(store)
    globalLogPublisher.removeObserver(collect)
    assert not [line for line in log if "pass-word" in line]


async def why(asked: Deferred[Any]) -> str:
    with pytest.raises(StoreFailed) as caught:
        await asked
    return str(caught.value)


@pytest_twisted.ensureDeferred
async def test_a_script_runs_with_keys_and_arguments(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url)
    await kept.until(True)
    assert await kept.store.run(ECHO, ["a"], [7]) == [7, 1]
    assert await kept.store.run(ECHO, ["a"], [8]) == [8, 2]
    assert redis.ask("GET", "gwproxy:a") == "$1\r\n2\r\n"
    assert kept.count("answered") == 2
    assert kept.log[-1].endswith("answers")


@pytest_twisted.ensureDeferred
async def test_the_script_itself_goes_once(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url)
    await kept.until(True)
    for _ in range(5):
        await kept.store.run(ECHO, ["a"], [7])
    calls = redis.ask("INFO", "commandstats")
    assert "cmdstat_eval:calls=1," in calls
    assert "cmdstat_evalsha:calls=5," in calls  # of which one was in vain
    redis.ask("SCRIPT", "FLUSH")
    assert await kept.store.run(ECHO, ["a"], [7]) == [7, 6]
    assert kept.count("answered") == 6
    assert kept.count("error") == 0


@pytest_twisted.ensureDeferred
async def test_text_of_any_kind_arrives(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url, prefix="p:")
    await kept.until(True)
    key = "a b\r\n\u00e9\ud800"
    assert await kept.store.run("return {KEYS[1], ARGV[1]}", [key], ["$1\r\n"]) == [
        b"p:" + key.encode("utf-8", "surrogatepass"),
        b"$1\r\n",
    ]


@pytest_twisted.ensureDeferred
async def test_many_at_once_get_each_their_own(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url, connections=3)
    await kept.until(True)
    answers = await gatherResults([kept.store.run(ECHO, [f"k{i % 7}"], [i]) for i in range(500)])
    assert [answer[0] for answer in answers] == list(range(500))
    assert redis.ask("GET", "gwproxy:k0") == "$2\r\n72\r\n"


@pytest_twisted.ensureDeferred
async def test_no_more_than_so_many_in_flight(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url, max_in_flight=2, connections=1)
    await kept.until(True)
    first, second = (kept.store.run(ECHO, ["a"], [i]) for i in range(2))
    assert not kept.store.available
    assert await why(kept.store.run(ECHO, ["a"], [3])) == "not available"
    assert await gatherResults([first, second]) == [[0, 1], [1, 2]]
    assert kept.store.available
    assert kept.count("refused") == 1


@pytest_twisted.ensureDeferred
async def test_who_waits_no_more_disturbs_nobody(make: Any, redis: RedisProcess) -> None:
    from twisted.internet.defer import CancelledError

    kept = make(redis.url, connections=1)
    await kept.until(True)
    given_up, waiting = (kept.store.run(ECHO, ["a"], [i]) for i in range(2))
    given_up.cancel()
    with pytest.raises(CancelledError):
        await given_up
    assert await waiting == [1, 2]


@pytest_twisted.ensureDeferred
async def test_a_password_a_user_and_a_database(make: Any, tmp_path: Path, redis: RedisProcess) -> None:
    redis.ask("ACL", "SETUSER", "gateway", "on", ">pass-word", "~*", "+@all")
    kept = make(redis.url.replace("redis://", "redis://gateway:pass-word@").replace("/0", "/3"))
    await kept.until(True)
    await kept.store.run(ECHO, ["a"], [1])
    assert "db3:keys=1" in redis.ask("INFO", "keyspace")


@pytest_twisted.ensureDeferred
async def test_a_user_who_may_do_no_more_than_the_documentation_says(make: Any, redis: RedisProcess) -> None:
    page = Path(__file__).parents[2] / "docs/stores.md"
    (rule,) = re.findall(r"`ACL SETUSER (gateway [^`]*)`", page.read_text())
    assert redis.ask("ACL", "SETUSER", *rule.replace("PASSWORD", "pass-word").split()) == "+OK\r\n"
    kept = make(redis.url.replace("redis://", "redis://gateway:pass-word@").replace("/0", "/1"))
    await kept.until(True)
    assert await kept.store.run(gcra.SCRIPT, ["a"], [60_000_000, 10, 10]) == [1, 9, 6_000_000, 0]
    keys = ["revoked:jti:a", "revoked:sub:a", "revoked:before", "revoked:before:a"]
    assert await kept.store.run(revocation.SCRIPT, keys, [1]) == 0
    with pytest.raises(StoreFailed):
        await kept.store.run("return redis.call('FLUSHALL')", [], [])


@pytest_twisted.ensureDeferred
async def test_a_wrong_password_is_told_once_and_not_shown(make: Any, tmp_path: Path, redis: RedisProcess) -> None:
    kept = make(redis.url.replace("redis://", "redis://gateway:pass-word@"), connections=1)
    from twisted.internet import reactor

    await deferLater(reactor, 0.5, lambda: None)
    assert not kept.store.available
    lines = [line for line in kept.log if "[store:shared]" in line]
    assert len(lines) == 1
    assert lines[0].endswith(f"127.0.0.1:{redis.port} is not asked: AUTH was refused: WRONGPASS")


@pytest_twisted.ensureDeferred
async def test_a_unix_socket(make: Any, tmp_path: Path) -> None:
    redis = RedisProcess(tmp_path, "--unixsocket", str(tmp_path / "redis.sock"))
    redis.start()
    try:
        kept = make(f"unix://{tmp_path}/redis.sock?db=2")
        await kept.until(True)
        assert await kept.store.run(ECHO, ["a"], [1]) == [1, 1]
        assert "db2:keys=1" in redis.ask("INFO", "keyspace")
    finally:
        redis.kill()


# When it does not answer


@pytest_twisted.ensureDeferred
async def test_killed_and_started_again(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url)
    await kept.until(True)
    redis.kill()
    await kept.until(False)
    assert await why(kept.store.run(ECHO, ["a"], [1])) == "not available"
    redis.start()
    await kept.until(True)
    assert await kept.store.run(ECHO, ["a"], [1]) == [1, 1]
    said = [line.partition("] ")[2] for line in kept.log if "[store:shared]" in line]
    assert ["answers" in line for line in said] == [True, False, True]


@pytest_twisted.ensureDeferred
async def test_killed_with_questions_on_the_way(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url)
    await kept.until(True)
    redis.pause()
    asked = [kept.store.run(ECHO, ["a"], [i]) for i in range(4)]
    redis.kill()
    for each in asked:
        assert "Connection" in await why(each)
    assert kept.count("lost") == 4


@pytest_twisted.ensureDeferred
async def test_paused_nobody_waits_longer_than_the_timeout(make: Any, redis: RedisProcess) -> None:
    from twisted.internet import reactor

    kept = make(redis.url, timeout=0.05, connections=2)
    await kept.until(True)
    redis.pause()
    began = reactor.seconds()
    while kept.store.available:
        assert await why(kept.store.run(ECHO, ["a"], [1])) == "timeout"
    # one of each connection; connecting anew takes an answer
    assert kept.count("timeout") == 2
    assert 0.1 <= reactor.seconds() - began
    assert not kept.up
    redis.resume()
    await kept.until(True)
    assert (await kept.store.run(ECHO, ["b"], [1]))[0] == 1


@pytest_twisted.ensureDeferred
async def test_too_late_too_often_opens_the_breaker_for_all_connections(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url, timeout=0.05, connections=2, breaker_failures=1, breaker_pause=60.0)
    await kept.until(True)
    redis.hold_up(0.1)
    assert kept.store.available
    assert await why(kept.store.run(ECHO, ["a"], [1])) == "timeout"
    assert not kept.store.available


@pytest_twisted.ensureDeferred
async def test_where_nobody_asks_it_is_up_again_when_the_pause_is_over(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url, timeout=0.05, connections=1, breaker_failures=1, breaker_pause=0.5)
    await kept.until(True)
    redis.hold_up(0.1)
    assert await why(kept.store.run(ECHO, ["a"], [1])) == "timeout"
    assert not kept.up
    await kept.until(True)
    assert kept.count("answered") == 0


@pytest_twisted.ensureDeferred
async def test_slow_and_the_late_answer_is_not_taken_for_anothers(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url, timeout=0.05, connections=1)
    await kept.until(True)
    redis.hold_up(0.3)
    assert await why(kept.store.run(ECHO, ["a"], [1])) == "timeout"
    await kept.until(True)
    for i in range(2, 50):
        assert (await kept.store.run(ECHO, ["a"], [i]))[0] == i


@pytest_twisted.ensureDeferred
async def test_what_redis_refuses_opens_the_breaker_and_one_question_closes_it(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url, breaker_failures=2, breaker_pause=0.2)
    await kept.until(True)
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    for _ in range(2):
        assert "OOM" in await why(kept.store.run(ECHO, ["a"], [1]))
    assert not kept.store.available
    assert not kept.up
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    from twisted.internet import reactor

    await deferLater(reactor, 0.25, lambda: None)
    assert kept.store.available
    probe = kept.store.run(ECHO, ["a"], [1])
    assert not kept.store.available  # until it is known what comes of it
    assert await probe == [1, 1]
    assert kept.up
    assert kept.store.available


@pytest_twisted.ensureDeferred
async def test_a_replica_that_takes_no_writes_is_left(make: Any, redis: RedisProcess) -> None:
    kept = make(redis.url, connections=1, breaker_failures=10)
    await kept.until(True)
    redis.ask("REPLICAOF", "127.0.0.1", "1")
    assert "READONLY" in await why(kept.store.run(ECHO, ["a"], [1]))
    assert not kept.up
    redis.ask("REPLICAOF", "NO", "ONE")
    await kept.until(True)
    assert await kept.store.run(ECHO, ["a"], [1]) == [1, 1]


def test_without_a_start_it_is_not_available_and_opens_nothing() -> None:
    from twisted.internet import reactor

    store = Store(options("redis://127.0.0.1:1/0"), reactor, Meters())
    assert not store.available
    store.stop()


def test_the_login() -> None:
    assert login_of(options("redis://127.0.0.1")) == [(b"PING",)]
    assert login_of(options("redis://:pass@127.0.0.1/2")) == [(b"AUTH", b"pass"), (b"SELECT", b"2"), (b"PING",)]
    assert login_of(options("redis://me:p%40ss@h/0")) == [(b"AUTH", b"me", b"p@ss"), (b"PING",)]
