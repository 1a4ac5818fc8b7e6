"""How mistakes read."""

from __future__ import annotations

from gwproxy.config.mistakes import ConfigErrors, Mistake, Place, did_you_mean, wrong_lines


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


def test_of_many_wrong_lines_the_first_are_told() -> None:
    told = [(number, "is wrong") for number in (3, 1, 2)]
    assert str(wrong_lines(told)) == "line 1: is wrong; line 2: is wrong; line 3: is wrong"
    ten = wrong_lines((number, "x") for number in range(1, 11))
    assert str(ten).endswith("line 10: x")
    many = wrong_lines((number, "x") for number in range(1, 101))
    assert str(many).endswith("line 10: x; and 90 more")


def test_the_nearest_name() -> None:
    assert did_you_mean("Endpiont", ["endpoint", "name"]) == "; did you mean 'endpoint'?"
    assert did_you_mean("zzz", ["endpoint", "name"]) == ""
    assert did_you_mean("x", []) == ""
