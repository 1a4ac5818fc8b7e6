"""The `gwproxy` command: what an operator does with a configuration besides serving it, which twistd does.

Exit status: 0 if all is well, 1 if the configuration has mistakes, 2 if the command line has. Mistakes go to stderr,
one a line and without a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import gwproxy
from gwproxy.config import Config, ConfigErrors, load, show
from gwproxy.config.reference import reference
from gwproxy.filters.registry import filter_types


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Without `arguments`, those of the process."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has seen enough: gwproxy check --show | head
        # What is still buffered must not be tried again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gwproxy", description="An API gateway on Twisted. To serve: twistd gwproxy.")
    parser.add_argument("--version", action="version", version=f"gwproxy {gwproxy.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    check = commands.add_parser("check", help="find every mistake of a configuration, without listening")
    check.add_argument("file", metavar="FILE")
    check.add_argument("--show", action="store_true", help="print what is in force: with defaults, without secrets")
    check.set_defaults(run=_check)

    write_reference = commands.add_parser("reference", help="write the reference of all options, in Markdown")
    write_reference.add_argument("file", metavar="FILE", nargs="?", help="where to; without it, to stdout")
    write_reference.set_defaults(run=_reference)
    return parser


def load_file(file: str) -> Config:
    """The configuration of a file, with the environment and the filter types of this process. Raises ConfigErrors."""
    types = {name: filter_type.options_class for name, filter_type in filter_types().items()}
    return load(file, environ=os.environ, filter_types=types)


def _check(options: argparse.Namespace) -> int:
    config = load_file(options.file)
    if options.show:
        print(show(config), end="", flush=True)
        return 0
    counts = [
        _count(len(config.listeners), "listener"),
        _count(len(config.routes), "route"),
        _count(len(config.upstreams), "upstream"),
        _count(len(config.filters), "filter"),
    ]
    print(f"{options.file}: ok, {', '.join(counts)}", flush=True)
    return 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _reference(options: argparse.Namespace) -> int:
    """Of the gateway's own filter types only: those of other packages have their own documentation."""
    own = f"gwproxy {gwproxy.__version__}"
    types = {name: each.options_class for name, each in filter_types().items() if each.distribution == own}
    text = reference(types)
    if options.file is None:
        print(text, end="", flush=True)
    else:
        Path(options.file).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
