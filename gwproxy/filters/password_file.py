"""htpasswd files: who has which password. bcrypt only: what else htpasswd makes is guessed at billions a second."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from typing import Final

import bcrypt

from gwproxy.config.mistakes import wrong_lines

# Seconds for one check: nobody waits that long, and a few of them keep all others out.
HIGHEST_COST: Final = 15

_BCRYPT: Final = re.compile(rb"\$2[aby]\$([0-3][0-9])\$[./A-Za-z0-9]{53}").fullmatch
_OTHERS: Final = (
    (b"$apr1$", "an MD5 hash"),
    (b"$1$", "an MD5 hash"),
    (b"{SHA}", "a SHA-1 hash"),
    (b"{SSHA}", "a SHA-1 hash"),
    (b"$5$", "a SHA-256 crypt hash"),
    (b"$6$", "a SHA-512 crypt hash"),
    (b"$2", "a bcrypt hash that is cut off, or of a broken kind"),
)


class Passwords:
    """The hashes of a file, by user."""

    __slots__ = ("_hashes", "_nobody")

    def __init__(self, hashes: dict[bytes, bytes]) -> None:
        self._hashes = hashes
        costs = Counter(int(each[4:6]) for each in hashes.values())
        self._nobody = _hash_of_nothing(costs.most_common(1)[0][0] if costs else 12)

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, user: bytes) -> bool:
        return user in self._hashes

    def hash_of(self, user: bytes) -> bytes:
        """The bcrypt hash of a user's password. For unknown ones that of no password, with the cost that most have: it
        takes as long to find out that nobody has this name."""
        return self._hashes.get(user, self._nobody)


def _hash_of_nothing(cost: int) -> bytes:
    """What no password has: the digest is random, not worked out."""
    alphabet = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return bcrypt.gensalt(cost) + bytes(secrets.choice(alphabet) for _ in range(31))


def read_passwords(data: bytes) -> Passwords:
    """The users of an htpasswd file: `user:hash`, one a line; empty lines and those that begin with # are left out.
    Raises ValueError that says what is wrong in which lines; nothing of them is in it."""
    hashes: dict[bytes, bytes] = {}
    told: list[tuple[int, str]] = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        line = line.strip()
        if not line or line.startswith(b"#"):
            continue
        user, colon, hashed = line.partition(b":")
        wrong = _mistake(user, hashed) if colon else "must be user:hash"
        if not wrong and user in hashes:
            wrong = "the user is there already"
        if wrong:
            told.append((number, wrong))
        hashes[user] = hashed
    if told:
        raise wrong_lines(told)
    return Passwords(hashes)


def _mistake(user: bytes, hashed: bytes) -> str:
    """What is wrong with a line; empty: nothing."""
    try:
        name = user.decode()
    except UnicodeDecodeError:
        return "the user is not UTF-8"
    if not name or not name.isprintable():
        return "the user must be printable"
    match = _BCRYPT(hashed)
    if match is None:
        kind = next((what for begin, what in _OTHERS if hashed.startswith(begin)), "no bcrypt hash")
        return f"{kind}; only bcrypt is taken, as htpasswd -B makes it"
    if not 4 <= int(match[1]) <= HIGHEST_COST:
        return f"the cost of a bcrypt hash must be 4 to {HIGHEST_COST}"
    return ""
