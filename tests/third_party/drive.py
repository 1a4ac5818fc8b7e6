"""Loads a config as the gateway does, plays one request through its filters, and prints what became of it as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.internet.task import Clock

from gwproxy.config import ConfigErrors, load
from gwproxy.filters.api import FilterContext
from gwproxy.filters.registry import filter_types
from gwproxy.testing import FakeExchange, FilterHarness


def main(path: str, version: str) -> dict[str, Any]:
    types = filter_types()
    try:
        config = load(path, environ={}, filter_types={name: found.options_class for name, found in types.items()})
    except ConfigErrors as errors:
        return {"mistakes": [str(mistake) for mistake in errors.mistakes]}
    clock = Clock()
    filters = [
        (section.name, types[section.type].factory(section.options, FilterContext(section.name, clock, keep)))
        for section in config.filters.values()
    ]
    played = FilterHarness(*filters, clock=clock).run(FakeExchange(headers=[(b"API-Version", version.encode())]))
    return {
        "distribution": types["api_version"].distribution,
        "status": played.status,
        "filter": played.filter_name,
        "sent": [[name.decode(), value.decode()] for head in played.sent for name, value in head.headers],
    }


def keep(key: tuple[object, ...], make: Any) -> Any:
    return make()


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
