"""What users get: the wheel's content, and a `twistd gwproxy` that is found however the package is installed.

Nothing here touches the network: an environment of its own is made of links to the packages that the tests run with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
TWISTD = Path(sysconfig.get_path("scripts")) / "twistd"
PLUGIN = "twisted/plugins/gwproxy_plugin.py"


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed, run without the settings of the test process."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def files_below(folder: Path) -> set[str]:
    """The paths of all files in a folder, relative to it, without compiled Python."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }


def copy_of_checkout(to: Path) -> Path:
    """The project as it is now, without what builds and tools left in it."""
    leavings = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "dropin.cache")
    shutil.copytree(ROOT, to, ignore=leavings)
    return to


def new_environment(folder: Path) -> Path:
    """An environment with all that this one has but gwproxy. Gives the path of its interpreter."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'), end='')", cwd=folder))
    link_all_but(SITE_PACKAGES, packages, "twisted")
    (packages / "twisted").mkdir()
    link_all_but(SITE_PACKAGES / "twisted", packages / "twisted", "plugins")
    # Twisted's folder of plugins is written to: by the install, and by twistd.
    ours = shutil.ignore_patterns("gwproxy_plugin*", "dropin.cache", "__pycache__")
    shutil.copytree(SITE_PACKAGES / "twisted/plugins", packages / "twisted/plugins", ignore=ours)
    return python


def link_all_but(source: Path, target: Path, apart: str) -> None:
    """Links a folder's entries into another, except one and those of gwproxy's own install."""
    for entry in source.iterdir():
        if entry.name != apart and "gwproxy" not in entry.name:
            (target / entry.name).symlink_to(entry)


def install(python: Path, *what: str | Path) -> None:
    """Installs into the environment of an interpreter."""
    options = ["--no-deps", "--no-build-isolation", "--quiet"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, *what, cwd=python.parent)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, after twistd left its cache there."""
    tree = copy_of_checkout(tmp_path_factory.mktemp("wheel") / "tree")
    (tree / "twisted/plugins/dropin.cache").touch()
    target = tree.parent / "dist"
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", target, tree, cwd=tree.parent)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(params=["wheel", "editable"])
def installed(request: pytest.FixtureRequest, tmp_path: Path, wheel: Path) -> tuple[Path, Path]:
    """An environment with gwproxy installed, by its interpreter, and a checkout (that it was installed from)."""
    tree = copy_of_checkout(tmp_path / "tree")
    python = new_environment(tmp_path / "environment")
    if request.param == "wheel":
        install(python, wheel)
    else:
        install(python, "--editable", tree)
    return python, tree


def test_the_wheel_holds_the_package_and_the_plugin_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        content = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {f"gwproxy/{name}" for name in files_below(wheel.parents[1] / "tree/gwproxy")}
    assert content == package | {PLUGIN}


def test_the_wheel_offers_the_command_and_the_filters(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        lines = archive.read(name).decode().split("\n")
    for line in (
        "gwproxy = gwproxy.cli:main",
        "headers = gwproxy.filters.headers",
        "security_headers = gwproxy.filters.security_headers",
    ):
        assert line in lines


def test_twistd_finds_the_plugin_and_leaves_the_checkout_clean(installed: tuple[Path, Path], tmp_path: Path) -> None:
    python, tree = installed
    before = files_below(tree)
    for cwd in (tmp_path, tree):
        # the script, and with the current folder on sys.path as well
        for twistd in ([str(TWISTD)], ["-c", "from twisted.scripts.twistd import run; run()"]):
            assert "An API gateway" in run(python, *twistd, "--help", cwd=cwd)
            assert "--config=" in run(python, *twistd, "gwproxy", "--help", cwd=cwd)
    assert files_below(tree) == before
    assert not list((tree / "twisted").rglob("__pycache__"))


def test_the_version_is_that_of_the_install(installed: tuple[Path, Path], tmp_path: Path) -> None:
    python, _ = installed
    version = run(python, "-c", "import gwproxy; print(gwproxy.__version__)", cwd=tmp_path).strip()
    assert f"\nversion = {version}\n" in (ROOT / "setup.cfg").read_text()


def test_an_editable_install_uses_the_source_in_place(tmp_path: Path) -> None:
    tree = copy_of_checkout(tmp_path / "tree")
    python = new_environment(tmp_path / "environment")
    install(python, "--editable", tree)
    (tree / "gwproxy/added_later.py").write_text("here = True\n")
    run(python, "-c", "from gwproxy.added_later import here", cwd=tmp_path)
