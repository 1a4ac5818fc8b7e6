"""Held pieces: all there, in order, and small."""

from __future__ import annotations

import sys

from gwproxy.http.pieces import grown


def test_they_are_held_in_order() -> None:
    held: bytes | bytearray = b""
    for piece in (b"a", b"", b"bc", b"d"):
        held = grown(held, piece)
    assert bytes(held) == b"abcd"


def test_one_piece_is_not_copied() -> None:
    piece = b"a" * 1000
    assert grown(b"", piece) is piece


def test_the_first_is_left_alone() -> None:
    first = b"ab"
    assert grown(first, b"c") == b"abc"
    assert first == b"ab"


def test_small_pieces_take_their_size() -> None:
    held: bytes | bytearray = b""
    for _ in range(10_000):
        held = grown(held, b"ab")
    assert sys.getsizeof(held) < 25_000
