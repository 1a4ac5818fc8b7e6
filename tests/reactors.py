"""A plugin for pytest, named in pyproject.toml. `--reactor=uv`, the default here, runs the tests on gwproxy.uv's
reactor; `--reactor=default` on the one that Twisted picks."""

from __future__ import annotations

import pytest_twisted


def _install_uv() -> None:
    from gwproxy.uv.reactor import UvReactor, install

    pytest_twisted._install_reactor(reactor_installer=install, reactor_type=UvReactor)


# Read when pytest_twisted declares the option, which is after this module is loaded.
pytest_twisted.reactor_installers["uv"] = _install_uv
