"""`gwproxy reference`: writes the reference of all options, docs/configuration.md."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import gwproxy
from gwproxy.config.reference import reference
from gwproxy.filters.registry import filter_types


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    write_reference = commands.add_parser("reference", help="write the reference of all options, in Markdown")
    write_reference.add_argument("file", metavar="FILE", nargs="?", help="where to; without it, to stdout")
    write_reference.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Of the gateway's own filter types only: those of other packages have their own documentation."""
    own = f"gwproxy {gwproxy.__version__}"
    types = {name: each.options_class for name, each in filter_types().items() if each.distribution == own}
    text = reference(types)
    if options.file is None:
        print(text, end="")
    else:
        Path(options.file).write_text(text, encoding="utf-8")
    return 0
