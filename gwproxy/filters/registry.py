"""Which filter types there are: the entry points of group `gwproxy.filters`, built-in and third party alike.

Rules:

* An entry point names a module, or any object, with `Options` and `factory` (IFilterType).
* A type that cannot be used (its import fails, it lacks a part, two distributions claim its name) is listed all the
  same and warned about. It refuses a config that uses it, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Final, NoReturn

import attrs
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from gwproxy.config.mistakes import ConfigMistake
from gwproxy.filters.api import FilterContext, Traits

GROUP: Final = "gwproxy.filters"

_log = Logger(namespace=GROUP)

Factory = Callable[[Any, FilterContext], object]


@attrs.frozen
class FilterType:
    """A kind of filter that a config can name. `distribution` is whose it is, as `name version`."""

    name: str
    distribution: str
    options_class: type
    factory: Factory
    # Why it cannot be used; empty: it can. Then `options_class` and `factory` do nothing but say so.
    problem: str = ""
    # What a filter with these options means for the others of its chain.
    traits: Callable[[Any], Traits] = lambda options: Traits()
    # Whether it says so at all, or is ours and has nothing to say.
    known: bool = False


def filter_types(found: Iterable[EntryPoint] | None = None) -> dict[str, FilterType]:
    """All types by name. Imports their modules, so it belongs to loading, and warns of those that cannot be used.

    `found` stands in for what is installed.
    """
    claims: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP) if found is None else found:
        claims.setdefault(entry.name, []).append(entry)
    return {name: _load(name, entries) for name, entries in sorted(claims.items())}


def _load(name: str, entries: list[EntryPoint]) -> FilterType:
    owners = ", ".join(sorted(map(_owner, entries)))
    if len(entries) > 1:
        return _unusable(name, owners, f"{owners} claim this name: uninstall all but one")
    try:
        loaded = entries[0].load()
    except Exception as error:  # an import runs whatever its author wrote
        return _unusable(name, owners, f"{owners} cannot be imported: {type(error).__name__}: {error}", Failure())
    options_class, factory = getattr(loaded, "Options", None), getattr(loaded, "factory", None)
    if not isinstance(options_class, type) or not attrs.has(options_class):
        return _unusable(name, owners, f"{entries[0].value} of {owners} has no attrs class Options")
    if not callable(factory):
        return _unusable(name, owners, f"{entries[0].value} of {owners} has no function factory")
    traits = getattr(loaded, "traits", None)
    if traits is None:
        return FilterType(name, owners, options_class, factory, known=owners.startswith("gwproxy "))
    return FilterType(name, owners, options_class, factory, traits=traits, known=True)


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value


class _EveryKey(dict[str, str]):
    """Gives every key of a section the same answer."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self._answer = answer

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> str:
        return self._answer


def _unusable(name: str, owners: str, problem: str, failure: Failure | None = None) -> FilterType:
    """A type of which a config hears nothing but `problem`, whatever options it gives."""
    told = f"the filter type {name} cannot be used: {problem}"
    if failure is None:
        _log.warn("{told}", told=told)
    else:
        _log.failure("{told}", failure, LogLevel.warn, told=told)

    @attrs.frozen
    class Unusable:
        later: ClassVar[Mapping[str, str]] = _EveryKey(told)

        def check_options(self) -> NoReturn:
            raise ConfigMistake(told, "type")

    def factory(options: object, context: FilterContext) -> NoReturn:
        raise ConfigMistake(told, "type")

    return FilterType(name, owners, Unusable, factory, problem)
