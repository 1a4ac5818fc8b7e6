"""The `gwproxy` command: what an operator does with a configuration besides serving it, which twistd does.

Exit status: 0 if all is well, 1 if the configuration has mistakes (or `explain` finds no route), 2 if the command line
has. Mistakes go to stderr, one a line and without a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

import gwproxy
from gwproxy.commands import check, explain, key, reference, token
from gwproxy.config import ConfigErrors

# In the order of the help.
COMMANDS: Final = (check, explain, token, key, reference)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Without `arguments`, those of the process."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
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
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
