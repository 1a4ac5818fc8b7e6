"""What is a difference between two reactors, what is a listed one that is none, and that the page is read."""

from __future__ import annotations

import pytest

from tests.reactor_suites.__main__ import GROUPS, PAGE, of_group
from tests.reactor_suites.comparing import Outcomes, Verdict, compare, known_differences


def outcomes(**tests: str) -> Outcomes:
    return {test: (outcome, "") for test, outcome in tests.items()}


@pytest.mark.parametrize(
    ("asyncio", "uv", "known", "verdict"),
    [
        ("passed", "passed", False, Verdict([], [], [])),
        ("passed", "failed", False, Verdict(["test"], [], [])),
        ("passed", "skipped", False, Verdict(["test"], [], [])),
        ("passed", None, False, Verdict(["test"], [], [])),
        ("passed", "failed", True, Verdict([], [], [])),
        ("passed", "skipped", True, Verdict([], [], [])),
        ("passed", "passed", True, Verdict([], ["test"], [])),
        # what fails there as well is no matter of the reactor
        ("failed", "failed", False, Verdict([], [], [])),
        ("skipped", "failed", False, Verdict([], [], [])),
        ("failed", "failed", True, Verdict([], [], ["test"])),
        ("failed", "passed", True, Verdict([], [], ["test"])),
        (None, "failed", False, Verdict([], [], [])),
        (None, None, True, Verdict([], [], ["test"])),
    ],
)
def test_one_test_on_both(asyncio: str | None, uv: str | None, known: bool, verdict: Verdict) -> None:
    found = compare(
        outcomes(**({"test": asyncio} if asyncio else {})),
        outcomes(**({"test": uv} if uv else {})),
        ["test"] if known else [],
    )
    assert found == verdict


def test_each_test_is_judged_by_itself() -> None:
    asyncio = outcomes(a="passed", b="passed", c="passed", d="failed")
    uv = outcomes(a="failed", b="failed", c="passed", d="passed")
    assert compare(asyncio, uv, "bcd") == Verdict(new=["a"], stale=["c"], unknown=["d"])


def test_the_page_is_read() -> None:
    page = """
| test | why |
| `not.this` | outside |
<!-- differences: begin -->

| test | why |
|---|---|
| `a.test_b.Tests.test_c` | Because. It `does` so. |
| `a.test_b.Tests.test_d` | The same. |

<!-- differences: end -->
| `nor.this` | outside |
"""
    assert known_differences(page) == {
        "a.test_b.Tests.test_c": "Because. It `does` so.",
        "a.test_b.Tests.test_d": "The same.",
    }


@pytest.mark.parametrize("page", ["", "<!-- differences: begin -->", "<!-- differences: end -->"])
def test_a_page_without_the_table_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="no table"):
        known_differences(page)


def test_each_row_of_the_real_page_is_read_and_belongs_to_one_group() -> None:
    page = PAGE.read_text()
    table = page.partition("<!-- differences: begin -->")[2].partition("<!-- differences: end -->")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    known = known_differences(page)
    assert len(known) == len(rows) > 0
    assert sorted(known) == sorted(test for names in GROUPS.values() for test in of_group(names, known))
