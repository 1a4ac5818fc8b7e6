"""The option reference, docs/configuration.md, made of the declarations: what is not declared is not documented.

Which filter types there are is handed in, for the filters stand above this package.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Final

from gwproxy.config.loader import NAMED, SINGLE
from gwproxy.config.options import Option, declared_options

_HEAD: Final = """\
# Configuration

<!-- Written by `gwproxy reference docs/configuration.md` from the declarations in the code. Do not edit. -->

One INI file, `--config FILE`. `gwproxy check FILE` finds every mistake in it without serving; `gwproxy check --show
FILE` prints what is in force, with defaults and without secrets; `gwproxy explain FILE METHOD URL` tells which route
takes a request. `etc/gw.ini` is a commented example that runs as it is.

* A section is `[kind]` or `[kind:name]`; names have letters, digits, dots, `-` and `_`. Nothing may be given twice.
* A comment is a line that begins with `;` or `#`. There are none behind a value.
* An indented line continues the value above it.
* Lists are separated by commas or by lines.
* Durations: `250ms`, `30s`, `5m`, `1h`, `7d`. Sizes, in bytes: `512`, `64k`, `10m`, `1g`. Rates: `50/s`, `600/m`.
* `${NAME}` is a variable of the environment, and a mistake if it is not set; `${NAME:-text}` has a default.
  `${file:PATH}` is the content of a file without its last newline, and is never shown. `$${` stands for `${`.
* Relative paths begin at the folder of the file.

A file with a mistake is refused whole.
"""


def reference(filter_types: Mapping[str, type]) -> str:
    """The page, in Markdown. `filter_types` has the options class of each type."""
    parts = [_HEAD]
    for kind, options_class in SINGLE.items():
        parts.append(_section(f"## [{kind}]", options_class))
    for kind, options_class in NAMED.items():
        parts.append(_section(f"## [{kind}:NAME]", options_class))
    parts.append(
        "## [filter:NAME]\n\nA step that requests and responses of a route pass; the route names it in `filters`. "
        "`type` says what it does and which other options it has.\n"
    )
    for name, options_class in sorted(filter_types.items()):
        parts.append(_section(f"### type = {name}", options_class))
    return "\n".join(parts)


def _section(title: str, options_class: type) -> str:
    return "\n".join([title, "", *_rows(options_class), ""])


def _rows(options_class: type) -> Iterator[str]:
    about = inspect.cleandoc(options_class.__doc__ or "")
    if about:
        yield f"{about}\n"
    yield "| option | value | default | |"
    yield "|---|---|---|---|"
    for key, option in declared_options(options_class).items():
        yield f"| `{key}` | {_cell(option.metavar)} | {_default(option)} | {_cell(option.doc)} |"


def _default(option: Option) -> str:
    if option.required:
        return "required"
    text = "" if option.default is None else option.value.write(option.default)
    if option.secret or not text:
        return ""
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
