"""GCRA, the generic cell rate algorithm: a bucket of `burst` requests that fills again at `rate`, as one number a key.

The number is the moment at which the bucket will be full. A request moves it on by the time in which one request comes
back, if the bucket then lacks no more than it can hold. All times are whole ticks, so that no limit is off by a
rounding: a tick is a nanosecond, or a part of one where the rate would not divide.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Final

from gwproxy.config.values import Rate
from gwproxy.runtime.meters import Counter

_NANOSECONDS: Final = 1_000_000_000


class Limit:
    """A rate and a burst, in ticks."""

    __slots__ = ("burst", "capacity", "interval", "rate", "second", "ticks")

    def __init__(self, rate: Rate, burst: int) -> None:
        period = round(rate.seconds * _NANOSECONDS)
        common = gcd(period, rate.count)
        self.rate = rate
        self.burst = burst
        self.ticks = rate.count // common  # in a nanosecond
        self.second = self.ticks * _NANOSECONDS
        self.interval = period // common  # in which one request comes back
        self.capacity = burst * self.interval  # in which an empty bucket fills

    @property
    def window(self) -> int:
        """Whole seconds in which an empty bucket fills, at least 1."""
        return max(1, self.seconds(self.capacity))

    def left(self, lacking: int) -> int:
        """Requests in a bucket that lacks so many ticks."""
        return (self.capacity - lacking) // self.interval

    def seconds(self, ticks: int) -> int:
        """In whole seconds, rounded up."""
        return -(-ticks // self.second)


class LocalBuckets:
    """The buckets of this process. A key that is not there has a full one.

    They are in two generations. What is asked for is in the young one, or comes into it. From time to time the young
    one becomes the old one, and what is in the old one then is dropped, as a whole, at no cost for each request: after
    the time in which a bucket fills, when all of them are full, or earlier, when there would be too many.
    """

    __slots__ = ("_capacity", "_given_up", "_interval", "_most", "_old", "_scale", "_seconds", "_turn_at", "_young")

    def __init__(self, limit: Limit, most: int, seconds: Callable[[], float], given_up: Counter) -> None:
        """`most`: buckets kept at once. `seconds`: a clock. `given_up` counts buckets dropped before their time."""
        self._capacity = limit.capacity
        self._interval = limit.interval
        self._scale = limit.ticks
        self._most = most // 2  # in a generation
        self._seconds = seconds
        self._given_up = given_up
        # When each bucket will be full, in ticks.
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._turn_at = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def take(self, key: str) -> int:
        """Takes one request out. Gives the ticks that the bucket now lacks; if nothing is in it, minus the ticks until
        there is."""
        now = int(self._seconds() * 1e9) * self._scale
        full = self._young.get(key)
        if full is None:
            full = self._rejuvenate(key, now)
        if full < now:
            full = now
        full += self._interval
        lacking = full - now
        if lacking <= self._capacity:
            self._young[key] = full
            return lacking
        if lacking > self._capacity + self._interval:
            # No bucket lacks so much: the clock was set back. It begins anew, empty.
            self._young[key] = now + self._capacity
            return -self._interval
        return self._capacity - lacking

    def _rejuvenate(self, key: str, now: int) -> int:
        """Into the young generation, from the old one or from nowhere."""
        full = self._old.pop(key, now)
        if now >= self._turn_at or len(self._young) >= self._most:
            if now < self._turn_at:
                self._given_up.value += len(self._old)
            self._old, self._young = self._young, {}
            self._turn_at = now + self._capacity
        self._young[key] = full
        return full


# The same in Redis. A bucket is there a moment at which it was full (microseconds) and the requests taken since: whole
# numbers, which a script's floating point holds exactly, and its moment of being full would not be one. Needs Redis 5,
# where a script that reads the time may write.
#
# KEYS[1]: the bucket. ARGV: microseconds of the rate, its count, the burst.
# Gives whether one was taken, how many are left, microseconds until the bucket is full, and until there is one.
SCRIPT: Final = """\
local period, count, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local since, taken = now, 0
local stored = redis.call('GET', KEYS[1])
if stored then
  local s, t = string.match(stored, '^(%d+) (%d+)$')
  since, taken = tonumber(s) or now, tonumber(t) or 0
end
if since > now then
  since, taken = now, math.min(taken, burst)
end
local periods = math.floor((now - since) / period)
since, taken = since + periods * period, taken - periods * count
local back = (now - since) * count / period
if taken <= back then
  since, taken, back = now, 0, 0
end
local allowed = taken + 1 - back <= burst
if allowed then
  taken = taken + 1
end
local lacking = taken - back
local full = math.ceil(lacking * period / count)
if allowed then
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', since, taken), 'PX', math.ceil(full / 1000) + 1)
end
local wait = math.max(0, math.ceil((lacking + 1 - burst) * period / count))
return {allowed and 1 or 0, math.floor(burst - lacking), full, wait}
"""
