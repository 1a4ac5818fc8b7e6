"""A token is found again while it is good, under the keys that verified it, and nothing of it is kept."""

from __future__ import annotations

import gc
import math
from typing import Any

import pytest

from gwproxy.tokens.keys import keys_from_secret
from gwproxy.tokens.verified import VerifiedTokens

KEYS = keys_from_secret(b"k" * 32, {"HS256"})
OTHERS = keys_from_secret(b"o" * 32, {"HS256"})


def remembering(*tokens: bytes, size: int = 10) -> VerifiedTokens[Any]:
    known: VerifiedTokens[Any] = VerifiedTokens(size)
    for token in tokens:
        known.add(token, KEYS, 100, 200, token[::-1])
    return known


@pytest.mark.parametrize(
    ("now", "found"),
    [(99.9, None), (100, b"cba"), (199.9, b"cba"), (200, None), (1e12, None), (-1, None), (math.nan, None)],
)
def test_a_token_is_found_while_it_is_good(now: float, found: bytes | None) -> None:
    known = remembering(b"abc")
    assert known.find(b"abc", KEYS, now) == found
    assert known.find(b"abd", KEYS, now) is None
    # a clock that is set right again finds it again
    assert known.find(b"abc", KEYS, 150) == b"cba"


def test_other_keys_know_nothing_of_it() -> None:
    known = remembering(b"abc")
    assert known.find(b"abc", OTHERS, 150) is None
    assert len(known) == 0
    assert known.find(b"abc", KEYS, 150) is None


def test_a_token_that_other_keys_verified_meanwhile_empties_it() -> None:
    known = remembering(b"abc")
    known.add(b"def", OTHERS, 100, 200, 1)
    assert (known.find(b"def", OTHERS, 150), len(known)) == (1, 1)


def test_the_same_keys_read_again_are_the_same() -> None:
    known = remembering(b"abc")
    assert known.find(b"abc", keys_from_secret(b"k" * 32, {"HS256"}), 150) == b"cba"


@pytest.mark.parametrize("size", [0, 1, 2, 7, 100])
def test_it_is_bounded(size: int) -> None:
    known = remembering(*[b"%d" % number for number in range(1000)], size=size)
    assert len(known) <= size + size % 2
    assert sum(known.find(b"%d" % number, KEYS, 150) is not None for number in range(1000)) >= size // 2


def test_what_is_used_stays() -> None:
    known = remembering(b"used", size=10)
    for number in range(100):
        known.add(b"%d" % number, KEYS, 100, 200, number)
        assert known.find(b"used", KEYS, 150) == b"desu"


def test_no_token_is_kept() -> None:
    token = b"a-token-that-nobody-else-has" * 3
    known = remembering(token)
    known.find(token, KEYS, 150)
    reachable = gc.get_referents(known, known._new, *known._new.values())
    assert token not in reachable
    assert [len(digest) for digest in known._new] == [32]
    assert "token" not in repr(known).lower().replace("verifiedtokens", "")
