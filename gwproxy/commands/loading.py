"""A configuration file as commands read it: with the environment and the filter types of this process."""

from __future__ import annotations

import os

from gwproxy import build
from gwproxy.config import Config, ConfigErrors, Mistake, load
from gwproxy.filters.registry import filter_types


def load_file(file: str) -> Config:
    """As `load_checked`, without the warnings."""
    return load_checked(file)[0]


def load_checked(file: str) -> tuple[Config, list[Mistake]]:
    """The configuration of a file, with the environment and the filter types of this process; and what of it is
    probably not meant so.

    What it returns can be served: the filters have been made once, and no two routes tie. Raises ConfigErrors.
    """
    types = filter_types()
    options = {name: filter_type.options_class for name, filter_type in types.items()}
    try:
        config = load(file, environ=os.environ, filter_types=options)
    except ConfigErrors as errors:
        raise build.with_filters(errors, types) from None
    checked = build.check(config, types)
    if checked.mistakes:
        raise ConfigErrors(checked.mistakes)
    return config, checked.warnings
