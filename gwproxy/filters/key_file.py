"""API keys as they are made, stored and checked: the file that `gwproxy key` writes and the filter `api_key` reads.

A key is `gw_ID_SECRET`: a public id, by which it is found, and 32 random bytes. The file has the SHA-256 of a salt and
the key. That is enough, and takes less than a microsecond: slow hashes are for what people choose, and no computer
guesses 256 random bits.

    [key:5f0c6e1ab2d97f34]
    client = acme
    hash = sha256:SALT:DIGEST
    expires = 2027-01-31T00:00:00Z
    claims =
        plan = gold
        role = reader
        role = writer
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Final

import attrs

from gwproxy.config.dates import read_date, write_date
from gwproxy.config.ini import Section, read_sections
from gwproxy.config.mistakes import did_you_mean, wrong_lines
from gwproxy.filters.api import Principal

NEVER: Final = float("inf")
Claims = Mapping[str, str | list[str]]

# What a principal has without the file saying so.
_OWN_CLAIMS: Final = ("sub", "key_id")
_OPTIONS: Final = ("client", "hash", "expires", "claims")

_LENGTH_WITH_ID: Final = len("gw_") + 16
# Longer than any key: what strangers send is not hashed beyond it.
_LONGEST: Final = 128
_ID: Final = re.compile(r"[0-9a-f]{16}").fullmatch
_HASH: Final = re.compile(r"sha256:([0-9a-f]{32}):([0-9a-f]{64})").fullmatch


@attrs.frozen(eq=False)
class StoredKey:
    """One key of the file. `expires` in seconds since 1970; NEVER."""

    id: str
    principal: Principal
    expires: float
    salt: bytes = attrs.field(repr=False)
    digest: bytes = attrs.field(repr=False)

    def is_made_from(self, key: bytes) -> bool:
        """Whether this is `key`. Takes the same time whatever is wrong with it."""
        return compare_digest(sha256(self.salt + key).digest(), self.digest)


# What a key is compared with when there is no such id, so that it takes as long.
_NOBODY: Final = StoredKey("", Principal(""), NEVER, bytes(16), bytes(32))


class StoredKeys:
    """All keys of a file."""

    __slots__ = ("_find", "by_id")

    def __init__(self, keys: Iterable[StoredKey]) -> None:
        self.by_id = {key.id: key for key in keys}
        self._find = {b"gw_" + key.id.encode(): key for key in self.by_id.values()}.get

    def find(self, key: bytes) -> StoredKey | None:
        """What is stored of a key as a client sent it, also when it expired. None: it is none of these."""
        stored = self._find(key[:_LENGTH_WITH_ID], _NOBODY)
        return stored if stored.is_made_from(key if len(key) < _LONGEST else b"") else None


# Making them


def make_key(client: str, expires: float = NEVER, claims: Claims | None = None) -> tuple[str, StoredKey]:
    """A new key, in the clear and as it is stored. Raises ValueError for a client or a claim that cannot be stored."""
    key_id = secrets.token_hex(8)
    key = f"gw_{key_id}_{urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip('=')}"
    salt = secrets.token_bytes(16)
    principal = _principal(key_id, checked_client(client), claims or {})
    for name, value in (claims or {}).items():
        for text in [value] if isinstance(value, str) else value:
            read_claim(f"{name} = {text}")
    return key, StoredKey(key_id, principal, expires, salt, sha256(salt + key.encode()).digest())


def written(key: StoredKey) -> str:
    """Its section of the file."""
    lines = [f"[key:{key.id}]", f"client = {key.principal.subject}"]
    lines.append(f"hash = sha256:{key.salt.hex()}:{key.digest.hex()}")
    if key.expires != NEVER:
        lines.append(f"expires = {write_date(key.expires)}")
    claims = own_claims(key)
    if claims:
        lines.append("claims =")
        for name, value in claims.items():
            lines += [f"    {name} = {text}" for text in ([value] if isinstance(value, str) else value)]
    return "\n".join(lines) + "\n"


def own_claims(key: StoredKey) -> dict[str, str | list[str]]:
    """Those that the file gives it."""
    return {name: value for name, value in key.principal.claims.items() if name not in _OWN_CLAIMS}


# Reading them


def read_keys(data: bytes) -> StoredKeys:
    """The keys of a file. Raises ValueError that says what is wrong in which lines; nothing in it is secret."""
    sections, mistakes = read_sections(data, "")
    told = [(mistake.place.line, mistake.message) for mistake in mistakes]
    keys = []
    for section in sections:
        reader = _SectionReader(section)
        key = reader.key()
        told += reader.mistakes
        if key is not None:
            keys.append(key)
    if told:
        raise wrong_lines(told)
    return StoredKeys(keys)


def checked_client(text: str) -> str:
    """Raises ValueError for what cannot be the name of a client."""
    if not text or not text.isprintable() or text != text.strip() or len(text) > 128:
        raise ValueError("a client is up to 128 printable characters")
    return text


def read_claim(text: str) -> tuple[str, str]:
    """`name = value`. Raises ValueError."""
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not re.fullmatch(r"[!-~]+", name) or not value or not value.isprintable():
        raise ValueError("a claim is name=value")
    if name[0] in ";#[":
        raise ValueError("a claim's name cannot begin with ; # or [")
    if name in _OWN_CLAIMS:
        raise ValueError(f"the claim {name} is there by itself")
    return name, value


def collected(pairs: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Claims from their pairs: a name that comes twice has a list."""
    claims: dict[str, str | list[str]] = {}
    for name, value in pairs:
        present = claims.get(name)
        if present is None:
            claims[name] = value
        elif isinstance(present, str):
            claims[name] = [present, value]
        else:
            present.append(value)
    return claims


def _principal(key_id: str, client: str, claims: Claims) -> Principal:
    return Principal(client, {"sub": client, "key_id": key_id, **claims}, method="api_key")


class _SectionReader:
    """Makes a key of a section, or mistakes: pairs of line and message."""

    def __init__(self, section: Section) -> None:
        self._section = section
        self.mistakes: list[tuple[int, str]] = []

    def key(self) -> StoredKey | None:
        section = self._section
        if section.kind != "key" or not _ID(section.name):
            if section.kind:  # else a mistake of the syntax, told already
                self._wrong(section.line, "a section must be [key:ID] with the id that gwproxy key gave it")
            return None
        for name, entry in section.entries.items():
            if name not in _OPTIONS:
                # What is long may be a key that somebody pasted.
                shown = f"option {name}" if len(name) <= 20 else "such option"
                self._wrong(entry.line, f"there is no {shown}{did_you_mean(name, _OPTIONS)}")
        try:
            client = checked_client(self._text("client"))
        except ValueError as error:
            self._wrong(self._line("client"), str(error))
        stored = _HASH(self._text("hash"))
        if stored is None:
            self._wrong(self._line("hash"), "hash must be sha256:SALT:DIGEST, as gwproxy key writes it")
        expires = self._expires()
        claims = collected(self._claims())
        if self.mistakes or stored is None:
            return None
        principal = _principal(section.name, client, claims)
        return StoredKey(section.name, principal, expires, bytes.fromhex(stored[1]), bytes.fromhex(stored[2]))

    def _expires(self) -> float:
        if "expires" not in self._section.entries:
            return NEVER
        try:
            return read_date(self._text("expires"))
        except ValueError as error:
            self._wrong(self._line("expires"), f"expires {error}")
            return NEVER

    def _claims(self) -> Iterator[tuple[str, str]]:
        for text in self._text("claims").splitlines():
            try:
                yield read_claim(text)
            except ValueError as error:
                self._wrong(self._line("claims"), str(error))

    def _text(self, name: str) -> str:
        entry = self._section.entries.get(name)
        return "" if entry is None else entry.raw

    def _line(self, name: str) -> int:
        entry = self._section.entries.get(name)
        return self._section.line if entry is None else entry.line

    def _wrong(self, line: int, message: str) -> None:
        self.mistakes.append((line, message))
