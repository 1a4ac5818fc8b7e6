"""Holds the code to ARCHITECTURE.md: imports go one way, no module chooses the reactor, files stay small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gwproxy"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Stop and split at this; about 300 is the aim.
MOST_LINES = 400
# A name that says nothing takes in everything.
FORBIDDEN = {"utils", "util", "helpers", "common", "manager", "base"}
REACTOR = "twisted.internet.reactor"


def read_table(text: str) -> dict[str, set[str]]:
    """The layers table of ARCHITECTURE.md: each unit with all units that it may import, those of those included."""
    table = text.partition("<!-- layers: begin -->")[2].partition("<!-- layers: end -->")[0]
    allowed: dict[str, set[str]] = {}
    for row in table.strip().splitlines()[2:]:
        cells = row.strip("|").split("|")
        (unit,) = re.findall(r"`(\w+)`", cells[0])
        # A unit may only name units above it: that is what makes the imports go one way.
        allowed[unit] = {name for below in re.findall(r"`(\w+)`", cells[2]) for name in (below, *allowed[below])}
    return allowed


ALLOWED = read_table((ROOT / "ARCHITECTURE.md").read_text())


def unit_of(module: str) -> str:
    """The unit that a dotted module name belongs to; "" for `gwproxy` itself."""
    return [*module.split("."), ""][1]


def module_name(path: Path) -> str:
    """The dotted name under which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, wherever in it, with its line. `from a import b` counts as a.b too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def breaches(path: Path, source: str) -> list[str]:
    """The imports of a file that its unit may not make, one line each."""
    name = module_name(path)
    unit = unit_of(name)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return [
        f"{path.relative_to(ROOT)}:{line}: {unit or 'gwproxy'} may not import {target}"
        for line, target in imported(ast.parse(source), package)
        if target.split(".")[0] == "gwproxy"
        and (other := unit_of(target)) in ALLOWED  # not a name that gwproxy/__init__.py defines
        and other != unit
        and other not in ALLOWED.get(unit, set())
    ]


def reactor_imports(source: str) -> list[int]:
    """The lines that import the reactor when the module is imported: outside of functions."""
    found: list[int] = []
    nodes: list[ast.AST] = [ast.parse(source)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            lines = imported(ast.Module([node], []), "")
            found.extend(line for line, target in lines if f"{target}.".startswith(f"{REACTOR}."))
        nodes.extend(ast.iter_child_nodes(node))
    return found


def test_every_unit_is_in_the_table() -> None:
    units = {unit_of(module_name(path)) for path in MODULES} - {""}
    assert units - ALLOWED.keys() == set()


def test_imports_go_one_way() -> None:
    found = [line for path in MODULES for line in breaches(path, path.read_text())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("file", "source", "wrong"),
    [
        ("http/headers.py", "from gwproxy.errors import BadHost", False),
        ("http/headers.py", "from gwproxy.config import model", True),
        ("http/headers.py", "import gwproxy.config.model", True),
        ("http/headers.py", "from gwproxy import config", True),
        ("http/headers.py", "from ..config import model", True),
        ("http/__init__.py", "from . import headers", False),
        ("http/__init__.py", "from .. import proxy", True),
        ("http/headers.py", "from gwproxy import __version__", False),
        ("filters/jwt.py", "if TYPE_CHECKING:\n    from gwproxy.proxy.exchange import Exchange", True),
        ("proxy/forward.py", "def forward():\n    from gwproxy.edge.site import Site", True),
        ("proxy/forward.py", "from gwproxy.http import headers", False),
        ("__init__.py", "from gwproxy import service", True),
    ],
)
def test_a_breach_is_seen(file: str, source: str, wrong: bool) -> None:
    assert bool(breaches(PACKAGE / file, source)) is wrong


def test_no_module_imports_the_reactor_as_it_is_imported() -> None:
    found = [f"{path.relative_to(ROOT)}:{line}" for path in MODULES for line in reactor_imports(path.read_text())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("from twisted.internet import defer, reactor", [1]),
        ("if True:\n    import twisted.internet.reactor", [2]),
        ("class A:\n    from twisted.internet.reactor import callLater", [2]),
        ("def start():\n    from twisted.internet import reactor", []),
        ("from twisted.internet import reactors", []),
    ],
)
def test_an_import_of_the_reactor_is_seen(source: str, lines: list[int]) -> None:
    assert reactor_imports(source) == lines


def test_no_dependency_installs_the_reactor() -> None:
    """Imports every module in one fresh interpreter, as twistd does before it has chosen a reactor."""
    names = [module_name(path) for path in MODULES]
    script = f"import sys, importlib\nfor name in {names!r}:\n    importlib.import_module(name)\n"
    script += f"    if {REACTOR!r} in sys.modules:\n        sys.exit(f'importing {{name}} installs the reactor')\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_files_are_small_and_well_named() -> None:
    files = [path for folder in ("gwproxy", "tests", "bench") for path in sorted((ROOT / folder).rglob("*.py"))]
    long = [path for path in files if len(path.read_text().splitlines()) > MOST_LINES]
    vague = [path for path in files if path.stem in FORBIDDEN or path.parent.name in FORBIDDEN]
    assert not long, f"more than {MOST_LINES} lines: {[str(path.relative_to(ROOT)) for path in long]}"
    assert not vague, f"a name that says nothing: {[str(path.relative_to(ROOT)) for path in vague]}"
