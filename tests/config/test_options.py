"""Options classes: what a declaration says, and what it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import attrs
import pytest

from gwproxy.config import values
from gwproxy.config.options import REQUIRED, declared_options, later_options, option


@attrs.frozen
class Sample:
    """A sample."""

    later: ClassVar[Mapping[str, str]] = {"soon": "not yet"}

    name: str = ""
    period: float | None = option(values.duration, default=None, doc="A period.")
    needed: int = option(values.integer(), doc="Needed.")
    class_: str = option(values.text, default="x", doc="A keyword.")
    content_type: str = option(values.text, default="", doc="Not a name in Python.", key="content-type")
    password: str = option(str, default="", doc="Secret.", secret=True, metavar="WORD")


def test_declarations() -> None:
    options = declared_options(Sample)
    assert list(options) == ["period", "needed", "class", "content-type", "password"]
    assert options["class"].attribute == "class_"
    assert options["content-type"].attribute == "content_type"
    assert options["needed"].required
    assert options["needed"].default is REQUIRED
    assert not options["period"].required
    assert (options["period"].metavar, options["period"].doc) == ("duration", "A period.")
    assert (options["password"].metavar, options["password"].secret) == ("WORD", True)
    assert options["password"].value("a") == "a"


def test_instances_are_plain_attrs() -> None:
    sample = Sample("n", needed=3)
    assert (sample.name, sample.needed, sample.period, sample.class_) == ("n", 3, None, "x")
    with pytest.raises(TypeError):
        Sample("n")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        sample.needed = 4  # type: ignore[misc]  # that it cannot be done is the test


def test_what_comes_later() -> None:
    assert later_options(Sample) == {"soon": "not yet"}
    assert later_options(attrs.make_class("Plain", [])) == {}
