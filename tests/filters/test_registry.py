"""Filter types from entry points: found, claimed twice, broken, and what a config then hears."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import attrs
import pytest
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import provider

from gwproxy.config import ConfigErrors, ConfigMistake, parse
from gwproxy.filters import headers, security_headers
from gwproxy.filters.api import Traits
from gwproxy.filters.registry import GROUP, FilterType, filter_types
from gwproxy.testing import build_filter

MODULE = """
import attrs
from gwproxy.config.options import option
from gwproxy.config.values import integer

@attrs.frozen
class Options:
    limit: int = option(integer(1), default=1, doc="A number.")

class Filter:
    def on_request(self, exchange): ...

def factory(options, context):
    return Filter()
"""


class Site:
    """A folder of installed distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, name: str, module: str, code: str = MODULE) -> None:
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}\n")

    def types(self) -> dict[str, FilterType]:
        found = [
            entry
            for distribution in distributions(path=[str(self.folder)])
            for entry in distribution.entry_points.select(group=GROUP)
        ]
        return filter_types(found)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def warnings() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []

    @provider(ILogObserver)
    def collect(event: LogEvent) -> None:
        if event.get("log_level") is LogLevel.warn:
            events.append(event)

    globalLogPublisher.addObserver(collect)
    yield events
    globalLogPublisher.removeObserver(collect)


def mistakes(types: dict[str, FilterType], section: str) -> list[str]:
    """What a config with this section hears; the file is called gw.ini and the section begins in line 3."""
    text = f"[listen:http]\nendpoint = tcp:0\n[filter:mine]\n{section}"
    try:
        parse(
            text.encode(),
            "gw.ini",
            environ={},
            filter_types={name: found.options_class for name, found in types.items()},
        )
    except ConfigErrors as errors:
        return [str(mistake) for mistake in errors.mistakes]
    return []


def test_the_built_in_types_are_what_setup_cfg_names() -> None:
    named = [
        EntryPoint("headers", "gwproxy.filters.headers", GROUP),
        EntryPoint("security_headers", "gwproxy.filters.security_headers", GROUP),
    ]
    types = filter_types(named)
    assert [(found.name, found.options_class, found.factory) for found in types.values()] == [
        ("headers", headers.Options, headers.factory),
        ("security_headers", security_headers.Options, security_headers.factory),
    ]
    setup = (Path(__file__).parents[2] / "setup.cfg").read_text()
    assert all(f"{entry.name} = {entry.value}" in setup for entry in named)


def test_a_type_of_another_distribution_is_found(site: Site, warnings: list[LogEvent]) -> None:
    site.install("acme_filters", "acme", "acme_filter")
    found = site.types()["acme"]
    assert (found.name, found.distribution, found.problem) == ("acme", "acme_filters 1.0", "")
    assert attrs.fields_dict(found.options_class).keys() == {"limit"}
    assert mistakes(site.types(), "type = acme\nlimit = 5\n") == []
    assert mistakes(site.types(), "type = acme\nlimit = 0\n") == [
        "gw.ini:5: [filter:mine] limit = '0': must be 1 or more"
    ]
    assert warnings == []


def test_whether_a_type_says_what_it_means_for_others(site: Site) -> None:
    """Of our own, one without traits has nothing to say; of others, it may mean anything."""
    said = f"{MODULE}\nfrom gwproxy.filters.api import Traits\ndef traits(options):\n    return Traits(costly=True)\n"
    site.install("acme_filters", "acme", "acme_filter")
    site.install("other_filters", "other", "other_filter", said)
    types = site.types()
    assert (types["acme"].known, types["acme"].traits(None)) == (False, Traits())
    assert (types["other"].known, types["other"].traits(None)) == (True, Traits(costly=True))
    own = [each for each in filter_types().values() if each.distribution.startswith("gwproxy ") and not each.problem]
    assert own and all(each.known for each in own)


def test_an_object_can_stand_for_the_module(site: Site) -> None:
    code = MODULE + "\nclass Kind:\n    Options = Options\n    factory = staticmethod(factory)\n"
    site.install("acme_filters", "acme", "acme_filter:Kind", "")
    (site.folder / "acme_filter.py").write_text(code)
    assert site.types()["acme"].problem == ""


def test_two_distributions_that_claim_one_name(site: Site, warnings: list[LogEvent]) -> None:
    site.install("acme_filters", "acme", "acme_filter")
    site.install("other_filters", "acme", "other_filter")
    owners = "acme_filters 1.0, other_filters 1.0"
    told = f"the filter type acme cannot be used: {owners} claim this name: uninstall all but one"
    types = site.types()
    assert [event["told"] for event in warnings] == [told]
    assert mistakes(types, "type = acme\n") == [f"gw.ini:4: [filter:mine] {told}"]


def test_a_broken_import_refuses_only_the_config_that_uses_it(site: Site, warnings: list[LogEvent]) -> None:
    site.install("acme_filters", "acme", "acme_filter")
    site.install("broken_filters", "broken", "broken_filter", "import no_such_module_anywhere\n")
    told = (
        "the filter type broken cannot be used: broken_filters 1.0 cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_module_anywhere'"
    )
    types = site.types()
    [event] = warnings
    assert event["told"] == told
    # Its author needs to see where.
    assert "broken_filter.py" in event["log_failure"].getTraceback()
    assert mistakes(types, "type = acme\n") == []
    assert mistakes(types, "type = broken\n") == [f"gw.ini:4: [filter:mine] {told}"]
    # An option of a type that could not be asked for its options is no mistake of its own.
    assert mistakes(types, "type = broken\nrate = 1\n") == [f"gw.ini:5: [filter:mine] rate: {told}"]
    with pytest.raises(ConfigMistake, match="cannot be used"):
        types["broken"].factory(None, None)  # type: ignore[arg-type]  # it looks at neither


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("def factory(options, context): ...\n", "has no attrs class Options"),
        ("class Options: ...\ndef factory(options, context): ...\n", "has no attrs class Options"),
        ("import attrs\n@attrs.frozen\nclass Options: ...\n", "has no function factory"),
    ],
)
def test_a_type_that_lacks_a_part(site: Site, warnings: list[LogEvent], code: str, problem: str) -> None:
    site.install("acme_filters", "acme", "acme_filter", code)
    found = site.types()["acme"]
    assert found.problem == f"acme_filter of acme_filters 1.0 {problem}"
    assert len(warnings) == 1


def test_without_an_argument_it_is_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def installed(*, group: str) -> list[EntryPoint]:
        asked.append(group)
        return [EntryPoint("headers", "gwproxy.filters.headers", GROUP)]

    monkeypatch.setattr("gwproxy.filters.registry.entry_points", installed)
    assert list(filter_types()) == ["headers"]
    assert asked == ["gwproxy.filters"]
    assert build_filter(headers, {"request_remove": "X-A"}) is not None
