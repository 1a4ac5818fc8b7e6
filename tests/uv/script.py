"""Programs of their own, on a uv reactor of their own: for signals, child processes and limits."""

from __future__ import annotations

import subprocess
import sys
import textwrap

_PRELUDE = """
import os, signal, socket, sys
from gwproxy.uv.reactor import install
install()
from twisted.internet import reactor
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.python import log
log.startLogging(sys.stderr, setStdout=False)
reactor.callLater(20, os._exit, 99)
"""

SECONDS = 30


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Runs `program`, which finds `reactor` and what it needs imported, to its end. Its log is on stderr."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", _PRELUDE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def output(program: str) -> str:
    """What it prints; it must end well."""
    ran = run(program)
    assert ran.returncode == 0, f"{ran.returncode}: {ran.stderr}"
    return ran.stdout
