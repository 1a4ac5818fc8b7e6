"""A filter type as an author would declare one, and loading from a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import pytest

from gwproxy.config import Config, ConfigErrors, ConfigMistake, load, values
from gwproxy.config.options import option

Load = Callable[..., Config]
Mistakes = Callable[..., list[str]]


@attrs.frozen
class SampleOptions:
    """Lets a sample pass."""

    rate: values.Rate = option(values.rate, doc="How many.")
    burst: int = option(int, default=100, doc="At once.")
    password: str = option(values.text, default="", doc="For the store.", secret=True)
    class_: str = option(values.text, default="", doc="A keyword.")
    pattern: re.Pattern[str] | None = option(re.compile, default=None, doc="Somebody's own parser.")
    labels: tuple[str, ...] = option(values.list_of(values.text), default=("a", "b"), doc="Labels.")

    def check_options(self) -> None:
        """A burst is at least one request."""
        if self.burst < 1:
            raise ConfigMistake("burst must be 1 or more", "burst")


@attrs.frozen
class StrictOptions:
    word: str = option(values.text, doc="A word.")

    def __attrs_post_init__(self) -> None:
        """As a validator of attrs does."""
        raise ValueError(f"no such word: {self.word}")


FILTER_TYPES: dict[str, type] = {"sample": SampleOptions, "strict": StrictOptions}


@pytest.fixture
def filter_types() -> dict[str, type]:
    """The filter types of these tests."""
    return FILTER_TYPES


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Writes a text to gw.ini in an empty folder and loads it."""

    def run(text: str, environ: Mapping[str, str] | None = None) -> Config:
        path = tmp_path / "gw.ini"
        path.write_text(text, encoding="utf-8")
        return load(path, environ=environ or {}, filter_types=FILTER_TYPES)

    return run


@pytest.fixture
def mistakes_of(load_text: Load, tmp_path: Path) -> Mistakes:
    """The mistakes of a text, without the folder in front."""

    def run(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigErrors) as caught:
            load_text(text, environ)
        return [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]

    return run
