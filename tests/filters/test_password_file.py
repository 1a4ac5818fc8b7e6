"""htpasswd files: bcrypt, and a hint for everything else."""

from __future__ import annotations

import bcrypt
import pytest

from gwproxy.filters.password_file import read_passwords

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4))


def test_users() -> None:
    text = b"\xef\xbb\xbf# staff\r\nann:%s\r\n\n  bj\xc3\xb6rn:%s\nann b@x:%s" % (
        HASH,
        HASH[:2] + b"y" + HASH[3:],
        HASH,
    )
    passwords = read_passwords(text)
    assert len(passwords) == 3
    for user in ("ann", "bj\u00f6rn", "ann b@x"):
        assert user.encode() in passwords
        assert bcrypt.checkpw(b"secret", passwords.hash_of(user.encode()))
        assert not bcrypt.checkpw(b"Secret", passwords.hash_of(user.encode()))


def test_nobody_has_a_hash_that_costs_the_same() -> None:
    rare, usual = bcrypt.gensalt(5) + HASH[29:], HASH
    passwords = read_passwords(b"a:%s\nb:%s\nc:%s\n" % (rare, usual, usual))
    nobody = passwords.hash_of(b"nobody")
    assert b"nobody" not in passwords
    assert nobody[:7] == b"$2b$04$"
    assert bcrypt.checkpw(b"secret", nobody) is False
    assert passwords.hash_of(b"somebody") == nobody
    assert read_passwords(b"").hash_of(b"x")[:7] == b"$2b$12$"
    assert read_passwords(b"").hash_of(b"x") != read_passwords(b"").hash_of(b"x")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"ann", "must be user:hash"),
        (b":" + HASH, "the user must be printable"),
        (b"a\x07b:" + HASH, "the user must be printable"),
        (b"\xff:" + HASH, "the user is not UTF-8"),
        (b"ann:" + HASH + b"\nann:" + HASH, "line 2: the user is there already"),
        (b"ann:$apr1$aaaaaaaa$" + b"b" * 22, "an MD5 hash; only bcrypt is taken, as htpasswd -B makes it"),
        (b"ann:{SHA}" + b"b" * 28, "a SHA-1 hash; only bcrypt"),
        (b"ann:$5$a$" + b"b" * 43, "a SHA-256 crypt hash; only bcrypt"),
        (b"ann:$6$a$" + b"b" * 86, "a SHA-512 crypt hash; only bcrypt"),
        (b"ann:hunter2", "no bcrypt hash; only bcrypt"),
        (b"ann:", "no bcrypt hash; only bcrypt"),
        (b"ann:" + HASH[:-1], "a bcrypt hash that is cut off"),
        (b"ann:$2x$" + HASH[4:], "a bcrypt hash that is cut off, or of a broken kind"),
        (b"ann:" + HASH + b":comment", "a bcrypt hash that is cut off"),
        (b"ann:$2b$16$" + HASH[7:], "the cost of a bcrypt hash must be 4 to 15"),
        (b"ann:$2b$03$" + HASH[7:], "the cost of a bcrypt hash must be 4 to 15"),
    ],
)
def test_mistakes(line: bytes, message: str) -> None:
    with pytest.raises(ValueError, match="line") as raised:
        read_passwords(b"# one\n\n" + line)
    assert "line 3: " in str(raised.value) or "line 4: " in str(raised.value)
    assert message.replace("line 2", "line 4") in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert HASH.decode()[7:20] not in str(raised.value)


def test_of_many_mistakes_some_are_told() -> None:
    with pytest.raises(ValueError, match=r"line 1: .*; and 90 more"):
        read_passwords(b"ann:x\n" * 100)
