"""`make reactor-tests`: Twisted's own suites and treq's on the uv reactor and on the stock asyncio reactor, compared.

Each group of suites runs in a process of its own for each reactor, three at a time. The known differences, listed in
docs/reactor.md with their reasons, run apart from the others, which would be blamed for what those leave behind. What
fails on uv only is tried once more, alone, before it counts. Exit status 1: a difference that is not listed, one that
is listed and is none, or a process that did not come to its end.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.reactor_suites.comparing import Outcomes, Verdict, compare, known_differences
from tests.reactor_suites.runs import ROOT, Run, run

PAGE = ROOT / "docs" / "reactor.md"
# More than this is no bad luck, and is not tried again.
MOST_TRIED_AGAIN = 10
MOST_TOLD = 20


def modules(package: str, names: str) -> list[str]:
    return [f"{package}.test_{name}" for name in names.split()]


# The longest first: two run at a time. Left out of Twisted's is what no reactor has a part in.
GROUPS = {
    "twisted.test": modules(
        "twisted.test",
        "amp application factories ftp internet loopback policies process protocols sip sni ssl sslverify stdio "
        "strports task tcp tcp_internals threadpool threads udp unix",
    ),
    "twisted.web": ["twisted.web.test"],
    "twisted.internet": modules(
        "twisted.internet.test",
        "address base core defer_await endpoints error fdset filedescriptor inlinecb main newtls posixbase "
        "posixprocess process protocol resolver sigchld socket stdio tcp threads time tls udp udp_internals unix",
    ),
    "treq": ["treq"],
}


class Result(NamedTuple):
    """Of one group."""

    asyncio: Outcomes
    uv: Outcomes
    verdict: Verdict
    known: int
    #: Those that failed on uv among others, and passed alone.
    saved: list[str]
    #: How processes ended that did not come to their end.
    broken: list[str]


def main() -> int:
    began = time.monotonic()
    known = known_differences(PAGE.read_text())
    with tempfile.TemporaryDirectory(prefix="gwsuites-") as scratch, ThreadPoolExecutor(3) as pool:
        results = run_all(pool, Path(scratch), known)
    print(f"\n{'':18}{'':>7}   {'asyncio':^24}   {'uv':^24}   {'differences':^12}")
    print(
        f"{'group':18}{'tests':>7}" + f"   {'passed':>8}{'failed':>8}{'skipped':>8}" * 2 + f"   {'known':>6}{'new':>6}"
    )
    for group, result in results.items():
        new = len(result.verdict.new)
        print(f"{group:18}{len(result.asyncio):7}{counts(result.asyncio)}{counts(result.uv)}   {result.known:6}{new:6}")
    for result in results.values():
        tell(result)
    listed = {test for names in GROUPS.values() for test in of_group(names, known)}
    strays = sorted(set(known) - listed)
    for test in strays:
        print(f"\nSTALE: {test} is listed in docs/reactor.md, and in none of the suites")
    failed = bool(strays) or any(any(result.verdict) or result.broken for result in results.values())
    print(f"\n{time.monotonic() - began:.0f} s: {'FAILED' if failed else 'no difference but the known ones'}")
    return int(failed)


def of_group(names: Collection[str], tests: Collection[str]) -> list[str]:
    """Those of `tests` that are in modules or packages called `names`."""
    return [test for test in tests if test.startswith(tuple(f"{name}." for name in names))]


def run_all(pool: ThreadPoolExecutor, scratch: Path, known: Collection[str]) -> dict[str, Result]:
    """Every group on both reactors, those that differ a second time."""
    started = {}
    for group, names in GROUPS.items():
        apart = of_group(names, known)
        started[group] = (
            pool.submit(run, scratch, "asyncio", names),
            pool.submit(run, scratch, "uv", names, *(("--without", *apart) if apart else ())),
            pool.map(partial(run_alone, scratch, names), apart),
        )
    results = {}
    for group, (on_asyncio, on_uv, alone) in started.items():
        apart = of_group(GROUPS[group], known)
        asyncio, uv = on_asyncio.result(), on_uv.result()
        outcomes = {**uv.outcomes, **dict(zip(apart, alone, strict=True))}
        saved = []
        suspects = compare(asyncio.outcomes, outcomes, apart).new
        if len(suspects) <= MOST_TRIED_AGAIN:
            again = dict(zip(suspects, pool.map(partial(run_alone, scratch, GROUPS[group]), suspects), strict=True))
            outcomes.update(again)
            saved = [test for test, (outcome, _) in again.items() if outcome == "passed"]
        verdict = compare(asyncio.outcomes, outcomes, apart)
        results[group] = Result(asyncio.outcomes, outcomes, verdict, len(apart), saved, broken(asyncio, uv))
        print(f"{group}: run", flush=True)
    return results


def run_alone(scratch: Path, names: Collection[str], test: str) -> tuple[str, str]:
    """What becomes of one test on uv, in a process of its own."""
    return run(scratch, "uv", list(names), "--only", test).outcomes.get(test, ("failed", "it did not run"))


def broken(asyncio: Run, uv: Run) -> list[str]:
    return [f"on {kind}: {each.broken}" for kind, each in (("asyncio", asyncio), ("uv", uv)) if each.broken]


def counts(outcomes: Outcomes) -> str:
    count = Counter(outcome for outcome, _ in outcomes.values())
    return f"   {count['passed']:8}{count['failed']:8}{count['skipped']:8}"


def tell(result: Result) -> None:
    """What is not as it should be."""
    for how in result.broken:
        print(f"\nBROKEN {how}")
    for test in result.saved:
        print(f"\nFailed on uv among others, passed alone: {test}")
    for test in result.verdict.new[:MOST_TOLD]:
        print(f"\nNEW: {test} passes on asyncio, not on uv: {result.uv.get(test, ('', 'it did not run'))[1]}")
    if len(result.verdict.new) > MOST_TOLD:
        print(f"\n... and {len(result.verdict.new) - MOST_TOLD} more")
    for test in result.verdict.stale:
        print(f"\nSTALE: {test} is listed in docs/reactor.md, and passes")
    for test in result.verdict.unknown:
        print(f"\nSTALE: {test} is listed in docs/reactor.md, and passes nowhere")


if __name__ == "__main__":
    sys.exit(main())
