"""Bytes that come in pieces and are held until all of them are here."""

from __future__ import annotations


def grown(held: bytes | bytearray, piece: bytes) -> bytes | bytearray:
    """What is held, with one more piece; `held` is not to be used any more.

    Not a list of pieces: each of a byte or two, as a client may send them, would take twenty times its size there. What
    comes in one piece, as most does, is not copied.
    """
    if not held:
        return piece
    if isinstance(held, bytes):
        held = bytearray(held)
    held += piece
    return held
