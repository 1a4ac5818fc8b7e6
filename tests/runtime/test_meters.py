"""Counters and gauges that others bring along."""

from __future__ import annotations

import pytest

from gwproxy.runtime.meters import Family, Meters


def read(meters: Meters) -> dict[str, dict[tuple[str, ...], float]]:
    return {family.name: {labels: value() for labels, value in family.series.items()} for family in meters.families()}


def test_who_asks_again_gets_the_same_counter() -> None:
    meters = Meters()
    meters.counter("hits", "Hits.", filter="a", kind="x").value += 1
    meters.counter("hits", "Hits.", filter="a", kind="x").value += 1
    meters.counter("hits", "Hits.", filter="b", kind="x").value += 5
    assert read(meters) == {"hits": {("a", "x"): 2, ("b", "x"): 5}}


def test_a_gauge_is_read_when_asked_and_the_last_reader_is_right() -> None:
    meters = Meters()
    level = [3.0]
    meters.gauge("level", "Level.", lambda: 99.0, filter="a")
    meters.gauge("level", "Level.", lambda: level[0], filter="a")
    level[0] = 4.0
    assert read(meters) == {"level": {("a",): 4.0}}


@pytest.mark.parametrize("labels", [{"filter": "a", "more": "b"}, {"other": "a"}])
def test_a_name_means_one_thing(labels: dict[str, str]) -> None:
    meters = Meters()
    meters.counter("hits", "Hits.", filter="a")
    with pytest.raises(ValueError, match="hits is a counter"):
        meters.counter("hits", "Hits.", **labels)
    with pytest.raises(ValueError, match="hits is a counter"):
        meters.gauge("hits", "Hits.", lambda: 0.0, filter="a")


def test_a_family_says_what_it_is() -> None:
    meters = Meters()
    meters.counter("hits", "Hits.", filter="a")
    (family,) = meters.families()
    assert isinstance(family, Family)
    assert (family.name, family.doc, family.kind, family.label_names) == ("hits", "Hits.", "counter", ("filter",))
