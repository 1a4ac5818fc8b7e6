"""The configuration that is in force, written as a file: every option of every section, defaults too, no secret.

Loading what is written gives the same configuration, but for secrets that stood in the file itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gwproxy.config.expand import escape
from gwproxy.config.model import Config
from gwproxy.config.options import Option, declared_options


def show(config: Config) -> str:
    """The text. What came from a file, and options declared secret, stay as they are written or become `***`."""
    sections: list[tuple[str, str, str, Any]] = [
        ("gateway", "", "", config.gateway),
        ("admin", "", "", config.admin),
        ("log", "", "", config.log),
    ]
    named_kinds: list[tuple[str, Mapping[str, Any]]] = [
        ("store", config.stores),
        ("listen", config.listeners),
        ("upstream", config.upstreams),
        ("route", config.routes),
    ]
    for kind, named in named_kinds:
        sections += [(kind, name, "", options) for name, options in named.items()]
    sections += [("filter", name, section.type, section.options) for name, section in config.filters.items()]
    return "\n".join("".join(_section(config, *section)) for section in sections)


def _section(config: Config, kind: str, name: str, filter_type: str, options: Any) -> Iterator[str]:
    yield f"[{kind}:{name}]\n" if name else f"[{kind}]\n"
    if filter_type:
        yield f"type = {filter_type}\n"
    for key, option in declared_options(type(options)).items():
        hidden = config.hidden.get((kind, name, key))
        if hidden is None:
            yield _line(option, getattr(options, option.attribute))
        else:
            yield _written(key, hidden)


def _line(option: Option, value: Any) -> str:
    text = "" if value is None else escape(option.value.write(value))
    # An option that is not given and has no text for that: shown so that it is seen to exist.
    if not text and value == option.default:
        return f"; {option.key} =\n"
    return _written(option.key, text)


def _written(key: str, text: str) -> str:
    return f"{key} = ".rstrip() + (" " + text.replace("\n", "\n    ") if text else "") + "\n"
