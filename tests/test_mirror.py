"""Each file of gwproxy/ has its test file at the same place below tests/, and what is tested elsewhere says why."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]

# Files without a test file of their own. An entry that is not needed fails, so that this list stays true.
WITHOUT_TEST: dict[str, str] = {
    "upstream/receiver.py": "an interface: the tests of the connection are its tests",
    "proxy/downstream.py": "a seam without code: the tests of the exchange and of the channel are its tests",
    "proxy/producer.py": "a seam without code: the tests of attempts and of resources are its tests",
}


def sources() -> dict[str, Path]:
    """The files of gwproxy/, by path below it, with where each one's test file should be."""
    package = ROOT / "gwproxy"
    return {
        path.relative_to(package).as_posix(): ROOT / "tests" / path.relative_to(package).with_name(f"test_{path.name}")
        for path in sorted(package.rglob("*.py"))
        if path.name != "__init__.py"
    }


def test_every_file_has_its_test_file() -> None:
    missing = [
        f"gwproxy/{name} has no {test.relative_to(ROOT)}"
        for name, test in sources().items()
        if name not in WITHOUT_TEST and not test.exists()
    ]
    assert not missing, "\n".join(missing)


def test_no_exception_is_idle() -> None:
    found = sources()
    idle = [name for name in WITHOUT_TEST if name not in found or found[name].exists()]
    assert not idle, f"take out of WITHOUT_TEST: {idle}"


def test_no_init_file_holds_code_of_its_own() -> None:
    """An __init__.py has no test file, so it may only say what the package is and offer its names."""
    long = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "gwproxy").rglob("__init__.py"))
        if any(line.startswith(("class ", "def ", "async def ")) for line in path.read_text().splitlines())
        and path.parent.name != "gwproxy"  # __version__, tested by tests/packaging
    ]
    assert not long, f"move the code into modules: {long}"
