"""The parsers against h11 with bytes that are nearly HTTP.

GWPROXY_FUZZ_CASES says how many of each kind, GWPROXY_FUZZ_SEED which; `make fuzz` runs many. What a run finds stands
in FOUND from then on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

import pytest

from tests.fuzz.mutate import CHUNKED, REQUESTS, RESPONSES, mutated, pieces
from tests.fuzz.oracles import check_chunked, check_request, check_response

CASES = int(os.environ.get("GWPROXY_FUZZ_CASES", "3000"))
SEED = int(os.environ.get("GWPROXY_FUZZ_SEED", "1"))

Check = Callable[[list[bytes]], bool]

KINDS: dict[str, tuple[list[bytes], Check]] = {
    "request": (REQUESTS, check_request),
    "response": (RESPONSES, check_response),
    "chunked": (CHUNKED, check_chunked),
}


FOUND: list[tuple[str, list[bytes]]] = [
    # a tab at the end of a value; a reason phrase that is none: both taken, and not in two ways
    ("request", [b"GET / HTTP/1.0\r\nX: a\t\r\nHost: [::1]:80\r\n\r\n"]),
    ("response", [b"HTTP/1.1 103 Early Hin", b"ts\x00\r\nLink: ", b"</a>\r\n\r\nHTTP/1.1 304 \xf2ot Modified\r\n\r\n"]),
]


@pytest.mark.parametrize(("kind", "data"), FOUND)
def test_what_was_found(kind: str, data: list[bytes]) -> None:
    _, check = KINDS[kind]
    assert check(data)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_read_in_two_ways(kind: str) -> None:
    seeds, check = KINDS[kind]
    random = Random(f"{kind} {SEED}")
    taken = 0
    for number in range(CASES):
        data = pieces(random, mutated(random, seeds))
        try:
            taken += check(data)
        except Exception as error:
            raise AssertionError(f"seed {SEED}, case {number}: {data!r}: {error!r}") from error
    # bytes that are all refused would prove nothing
    assert taken > CASES // 10
