"""Kinds of value: what they take, what they refuse, and that they are written as they are read."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.config import values
from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import Rate, Value


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


COLOUR = values.choice(Colour, later={"hash": "no hashes yet"})
PORTS = values.list_of(values.integer(1, 9))


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        (values.text, "a b", "a b"),
        (values.text, "", ""),
        (values.token, "X-a_b.c!", "X-a_b.c!"),
        (values.boolean, "yes", True),
        (values.boolean, "On", True),
        (values.boolean, "true", True),
        (values.boolean, "no", False),
        (values.boolean, "off", False),
        (values.boolean, "FALSE", False),
        (values.integer(), "0", 0),
        (values.integer(-5, 5), "-5", -5),
        (values.integer(1, 10), "10", 10),
        (values.duration, "0", 0.0),
        (values.duration, "0s", 0.0),
        (values.duration, "250ms", 0.25),
        (values.duration, "1.5s", 1.5),
        (values.duration, "5m", 300.0),
        (values.duration, "1h", 3600.0),
        (values.duration, "7d", 604800.0),
        (values.positive_duration, "1ms", 0.001),
        (values.size(), "0", 0),
        (values.size(), "512", 512),
        (values.size(), "64k", 65536),
        (values.size(), "10M", 10485760),
        (values.size(), "1g", 1073741824),
        (values.or_none(values.size()), "none", 0),
        (values.or_none(values.duration), "5s", 5.0),
        (values.rate, "50/s", Rate(50, 1.0)),
        (values.rate, "600 / m", Rate(600, 60.0)),
        (COLOUR, "red", Colour.RED),
        (PORTS, "", ()),
        (PORTS, "1, 2\n3,\n", (1, 2, 3)),
        (values.network, "10.0.0.0/8", ipaddress.ip_network("10.0.0.0/8")),
        (values.network, "::1", ipaddress.ip_network("::1/128")),
    ],
)
def test_taken_and_written_so_that_it_is_read_again(value: Value[Any], text: str, expected: object) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)
    assert value(value.write(found)) == expected


@pytest.mark.parametrize(
    ("value", "text", "message"),
    [
        (values.text, "a\nb", "one line"),
        (values.text, "a\x07", "one line"),
        (values.token, "a b", "token"),
        (values.token, "", "token"),
        (values.boolean, "1", "must be yes or no"),
        (values.integer(), "-1", "must be 0 or more"),
        (values.integer(1, 10), "11", "must be 1 to 10"),
        (values.integer(), "1_000", "whole number, 0 or more"),
        (values.integer(), "٣", "whole number"),
        (values.integer(), "9" * 5000, "whole number"),
        (values.integer(), "1.5", "whole number"),
        (values.integer(), "", "whole number"),
        (values.duration, "10", "must be a duration"),
        (values.duration, "10 s", "must be a duration"),
        (values.duration, "1h30m", "must be a duration"),
        (values.duration, "-1s", "must be a duration"),
        (values.duration, "infs", "must be a duration"),
        (values.duration, "9" * 400 + "s", "must be a duration"),
        (values.positive_duration, "0", "more than 0"),
        (values.size(), "10kb", "must be a size"),
        (values.size(), "1.5m", "must be a size"),
        (values.size(1024), "1000", "must be 1k or more"),
        (values.rate, "50", "must be a rate"),
        (values.rate, "0/s", "must be a rate"),
        (values.rate, "5/w", "must be a rate"),
        (COLOUR, "gren", "must be red or green; did you mean 'green'?"),
        (COLOUR, "blue", "must be red or green"),
        (COLOUR, "hash:ip", "no hashes yet"),
        (values.network, "10.0.0.1/8", "bits set beyond its prefix"),
        (values.network, "10.0.0", "must be an address or a network"),
        (values.path, "", "must be a path"),
        (values.directory, "/no/such/folder", "is no folder"),
        (values.file, "/", "is no file"),
    ],
)
def test_refused_without_repeating_the_text(value: Value[Any], text: str, message: str) -> None:
    with pytest.raises(BadValue, match=message.replace("?", r"\?")) as caught:
        value(text)
    assert not caught.value.piece


def test_a_list_tells_of_all_its_wrong_pieces() -> None:
    with pytest.raises(BadValue) as caught:
        PORTS("1, x, 2, 1, 99")
    found = [caught.value, *caught.value.more]
    assert [(bad.piece, bad.message) for bad in found] == [
        ("x", "must be a whole number, 1 to 9"),
        ("1", "stands twice in the list"),
        ("99", "must be 1 to 9"),
    ]


def test_rates_by_the_second() -> None:
    assert values.rate("600/m").per_second == 10.0


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").touch()
    assert values.path("x/../y", tmp_path) == tmp_path / "y"
    assert values.path("/x", tmp_path) == Path("/x")
    assert values.path("x") == Path.cwd() / "x"
    assert values.directory("a", tmp_path) == tmp_path / "a"
    assert values.file("a/f", tmp_path) == tmp_path / "a" / "f"


def test_any_function_of_a_string_will_do() -> None:
    assert values.as_value(float)("1.5") == 1.5
    assert values.as_value(float).kind == "float"
    assert values.as_value(values.text) is values.text


@given(st.integers(0, 10**6))
def test_durations_survive_writing(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert values.duration(values.duration.write(seconds)) == seconds


@given(st.integers(0, 10**11))
def test_sizes_survive_writing(size: int) -> None:
    assert values.size()(values.size().write(size)) == size


def test_durations_and_sizes_read_well() -> None:
    assert [values.duration.write(each) for each in (0.0, 0.25, 60.0, 90.0, 120.0, 86400.0, 604800.0)] == [
        "0",
        "250ms",
        "60s",
        "90s",
        "2m",
        "24h",
        "7d",
    ]
    assert [values.size().write(each) for each in (0, 512, 1000, 1024, 10 << 20)] == ["0", "512", "1000", "1k", "10m"]
