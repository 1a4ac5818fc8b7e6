"""GCRA against the plain bucket that it stands for, to the last request; and what it does with memory and clocks."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from gwproxy.config.values import Rate
from gwproxy.filters.gcra import SCRIPT, Limit, LocalBuckets
from gwproxy.runtime.meters import Counter
from tests.store.conftest import redis
from tests.store.redis_process import RedisProcess

__all__ = ["redis"]

RATES = st.builds(Rate, st.integers(1, 5000), st.sampled_from([1.0, 60.0, 3600.0, 86400.0]))


class Bucket:
    """The model: requests in a bucket, filled up as time goes by. No rounding."""

    def __init__(self, rate: Rate, burst: int) -> None:
        self._rate = Fraction(rate.count) / Fraction(rate.seconds)
        self._burst = burst
        self.left = Fraction(burst)

    def wait(self, seconds: Fraction) -> None:
        self.left = min(Fraction(self._burst), self.left + seconds * self._rate)

    def take(self) -> bool:
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def until_next(self) -> Fraction:
        return max(Fraction(0), (1 - self.left) / self._rate)


def buckets(limit: Limit, clock: Clock, most: int = 1000) -> LocalBuckets:
    return LocalBuckets(limit, most, clock.seconds, Counter())


@given(RATES, st.integers(1, 20), st.lists(st.one_of(st.none(), st.integers(0, 3 << 30)), max_size=60))
@example(Rate(10, 60.0), 10, [None] * 11 + [6 << 20] + [None] * 2)
@example(Rate(3, 1.0), 3, [None] * 4 + [333333333, None, 1, None])
def test_it_is_the_bucket(rate: Rate, burst: int, steps: list[int | None]) -> None:
    """A step is a request, or nanoseconds that go by."""
    nanoseconds = 0
    limit = Limit(rate, burst)
    local = LocalBuckets(limit, 10, lambda: _Exact(nanoseconds), Counter())
    model = Bucket(rate, burst)
    for step in steps:
        if step is not None:
            nanoseconds += step
            model.wait(Fraction(step, 1_000_000_000))
            continue
        allowed = model.take()
        lacking = local.take("a")
        assert (lacking > 0) is allowed
        if allowed:
            assert limit.left(lacking) == int(model.left)
            assert Fraction(limit.capacity - lacking, limit.interval) == model.left
        else:
            assert Fraction(-lacking, limit.ticks * 1_000_000_000) == model.until_next()


class _Exact(float):
    """Seconds that are nanoseconds when multiplied by a billion: a float has no room for both."""

    def __new__(cls, nanoseconds: int) -> _Exact:
        exact = super().__new__(cls, nanoseconds / 1e9)
        exact.nanoseconds = nanoseconds
        return exact

    nanoseconds: int

    def __mul__(self, other: float) -> int:
        assert other == 1_000_000_000
        return self.nanoseconds


@pytest.mark.parametrize("start", [0.0, 12345.678, 3e7 + 0.1])
@pytest.mark.parametrize("rate", [Rate(50, 1.0), Rate(10, 60.0), Rate(7, 3600.0), Rate(1, 86400.0), Rate(3, 1.0)])
def test_the_burst_and_not_one_more(rate: Rate, start: float) -> None:
    clock = Clock()
    clock.advance(start)
    limit = Limit(rate, 100)
    local = buckets(limit, clock)
    assert [local.take("a") > 0 for _ in range(102)] == [True] * 100 + [False] * 2
    assert local.take("b") > 0
    clock.advance(rate.seconds / rate.count + 1e-6)
    assert [local.take("a") > 0 for _ in range(2)] == [True, False]


def test_in_whole_seconds() -> None:
    limit = Limit(Rate(10, 1.0), 25)
    clock = Clock()
    local = buckets(limit, clock)
    assert limit.window == 3
    assert limit.seconds(local.take("a")) == 1
    for _ in range(24):
        lacking = local.take("a")
    assert limit.seconds(lacking) == 3
    assert limit.left(lacking) == 0
    assert limit.seconds(-local.take("a")) == 1
    assert Limit(Rate(1000, 1.0), 1).window == 1


# Memory


def test_under_a_flood_there_are_no_more_buckets_than_may_be() -> None:
    clock = Clock()
    given_up = Counter()
    local = LocalBuckets(Limit(Rate(1, 3600.0), 1), 100, clock.seconds, given_up)
    most = 0
    for i in range(1000):
        local.take(str(i))
        most = max(most, len(local))
    assert most == 100
    assert 900 <= given_up.value <= 950
    assert local.take("960") < 0
    assert local.take("0") > 0


def test_who_is_over_the_limit_is_not_forgotten_by_asking() -> None:
    """Else a flood of other keys would be a way to a fresh bucket for one who goes on and on."""
    clock = Clock()
    local = buckets(Limit(Rate(1, 3600.0), 1), clock, most=100)
    local.take("a")
    for i in range(1000):
        local.take(str(i))
        assert local.take("a") < 0


def test_what_is_full_again_goes_as_others_come() -> None:
    clock = Clock()
    given_up = Counter()
    local = LocalBuckets(Limit(Rate(1, 1.0), 3), 100_000, clock.seconds, given_up)
    for i in range(1000):
        local.take(f"old {i}")
    for i in range(2):
        clock.advance(3)
        local.take(f"new {i}")
    assert len(local) == 2
    assert given_up.value == 0


def test_none_goes_before_it_is_full_as_long_as_there_is_room() -> None:
    clock = Clock()
    local = buckets(Limit(Rate(1, 1.0), 10), clock, most=1000)
    clock.advance(9.9)
    while local.take("a") > 0:
        pass
    for i in range(100):
        clock.advance(0.0901)
        local.take(str(i))
    assert local.take("a") > 0
    assert [local.take("a") > 0 for _ in range(10)] == [True] * 8 + [False] * 2


# Clocks


def test_a_clock_set_back_does_not_lock_out() -> None:
    now = 1_000_000.0
    limit = Limit(Rate(10, 1.0), 10)
    local = LocalBuckets(limit, 100, lambda: now, Counter())
    while local.take("a") > 0:
        pass
    now -= 3600
    assert limit.seconds(-local.take("a")) <= 1
    now += 0.2
    assert [local.take("a") > 0 for _ in range(3)] == [True, True, False]


def test_a_clock_set_forward_fills_no_more_than_the_bucket() -> None:
    now = 0.0
    local = LocalBuckets(Limit(Rate(10, 1.0), 10), 100, lambda: now, Counter())
    local.take("a")
    now += 1e9
    assert sum(local.take("a") > 0 for _ in range(50)) == 10


# In Redis


def run(redis: RedisProcess, rate: Rate, burst: int, key: str = "a") -> list[int]:
    """What the script gives: whether one was taken, how many are left, microseconds until full, and until the next."""
    arguments = (round(rate.seconds * 1e6), rate.count, burst)
    answer = redis.ask("EVAL", SCRIPT, "1", key, *map(str, arguments))
    assert answer.startswith("*4"), answer
    return [int(line[1:]) for line in answer.split()[1:]]


def now(redis: RedisProcess) -> int:
    """The server's clock, in microseconds."""
    _, _, seconds, _, microseconds = redis.ask("TIME").split()
    return int(seconds) * 1_000_000 + int(microseconds)


@pytest.mark.parametrize("rate", [Rate(1, 3600.0), Rate(7, 3600.0), Rate(1_000_000, 86400.0), Rate(10, 60.0)])
def test_in_redis_the_burst_and_not_one_more(redis: RedisProcess, rate: Rate) -> None:
    answers = [run(redis, rate, 5) for _ in range(5)]
    assert [answer[0] for answer in answers] == [1] * 5
    assert answers[0][1] == 4
    if rate.seconds / rate.count > 5:
        assert [answer[1] for answer in answers] == [4, 3, 2, 1, 0]
        interval = rate.seconds / rate.count * 1e6
        taken, left, full, wait = run(redis, rate, 5)
        assert (taken, left) == (0, 0)
        assert 5 * interval - 5e6 < full <= 5 * interval
        assert interval - 5e6 < wait <= interval
        assert run(redis, rate, 5, "b")[0] == 1


def test_in_redis_buckets_fill_again_and_expire(redis: RedisProcess) -> None:
    rate = Rate(10, 60.0)
    for _ in range(5):
        run(redis, rate, 5)
    assert 29_000 < int(redis.ask("PTTL", "a")[1:]) <= 30_001
    since, taken = redis.ask("GET", "a").split()[1:]
    assert taken == "5"
    # twelve seconds later: two are back
    redis.ask("SET", "a", f"{int(since) - 12_000_000} 5")
    assert [run(redis, rate, 5)[0] for _ in range(3)] == [1, 1, 0]
    # much later
    redis.ask("SET", "a", f"{int(since) - 12_000_000_000} 5")
    assert run(redis, rate, 5)[:2] == [1, 4]


def test_in_redis_a_bucket_in_use_for_long_is_exact(redis: RedisProcess) -> None:
    """A thousand days at the rate: what was full then has had its thousand days' worth."""
    rate = Rate(3, 60.0)
    minutes = 1000 * 24 * 60
    redis.ask("SET", "a", f"{now(redis) - minutes * 60_000_000} {minutes * 3 + 4}")
    assert [run(redis, rate, 6)[0] for _ in range(3)] == [1, 1, 0]
    since, taken = redis.ask("GET", "a").split()[1:]
    assert now(redis) - int(since) < 60_000_000
    assert int(taken) == 6


@pytest.mark.parametrize("stored", ["", "x", "1 2 3", "nan nan", "-5 7"])
def test_in_redis_what_is_no_bucket_is_a_full_one(redis: RedisProcess, stored: str) -> None:
    redis.ask("SET", "a", stored)
    assert run(redis, Rate(1, 60.0), 3)[:2] == [1, 2]


def test_in_redis_a_clock_set_back_does_not_lock_out(redis: RedisProcess) -> None:
    redis.ask("SET", "a", f"{now(redis) + 3_600_000_000} 100000")
    taken, left, full, wait = run(redis, Rate(10, 60.0), 5)
    assert (taken, left) == (0, 0)
    assert full <= 30_000_000
    assert wait <= 6_000_000
