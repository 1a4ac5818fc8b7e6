"""`gwproxy key`: what it prints, what it writes, and what stays as it was."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import Any

import pytest

from gwproxy.cli import main
from gwproxy.commands import key as command
from gwproxy.filters.key_file import NEVER, StoredKeys, own_claims, read_keys

Capture = pytest.CaptureFixture[str]
NOW = 1_800_000_000.5


@pytest.fixture(autouse=True)
def _date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "wall_clock", lambda: NOW)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.ini"


def stored(file: Path) -> StoredKeys:
    return read_keys(file.read_bytes())


def make(file: Path, capsys: Capture, *arguments: str) -> str:
    """A new key; what else it printed went to stderr."""
    assert main(["key", str(file), *arguments]) == 0
    (key,) = capsys.readouterr().out.splitlines()
    return key


def refused(capsys: Capture, *arguments: str, status: int = 1) -> str:
    assert main(["key", *arguments]) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    return printed.err


def test_a_first_key_makes_the_file(file: Path, capsys: Capture) -> None:
    previous = os.umask(0)
    try:
        assert main(["key", str(file), "acme"]) == 0
    finally:
        os.umask(previous)
    printed = capsys.readouterr()
    key = printed.out.strip()
    found = stored(file).find(key.encode())
    assert found is not None
    assert found.principal.subject == "acme"
    assert found.expires == NEVER
    assert printed.err == f"The key {found.id} of acme, without expiry. It is shown this once.\n"
    assert key not in file.read_text()
    assert file.stat().st_mode & 0o7777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["keys.ini"], "nothing else is left"


def test_several_live_keys_of_a_client(file: Path, capsys: Capture) -> None:
    keys = [make(file, capsys, "acme") for _ in range(3)]
    found = [stored(file).find(key.encode()) for key in keys]
    assert [each.principal.subject for each in found if each] == ["acme"] * 3


def test_expiry_and_claims(file: Path, capsys: Capture) -> None:
    claims = ["--claim", "plan=gold", "--claim", "role = reader", "--claim", "role=writer", "--claim", "q=a=b"]
    key = make(file, capsys, "acme", "--expires", "90d", *claims)
    found = stored(file).find(key.encode())
    assert found is not None
    assert found.expires == int(NOW) + 90 * 86400
    assert own_claims(found) == {"plan": "gold", "role": ["reader", "writer"], "q": "a=b"}


@pytest.mark.parametrize(("text", "expires"), [("2027-01-31", 1_801_353_600), ("2027-01-31T10:00:00Z", 1_801_389_600)])
def test_expiry_by_date(file: Path, capsys: Capture, text: str, expires: float) -> None:
    key = make(file, capsys, "acme", "--expires", text)
    found = stored(file).find(key.encode())
    assert found is not None
    assert found.expires == expires


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a\nb"], "a client is"),
        (["acme", "--expires", "soon"], "must be a duration, as in 90d, or a date"),
        (["acme", "--expires", "0"], "must be a duration, as in 90d, or a date"),
        (["acme", "--expires", "2020-01-01"], "is in the past"),
        (["acme", "--expires", "99999999d"], "beyond the year 9999"),
        (["acme", "--claim", "plan"], "a claim is name=value"),
        (["acme", "--claim", "sub=root"], "is there by itself"),
    ],
)
def test_what_cannot_be_made(file: Path, capsys: Capture, arguments: list[str], message: str) -> None:
    assert message in refused(capsys, str(file), *arguments)
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["FILE"], "needs FILE and a CLIENT"),
        (["--revoke", "FILE"], "needs FILE and an ID"),
        (["--list", "FILE", "acme"], "needs nothing but FILE"),
        (["--list", "FILE", "--claim", "a=b"], "are for new keys"),
        (["--revoke", "FILE", "x", "--expires", "1d"], "are for new keys"),
    ],
)
def test_wrong_command_lines(capsys: Capture, arguments: list[str], message: str) -> None:
    assert message in refused(capsys, *arguments, status=2)


def test_what_others_wrote_stays(file: Path, capsys: Capture) -> None:
    before = "; our keys\r\n\r\n[key:0123456789abcdef]\r\nclient = b\u00f6b\r\n; \u2028\r\nhash = sha256:"
    before += f"{'0' * 32}:{'1' * 64}\r\nclaims = a = b"
    file.write_bytes(before.encode())
    file.chmod(0o640)
    make(file, capsys, "acme")
    assert file.read_bytes().startswith(before.encode() + b"\n\n[key:")
    assert file.stat().st_mode & 0o7777 == 0o640
    assert {key.principal.subject for key in stored(file).by_id.values()} == {"b\u00f6b", "acme"}


def test_a_link_stays_one(file: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "real").mkdir()
    file.symlink_to("real/keys.ini")
    key = make(file, capsys, "acme")
    assert file.is_symlink()
    assert read_keys((tmp_path / "real/keys.ini").read_bytes()).find(key.encode())


def test_a_file_with_mistakes_is_left_alone(file: Path, capsys: Capture) -> None:
    file.write_text("[key:x]\n")
    assert "line 1: a section must be [key:ID]" in refused(capsys, str(file), "acme")
    assert "line 1" in refused(capsys, "--list", str(file))
    file.write_bytes(b"\xff")
    assert "is not UTF-8" in refused(capsys, str(file), "acme")
    assert file.read_bytes() == b"\xff"


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: Capture) -> None:
    assert "No such file or directory" in refused(capsys, str(tmp_path / "nowhere/keys.ini"), "acme")
    assert "No such file or directory" in refused(capsys, "--list", str(tmp_path / "keys.ini"))


def test_what_fails_in_the_end_leaves_all_as_it_was(
    file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(file, capsys, "acme")
    before = file.read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        assert "No space left" in refused(capsys, str(file), "other")
    assert file.read_bytes() == before
    assert [each.name for each in file.parent.iterdir()] == ["keys.ini"]


def test_list(file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    make(file, capsys, "acme", "--claim", "role=a", "--claim", "role=b")
    make(file, capsys, "two words", "--expires", "1s")
    monkeypatch.setattr(command, "wall_clock", lambda: NOW + 1)
    assert main(["key", "--list", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"[0-9a-f]{16}  acme  expires never  role=a  role=b", lines[0])
    assert re.fullmatch(r"[0-9a-f]{16}  two words  expires 2027-01-15T08:00:01Z \(expired\)", lines[1])


@pytest.mark.parametrize("whole", [False, True])
def test_revoke(file: Path, capsys: Capture, whole: bool) -> None:
    keys = [make(file, capsys, client, "--claim", "a=b") for client in ("one", "two", "three")]
    text = file.read_text().replace("[key:", "; about the next\n[key:").replace("hash =", "; in it\nhash =")
    file.write_text(text)
    assert main(["key", "--revoke", str(file), keys[1] if whole else keys[1][3:19]]) == 0
    assert capsys.readouterr().out == f"{keys[1][3:19]} of two is revoked\n"
    found = [stored(file).find(key.encode()) for key in keys]
    assert [each and each.principal.subject for each in found] == ["one", None, "three"]
    assert file.read_text().count("; about the next") == 3, "which comments are whose, only their author knows"
    assert file.read_text().count("; in it") == 2


def test_revoke_the_first_behind_a_byte_order_mark_and_the_last(file: Path, capsys: Capture) -> None:
    keys = [make(file, capsys, client) for client in ("one", "two")]
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert main(["key", "--revoke", str(file), keys[0][3:19]]) == 0
    assert main(["key", "--revoke", str(file), keys[1][3:19]]) == 0
    assert stored(file).by_id == {}
    capsys.readouterr()
    assert "there is no key with this id" in refused(capsys, "--revoke", str(file), keys[0][3:19])
    assert "there is no key with this id" in refused(capsys, "--revoke", str(file), ".*")


@pytest.mark.parametrize("revoking", [False, True])
def test_one_at_a_time_changes_the_file(
    file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, revoking: bool
) -> None:
    """From reading it until it is replaced, nobody else gets the lock."""
    key = make(file, capsys, "acme")
    held: list[bool] = []

    def try_to_lock() -> None:
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held.append(False)
        except BlockingIOError:
            held.append(True)
        finally:
            os.close(folder)

    def locked(real: Any) -> Any:
        def tried(*arguments: Any, **more: Any) -> Any:
            try_to_lock()
            return real(*arguments, **more)

        return tried

    monkeypatch.setattr(command, "_read", locked(command._read))
    monkeypatch.setattr(command, "_replace", locked(command._replace))
    assert main(["key", "--revoke", str(file), key] if revoking else ["key", str(file), "other"]) == 0
    assert held == [True, True]
    try_to_lock()
    assert held.pop() is False
