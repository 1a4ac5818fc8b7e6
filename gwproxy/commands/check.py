"""`gwproxy check`: finds every mistake of a configuration, without listening."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gwproxy.commands.loading import load_checked
from gwproxy.config import show


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    check = commands.add_parser("check", help="find every mistake of a configuration, without listening")
    check.add_argument("file", metavar="FILE")
    check.add_argument("--show", action="store_true", help="print what is in force: with defaults, without secrets")
    check.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints what there is, or what is in force, and warnings to stderr. Raises ConfigErrors."""
    config, warnings = load_checked(options.file)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if options.show:
        print(show(config), end="")
        return 0
    counts = [
        _count(len(config.listeners), "listener"),
        _count(len(config.routes), "route"),
        _count(len(config.upstreams), "upstream"),
        _count(len(config.filters), "filter"),
    ]
    print(f"{options.file}: ok, {', '.join(counts)}")
    return 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
