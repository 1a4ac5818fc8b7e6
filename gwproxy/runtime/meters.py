"""Counters and gauges that parts of the gateway bring along; the metrics read them at a scrape.

They outlive reloads: who asks for the same name and labels gets the same counter again. Counting is
`counter.value += 1` and nothing else, for it stands on the path of a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs


class Counter:
    """How often something happened since the start."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


@attrs.define
class Family:
    """All series of one name. `read` by label values gives what each is now."""

    name: str  # without prefix, and without `_total`
    doc: str
    kind: str  # "counter" | "gauge"
    label_names: tuple[str, ...]
    series: dict[tuple[str, ...], Callable[[], float]] = attrs.field(factory=dict)


class Meters:
    """One a process."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}
        self._counters: dict[tuple[object, ...], Counter] = {}

    def counter(self, name: str, doc: str, **labels: str) -> Counter:
        """The counter `gateway_NAME_total`. Labels come from closed sets: names of the configuration, fixed words."""
        key = (name, *labels.items())
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = Counter()
            self._family(name, doc, "counter", labels).series[tuple(labels.values())] = lambda: counter.value
        return counter

    def gauge(self, name: str, doc: str, read: Callable[[], float], **labels: str) -> None:
        """The gauge `gateway_NAME`, read at each scrape. The last who says how to read a series is right."""
        self._family(name, doc, "gauge", labels).series[tuple(labels.values())] = read

    def families(self) -> Iterator[Family]:
        """All there are."""
        yield from self._families.values()

    def _family(self, name: str, doc: str, kind: str, labels: dict[str, str]) -> Family:
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = Family(name, doc, kind, tuple(labels))
        if (family.kind, family.label_names) != (kind, tuple(labels)):
            raise ValueError(f"{name} is a {family.kind} with the labels {family.label_names} already")
        return family
