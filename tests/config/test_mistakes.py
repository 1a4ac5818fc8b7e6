"""How mistakes read."""

from __future__ import annotations

from gwproxy.config.mistakes import ConfigErrors, Mistake, Place, did_you_mean


def test_one_line_a_mistake_in_the_order_of_the_file() -> None:
    errors = ConfigErrors(
        [
            Mistake(Place("gw.ini", 12), "route:a", "later"),
            Mistake(Place("gw.ini", 2), "route:a", "earlier"),
            Mistake(Place("gw.ini", 0), "", "the whole file"),
        ]
    )
    assert str(errors) == "gw.ini: the whole file\ngw.ini:2: [route:a] earlier\ngw.ini:12: [route:a] later"
    assert [mistake.place.line for mistake in errors.mistakes] == [0, 2, 12]


def test_the_nearest_name() -> None:
    assert did_you_mean("Endpiont", ["endpoint", "name"]) == "; did you mean 'endpoint'?"
    assert did_you_mean("zzz", ["endpoint", "name"]) == ""
    assert did_you_mean("x", []) == ""
