"""traceparent: what is valid, and that what is not begins a new trace."""

from __future__ import annotations

import random

import pytest

from gwproxy.http.trace import begin_traceparent, new_trace_id, parse_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01".encode()


def test_a_valid_traceparent_is_read() -> None:
    assert parse_traceparent(VALID) == (TRACE, SPAN, "01")


@pytest.mark.parametrize("suffix", [b"", b"-", b"-what-comes-later"])
def test_of_a_later_version_the_known_part_is_read(suffix: bytes) -> None:
    assert parse_traceparent(b"cc" + VALID[2:] + suffix) == (TRACE, SPAN, "01")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        VALID.upper(),
        b"ff" + VALID[2:],
        VALID[:-1],
        VALID + b"0",
        VALID + b"-more",
        b"cc" + VALID[2:] + b"more",
        b" " + VALID,
        VALID + b"\n",
        VALID.replace(b"-", b"_"),
        VALID.replace(TRACE.encode(), b"0" * 32),
        VALID.replace(SPAN.encode(), b"0" * 16),
        VALID.replace(b"4bf9", b"4bg9"),
        VALID.replace(b"-01", b"-0x"),
    ],
)
def test_an_invalid_traceparent_is_none(value: bytes) -> None:
    assert parse_traceparent(value) is None


def test_a_new_trace_is_valid() -> None:
    getrandbits = random.Random(1).getrandbits
    trace_id = new_trace_id(getrandbits)
    trace = parse_traceparent(begin_traceparent(trace_id, getrandbits))
    assert trace is not None
    assert (trace.trace_id, trace.flags) == (trace_id, "00")


@pytest.mark.parametrize("bits", [0, 1])
def test_ids_are_never_all_zeros_and_keep_their_leading_ones(bits: int) -> None:
    def getrandbits(count: int) -> int:
        return bits

    value = begin_traceparent(new_trace_id(getrandbits), getrandbits)
    assert value == b"00-%032x-%016x-00" % (1, 1)
    assert parse_traceparent(value) is not None
