"""`gwproxy key`: makes API keys, lists and revokes them. The file is what a filter of type `api_key` reads.

The file is replaced as a whole, so that a gateway which reads it meanwhile sees the old one or the new one. What others
wrote in it, comments too, stays.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gwproxy.config.dates import read_date, write_date
from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import positive_duration
from gwproxy.filters.key_file import (
    NEVER,
    StoredKey,
    StoredKeys,
    checked_client,
    collected,
    make_key,
    own_claims,
    read_claim,
    read_keys,
    written,
)
from gwproxy.runtime.wall import wall_clock

_LINES: Final = re.compile(r"[^\n]*\n|[^\n]+")
# In seconds since 1970. Dates have four digits for the year.
_YEAR_10000: Final = 253_402_300_800


class _Refused(Exception):
    """What the user asked for cannot be done; the text says why."""


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    key = commands.add_parser(
        "key",
        help="make an API key for a client, list or revoke keys",
        usage="gwproxy key FILE CLIENT [--expires 90d|DATE] [--claim NAME=VALUE ...]\n"
        "       gwproxy key --list FILE\n"
        "       gwproxy key --revoke FILE ID",
        description="The key is printed once; FILE, which is made if it is not there, has its hash only.",
    )
    key.add_argument("file", metavar="FILE", type=Path)
    key.add_argument("who", metavar="CLIENT | ID", nargs="?")
    key.add_argument("--expires", metavar="90d|DATE", help="a duration from now on, or a date, in UTC; default: never")
    key.add_argument(
        "--claim",
        dest="claims",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="what filters may ask of the key (require, rate_limit); a name given twice is a list",
    )
    what = key.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="print what is in the file: ids, clients, expiry, claims")
    what.add_argument("--revoke", action="store_true", help="take the key with this ID out of the file")
    key.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the key, or the list. The exit status is 1 when it cannot be done, 2 for a wrong command line."""
    making = not options.list and not options.revoke
    if options.list == (options.who is not None):
        wanted = "nothing but FILE" if options.list else f"FILE and {'a CLIENT' if making else 'an ID'}"
        print(f"gwproxy key: needs {wanted}", file=sys.stderr)
        return 2
    if not making and (options.expires or options.claims):
        print("gwproxy key: --expires and --claim are for new keys", file=sys.stderr)
        return 2
    try:
        if options.list:
            _list(options.file)
        elif options.revoke:
            _revoke(options.file, options.who)
        else:
            _make(options)
    except _Refused as refused:
        print(f"gwproxy key: {refused}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"gwproxy key: {options.file}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _make(options: argparse.Namespace) -> None:
    now = wall_clock()
    try:
        client = checked_client(options.who)
        claims = collected(map(read_claim, options.claims))
        expires = NEVER if options.expires is None else _expiry(options.expires, now)
    except ValueError as error:
        raise _Refused(str(error)) from None
    key, stored = make_key(client, expires, claims)
    with _locked(options.file):
        text = _read(options.file, may_be_missing=True)
        _parse(options.file, text)
        # An empty line ends what may stand before: a value that its next line would continue.
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        _replace(options.file, text + gap + written(stored))
    print(key)
    until = "without expiry" if expires == NEVER else f"until {write_date(expires)}"
    print(f"The key {stored.id} of {client}, {until}. It is shown this once.", file=sys.stderr)


def _list(file: Path) -> None:
    now = wall_clock()
    for stored in _parse(file, _read(file)).by_id.values():
        expires = "never" if stored.expires == NEVER else write_date(stored.expires)
        past = " (expired)" if stored.expires <= now else ""
        print("  ".join([stored.id, stored.principal.subject, f"expires {expires}{past}", *_claims(stored)]))


def _claims(stored: StoredKey) -> Iterator[str]:
    for name, value in own_claims(stored).items():
        yield from (f"{name}={text}" for text in ([value] if isinstance(value, str) else value))


def _revoke(file: Path, key_id: str) -> None:
    # Who has the whole key at hand may give that: gw_ID_SECRET.
    key_id = re.sub(r"\Agw_([0-9a-f]{16})_.*\Z", r"\1", key_id)
    with _locked(file):
        text = _read(file)
        stored = _parse(file, text).by_id.get(key_id)
        if stored is None:
            raise _Refused(f"{file}: there is no key with this id")
        _replace(file, _without_section(text, key_id))
    print(f"{key_id} of {stored.principal.subject} is revoked")


def _expiry(text: str, now: float) -> float:
    """Raises ValueError."""
    try:
        # To the second, as it is written.
        expires = float(int(now + positive_duration(text)))
    except BadValue:
        try:
            expires = read_date(text)
        except ValueError:
            raise ValueError("--expires must be a duration, as in 90d, or a date, as in 2027-01-31") from None
    if not now < expires < _YEAR_10000:
        raise ValueError("--expires is in the past, or beyond the year 9999")
    return expires


# The file


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One at a time changes files of this folder."""
    folder = os.open(_real(file).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _read(file: Path, *, may_be_missing: bool = False) -> str:
    try:
        # As bytes: line ends stay as they are.
        return file.read_bytes().decode()
    except FileNotFoundError:
        if may_be_missing:
            return ""
        raise
    except UnicodeDecodeError:
        raise _Refused(f"{file} is not UTF-8") from None


def _parse(file: Path, text: str) -> StoredKeys:
    try:
        return read_keys(text.encode())
    except ValueError as error:
        raise _Refused(f"{file}: {error}") from None


def _without_section(text: str, key_id: str) -> str:
    """Takes a section out, up to the comments that stand before the next one."""
    lines = _LINES.findall(text)
    titles = [at for at, line in enumerate(lines) if line.lstrip("\ufeff")[0] == "["]
    # The file was read: there is one.
    start = next(at for at in titles if re.search(rf"\[\s*key\s*:\s*{key_id}\s*\]", lines[at]))
    end = next((at for at in titles if at > start), len(lines))
    while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip()[0] in ";#"):
        end -= 1
    # Its own empty line goes with it.
    if end < len(lines) and not lines[end].strip():
        end += 1
    return "".join(lines[:start] + lines[end:])


def _replace(file: Path, text: str) -> None:
    """Writes a new file and puts it in the place of the old one, with its owner and permissions; a first one is for its
    owner only."""
    target = _real(file)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "wb") as fresh:
            if target.exists():
                present = target.stat()
                os.fchown(descriptor, present.st_uid, present.st_gid)
                os.fchmod(descriptor, present.st_mode & 0o7777)
            fresh.write(text.encode())
            fresh.flush()
            os.fsync(descriptor)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _real(file: Path) -> Path:
    """A link stays one: what it points at is replaced."""
    return Path(os.path.realpath(file))
