"""The kinds of value an option can have: text to value, and back for `check --show` and the reference.

A `Value` is a parser that knows its name. It is called with the text, already expanded and stripped, and raises
`BadValue`. Relative paths need the folder of the config file: the loader hands it over, a plain call uses the working
directory. To write one's own, any function of a string that raises ValueError will do.
"""

from __future__ import annotations

import ipaddress
import math
import os.path
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import attrs

from gwproxy.config.mistakes import BadValue, did_you_mean

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Word = TypeVar("Word", bound=str)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@attrs.frozen
class Value(Generic[T_co]):
    """A kind of value. `kind` stands for it in the reference; `read` gets the text and the folder of the file."""

    kind: str
    read: Callable[[str, Path], T_co]
    write: Callable[[Any], str] = str

    def __call__(self, text: str, base: Path | None = None) -> T_co:
        """Parse `text`. Raises BadValue."""
        return self.read(text, base or Path.cwd())


def plain(kind: str, parse: Callable[[str], T], write: Callable[[Any], str] = str) -> Value[T]:
    """A Value from a function that needs only the text."""
    return Value(kind, lambda text, base: parse(text), write)


def as_value(parse: Callable[[str], T]) -> Value[T]:
    """`parse` as it is if it is a Value; any other function wrapped into one."""
    if isinstance(parse, Value):
        return parse
    return plain(getattr(parse, "__name__", "value"), parse)


# Text


def _parse_text(text: str) -> str:
    if not text.isprintable():
        raise BadValue("must be one line of printable characters")
    return text


def _parse_token(text: str) -> str:
    # RFC 9110 section 5.6.2
    if not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", text):
        raise BadValue("must be a token: letters, digits and !#$%&'*+-.^_`|~, no spaces")
    return text


text: Final = plain("text", _parse_text)
token: Final = plain("token", _parse_token)


# Words

_BOOLEANS: Final = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}


def _parse_boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise BadValue("must be yes or no (or on, off, true, false)") from None


boolean: Final = plain("yes | no", _parse_boolean, lambda value: "yes" if value else "no")


def choice(words: Iterable[Word], *, later: Mapping[str, str] | None = None) -> Value[Word]:
    """One of `words`: the members of a StrEnum, or strings.

    `later` has words that are known but not built yet, each with what to say; `hash` there stands for `hash:ip` too.
    """
    known = {str(word): word for word in words}
    unbuilt = later or {}

    def parse(text: str) -> Word:
        word = known.get(text)
        if word is not None:
            return word
        reason = unbuilt.get(text.partition(":")[0])
        if reason is not None:
            raise BadValue(reason)
        raise BadValue(f"must be {' or '.join(known)}{did_you_mean(text, known)}")

    return plain(" | ".join(known), parse)


# Numbers


def integer(minimum: int = 0, maximum: int | None = None) -> Value[int]:
    """A whole number within bounds, both included."""
    bounds = f"{minimum} or more" if maximum is None else f"{minimum} to {maximum}"

    def parse(text: str) -> int:
        # ASCII digits only, and few: int() takes other scripts, underscores, and long ones at quadratic cost.
        if not re.fullmatch(r"-?[0-9]{1,15}", text):
            raise BadValue(f"must be a whole number, {bounds}")
        number = int(text)
        if number < minimum or (maximum is not None and number > maximum):
            raise BadValue(f"must be {bounds}")
        return number

    return plain("number", parse)


_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _parse_duration(text: str) -> float:
    if text == "0":
        return 0.0
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)", text)
    if match is None:
        raise BadValue("must be a duration: a number and ms, s, m, h or d, as in 250ms or 30s")
    number, unit = match.groups()
    # Milliseconds divide: 250 * 0.001 is not 0.25.
    return float(number) / 1000 if unit == "ms" else float(number) * _SECONDS[unit]


def _parse_positive_duration(text: str) -> float:
    seconds = _parse_duration(text)
    if seconds <= 0:
        raise BadValue("must be more than 0")
    return seconds


def _write_duration(seconds: float) -> str:
    if seconds == 0:
        return "0"
    if seconds != math.floor(seconds):
        return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
    for unit in ("d", "h", "m"):
        # 60s rather than 1m, which reads like a size
        if seconds > _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds:.0f}s"


duration: Final = plain("duration", _parse_duration, _write_duration)
positive_duration: Final = plain("duration", _parse_positive_duration, _write_duration)

_BYTES: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def _parse_size(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,12})([kmg]?)", text.lower())
    if match is None:
        raise BadValue("must be a size: a number of bytes, or a number and k, m or g, as in 64k")
    number, unit = match.groups()
    return int(number) * _BYTES[unit]


def _write_size(value: int) -> str:
    for unit in ("g", "m", "k"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return str(value)


def size(minimum: int = 0) -> Value[int]:
    """A number of bytes, at least `minimum`."""

    def parse(text: str) -> int:
        value = _parse_size(text)
        if value < minimum:
            raise BadValue(f"must be {_write_size(minimum)} or more")
        return value

    return plain("size", parse, _write_size)


def or_none(value: Value[T]) -> Value[T]:
    """A bound that can be lifted: `none` is read as 0."""
    kind = f"{value.kind} | none"
    return Value(kind, lambda text, base: value.read("0" if text == "none" else text, base), value.write)


@attrs.frozen
class Rate:
    """`count` events in `seconds`."""

    count: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.count / self.seconds


def _parse_rate(text: str) -> Rate:
    match = re.fullmatch(r"([0-9]{1,9})\s*/\s*(s|m|h|d)", text)
    if match is None or int(match[1]) == 0:
        raise BadValue("must be a rate: a number over s, m, h or d, as in 50/s or 600/m")
    return Rate(int(match[1]), _SECONDS[match[2]])


def _write_rate(value: Rate) -> str:
    unit = next(unit for unit, seconds in _SECONDS.items() if seconds == value.seconds)
    return f"{value.count}/{unit}"


rate: Final = plain("rate", _parse_rate, _write_rate)


# Lists


def split_list(text: str) -> list[str]:
    """The items of a list: separated by commas or newlines; empty ones are left out."""
    return [item for item in map(str.strip, re.split(r"[,\n]", text)) if item]


def list_of(parse: Callable[[str], T]) -> Value[tuple[T, ...]]:
    """Items of one kind, hashable, separated by commas or newlines. An item may not be given twice."""
    value = as_value(parse)

    def read(text: str, base: Path) -> tuple[T, ...]:
        items: dict[T, None] = {}
        wrong: list[BadValue] = []
        for piece in split_list(text):
            try:
                item = value.read(piece, base)
            except BadValue as bad:
                wrong.append(BadValue(bad.message, bad.piece or piece))
            else:
                if item in items:
                    wrong.append(BadValue("stands twice in the list", piece))
                items[item] = None
        if wrong:
            raise BadValue(wrong[0].message, wrong[0].piece, wrong[1:])
        return tuple(items)

    return Value(f"list of {value.kind}", read, lambda items: ", ".join(map(value.write, items)))


# Networks


def _parse_network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        wider = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadValue("must be an address or a network, as in 10.0.0.0/8 or 2001:db8::/32") from None
    # Which of the two was meant is not ours to guess: one lets in more than the other.
    raise BadValue(f"has bits set beyond its prefix; the network is /{wider.prefixlen}, an address has no prefix")


network: Final = plain("network", _parse_network)


def _parse_peer(text: str) -> Network | str:
    return text if text == UNIX_PEER else _parse_network(text)


# Whoever connects through a unix socket: it has no address.
UNIX_PEER: Final = "unix:"
peer: Final = plain("network or unix:", _parse_peer)


# Files


def _absolute(text: str, base: Path) -> Path:
    if not text or not text.isprintable():
        raise BadValue("must be a path")
    # normpath, not resolve: a link in the path stays one, so that it can be pointed elsewhere while we run.
    return Path(os.path.normpath(base / text))


def _read_directory(text: str, base: Path) -> Path:
    found = _absolute(text, base)
    if not found.is_dir():
        raise BadValue("is no folder, or not readable")
    return found


def _read_file(text: str, base: Path) -> Path:
    found = _absolute(text, base)
    if not found.is_file():
        raise BadValue("is no file, or not readable")
    return found


path: Final = Value("path", _absolute)
directory: Final = Value("folder", _read_directory)
file: Final = Value("file", _read_file)
