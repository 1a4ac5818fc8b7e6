"""GCRA, the generic cell rate algorithm: a bucket of `burst` requests that fills again at `rate`, as one number a key.

The number is the moment at which the bucket will be full. A request moves it on by the time in which one request comes
back, if the bucket then lacks no more than it can hold. All times are whole ticks, so that no limit is off by a
rounding: a tick is a nanosecond, or a part of one where the rate would not divide.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import gcd
from typing import Final

from gwproxy.config.values import Rate
from gwproxy.runtime.meters import Counter

_NANOSECONDS: Final = 1_000_000_000


class Limit:
    """A rate and a burst, in ticks."""

    __slots__ = ("burst", "capacity", "interval", "rate", "ticks")

    def __init__(self, rate: Rate, burst: int) -> None:
        period = round(rate.seconds * _NANOSECONDS)
        common = gcd(period, rate.count)
        self.rate = rate
        self.burst = burst
        self.ticks = rate.count // common  # in a nanosecond
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
        return -(-ticks // (self.ticks * _NANOSECONDS))


class LocalBuckets:
    """The buckets of this process. A key that is not there has a full one.

    Holds `most` of them, and then gives up the one that was asked for longest ago. What is full again is dropped
    as others come, two for each: no look at a bucket costs more than another, however many there are.
    """

    __slots__ = ("_capacity", "_full", "_given_up", "_interval", "_most", "_scale", "_seconds")

    def __init__(self, limit: Limit, most: int, seconds: Callable[[], float], given_up: Counter) -> None:
        """`seconds`: a clock. `given_up` counts the buckets that were dropped though not full."""
        self._capacity = limit.capacity
        self._interval = limit.interval
        self._scale = limit.ticks
        self._most = most
        self._seconds = seconds
        # When each bucket will be full, in ticks; in the order in which they were asked for. Not a dict, whose first
        # item takes ever longer to find while the first ones are taken out.
        self._full: OrderedDict[str, int] = OrderedDict()
        self._given_up = given_up

    def __len__(self) -> int:
        return len(self._full)

    def take(self, key: str) -> int:
        """Takes one request out. Gives the ticks that the bucket now lacks; if nothing is in it, minus the ticks until
        there is."""
        now = int(self._seconds() * _NANOSECONDS) * self._scale
        buckets = self._full
        full = buckets.get(key)
        if full is None:
            self._make_room(now)
            full = now
        elif full < now:
            full = now
        lacking = full - now + self._interval
        over = lacking - self._capacity
        if over > 0:
            if over > self._interval:
                # No bucket lacks so much: the clock was set back. It begins anew, empty.
                full, over = now + self._capacity, self._interval
                buckets[key] = full
            buckets.move_to_end(key)
            return -over
        buckets[key] = full + self._interval
        buckets.move_to_end(key)
        return lacking

    def _make_room(self, now: int) -> None:
        buckets = self._full
        for _ in range(2):
            oldest = next(iter(buckets), None)
            if oldest is None or buckets[oldest] > now:
                break
            del buckets[oldest]
        if len(buckets) >= self._most:
            buckets.popitem(last=False)
            self._given_up.value += 1


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
