"""Runs suites of trial's kind in this process, on one reactor, and writes down what becomes of each test.

    python -m tests.reactor_suites.child uv outcomes.jsonl 100 twisted.internet.test.test_tcp ... [--only TEST ...]

One JSON array a line: `["began", test]`, then `["ended", test, outcome, why]`. So what a process that hangs or dies was
at is the test that has only begun. Trial's own files land in the current folder.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import unittest
from collections.abc import Iterator
from typing import Any, ClassVar, TextIO

from twisted.trial.reporter import Reporter
from twisted.trial.runner import TestLoader, TestSuite, TrialRunner

from tests.reactor_suites import under_test

# How long a ReactorBuilder test waits for its reactor; trial's own limit is two minutes.
_TEST_SECONDS = 10.0
# Of a traceback, whose end is what tells.
_MOST_CHARACTERS = 3000


class Recorder(Reporter):
    """Trial's reporter, which writes each test down as it ends, and says nothing else."""

    out: ClassVar[TextIO]

    #: What has been told of the test that runs. One may fail several times: by itself, by what it logged, by what it
    #: left in the reactor.
    _outcome = "passed"
    _why = ""

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self._outcome, self._why = "passed", ""
        self._write("began", name_of(test))

    def stopTest(self, test: Any) -> None:
        super().stopTest(test)
        self._write("ended", name_of(test), self._outcome, self._why[-_MOST_CHARACTERS:])

    def addSkip(self, test: Any, reason: Any) -> None:
        super().addSkip(test, reason)
        self._note("skipped", str(reason))

    def addExpectedFailure(self, test: Any, error: Any, todo: Any = None) -> None:
        super().addExpectedFailure(test, error, todo)
        self._note("skipped", f"expected to fail: {todo}")

    def addUnexpectedSuccess(self, test: Any, todo: Any = None) -> None:
        super().addUnexpectedSuccess(test, todo)
        self._note("failed", f"expected to fail, and did not: {todo}")

    def addFailure(self, test: Any, fail: Any) -> None:
        super().addFailure(test, fail)
        self._note("failed", self._getFailure(fail).getTraceback())

    def addError(self, test: Any, error: Any) -> None:
        super().addError(test, error)
        self._note("failed", self._getFailure(error).getTraceback())

    def done(self) -> None:
        """Trial would print all failures here."""

    def _note(self, outcome: str, why: str) -> None:
        if self._outcome != "failed":
            self._outcome = outcome
        self._why += why

    def _write(self, *event: str) -> None:
        self.out.write(json.dumps(event) + "\n")
        self.out.flush()


def name_of(test: Any) -> str:
    """The id of a test, which is the same for both reactors."""
    return str(test.id()).replace(under_test.SUFFIX, "")


def single_tests(suite: Any) -> Iterator[Any]:
    """The tests in a suite of suites."""
    if not isinstance(suite, unittest.TestSuite):
        yield suite
        return
    for part in suite:
        yield from single_tests(part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reactor", choices=under_test.KINDS)
    parser.add_argument("out", type=argparse.FileType("w"))
    parser.add_argument("limit", type=float, help="seconds until the process tells where it is, and ends")
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--only", nargs="+", default=(), help="of their tests, no others")
    parser.add_argument("--without", nargs="+", default=(), help="of their tests, all others")
    options = parser.parse_args()
    faulthandler.dump_traceback_later(options.limit, exit=True)

    under_test.install(options.reactor)
    from twisted.internet.test import reactormixins

    reactormixins.DEFAULT_TIMEOUT_DURATION = _TEST_SECONDS  # type: ignore[attr-defined]  # imported there
    Recorder.out = options.out
    tests = [
        test
        for test in single_tests(TestLoader().loadByNames(options.modules, recurse=True))
        if name_of(test) not in options.without and (not options.only or name_of(test) in options.only)
    ]
    TrialRunner(Recorder, logfile="test.log", workingDirectory="trial").run(TestSuite(tests))


if __name__ == "__main__":
    main()
