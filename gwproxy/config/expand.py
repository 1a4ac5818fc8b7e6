"""`${...}` in values: the environment and the content of files.

`${NAME}` is a variable, a mistake if unset; `${NAME:-text}` has a default for unset or empty; `${file:PATH}` is the
content of a file without its last newline, and a secret. `$${` stands for `${`. What was expanded is not expanded
again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from gwproxy.config.mistakes import BadValue

MAX_FILE_SIZE: Final = 1 << 20

_EXPANSION: Final = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(:-(.*))?", re.DOTALL)


@attrs.frozen
class Expanded:
    """A value as written and as meant. Messages show `raw` if `changed`; nothing shows `text` if `secret`."""

    raw: str
    text: str = attrs.field(repr=False)
    changed: bool
    secret: bool


def expand(raw: str, environ: Mapping[str, str], base: Path) -> Expanded:
    """Expand `raw`; `base` is the folder that relative paths begin at. Reads files. Raises BadValue."""
    changed = secret = False

    def replace(match: re.Match[str]) -> str:
        nonlocal changed, secret
        if match[0] == "$${":
            return "${"
        if match[1] is None:
            raise BadValue("has ${ without }; write $${ for the characters themselves", match[0])
        changed = True
        if match[1].startswith("file:"):
            secret = True
            return _file(match[1].removeprefix("file:"), base, match[0])
        return _variable(match[1], environ, match[0])

    text = _EXPANSION.sub(replace, raw)
    return Expanded(raw, text, changed, secret)


def escape(text: str) -> str:
    """`text` written so that expanding gives it back."""
    return text.replace("${", "$${")


def _variable(inside: str, environ: Mapping[str, str], written: str) -> str:
    match = _VARIABLE.fullmatch(inside)
    if match is None:
        raise BadValue("must be ${NAME}, ${NAME:-default} or ${file:PATH}", written)
    name, has_default, default = match.groups()
    value = environ.get(name)
    if has_default and not value:
        return str(default)
    if value is None:
        raise BadValue(f"the environment has no {name}", written)
    try:
        value.encode()
    except UnicodeEncodeError:  # what os.environ makes of other bytes
        raise BadValue(f"{name} is not UTF-8", written) from None
    return value


def _file(name: str, base: Path, written: str) -> str:
    try:
        with open(base / name, "rb") as file:
            content = file.read(MAX_FILE_SIZE + 1)
        if len(content) > MAX_FILE_SIZE:
            raise BadValue("the file is larger than 1 MiB", written)
        return content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise BadValue(f"the file cannot be read: {error.strerror}", written) from None
    except UnicodeDecodeError:
        raise BadValue("the file is not UTF-8", written) from None
