"""A filter of somebody else's in the whole gateway: its four hooks, its option in the file, its reply as an error page.

How it is installed and found: tests/third_party.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from gwproxy.config import ConfigErrors
from gwproxy.filters.registry import FilterType
from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow

PACKAGE = Path(__file__).parents[1] / "third_party/api_version/gwproxy_api_version.py"
SECTION = "[route:api]\npath = /api\nupstream = service\nfilters = versions\n[filter:versions]\ntype = api_version\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def package() -> ModuleType:
    """The module, as its entry point names it."""
    spec = importlib.util.spec_from_file_location("gwproxy_api_version", PACKAGE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_versions(make_flow: MakeFlow, package: ModuleType, options: str) -> Flow:
    types = {"api_version": FilterType("api_version", "gwproxy-api-version 1.0", package.Options, package.factory)}
    return make_flow(types=types, more=SECTION + options)


def get(version: bytes) -> bytes:
    return b"GET /api/x HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"API-Version: %b\r\n" % version if version else b"")


def test_it_runs(make_flow: MakeFlow, package: ModuleType) -> None:
    flow = with_versions(make_flow, package, "versions = 1, 2\n")
    for asked, told in ((b"1", b"1"), (b"", b"2")):
        flow.client >> get(asked)
        flow.upstream << b"GET /api/x HTTP/1.1\r\nHost: a\r\nAPI-Version: %b\r\n\r\n" % told
        flow.upstream >> OK
        flow.client << b"HTTP/1.1 200 OK\r\nAPI-Version: %b\r\nContent-Length: 2\r\n\r\nok" % told


def test_it_refuses(make_flow: MakeFlow, package: ModuleType) -> None:
    flow = with_versions(make_flow, package, "versions = 1, 2\n")
    flow.client >> get(b"3")
    flow.client.refused(400, "unknown_version")
    assert flow.dials == 0
    line = flow.logged(status=400, reason="unknown_version", by="gateway")
    assert line["filter"] == "versions"


def test_its_mistakes_are_the_files(make_flow: MakeFlow, package: ModuleType) -> None:
    with pytest.raises(ConfigErrors, match=r"\[filter:versions\] needs at least one version"):
        with_versions(make_flow, package, "versions =\n")
