"""Sections to options, and options to a `Config`: every mistake of a file is found before any is reported.

Order: syntax, each section by itself, then what sections say of each other. A section with mistakes still exists for
those that refer to it, so that one mistake is not reported twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from gwproxy.config.expand import Expanded, expand
from gwproxy.config.ini import Entry, Section, read_sections
from gwproxy.config.mistakes import BadValue, ConfigErrors, ConfigMistake, Mistake, Place, did_you_mean
from gwproxy.config.model import (
    AdminOptions,
    Config,
    FilterSection,
    GatewayOptions,
    ListenOptions,
    LogOptions,
    PlaceKey,
    RouteOptions,
    UpstreamOptions,
)
from gwproxy.config.options import Option, declared_options, later_options
from gwproxy.config.stores import StoreOptions

# Kinds of section that stand once and without a name, and those that stand as often as wanted, each with its name.
SINGLE: Final[Mapping[str, type]] = {"gateway": GatewayOptions, "admin": AdminOptions, "log": LogOptions}
NAMED: Final[Mapping[str, type]] = {
    "listen": ListenOptions,
    "upstream": UpstreamOptions,
    "route": RouteOptions,
    "store": StoreOptions,
}
FILTER: Final = "filter"

KINDS: Final = (*SINGLE, *NAMED, FILTER)
LATER_KINDS: Final = {"tls": "TLS is not in this version yet"}

_LONGEST_ECHO: Final = 80

# A secret that stands elsewhere as a whole is shown as it is written; one of which a part stands in the file is not.
_ELSEWHERE: Final = re.compile(r"\$\{(?:file:[^}]*|[A-Za-z_][A-Za-z0-9_]*)\}")
_MASK: Final = "***"


def load(path: str | os.PathLike[str], *, environ: Mapping[str, str], filter_types: Mapping[str, type]) -> Config:
    """Read and check a file. `filter_types` has the options class of each filter type. Raises ConfigErrors."""
    file = os.fspath(path)
    try:
        data = Path(file).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise ConfigErrors([Mistake(Place(file, 0), "", f"cannot be read: {reason}")]) from None
    return parse(data, file, environ=environ, filter_types=filter_types)


def parse(data: bytes, file: str, *, environ: Mapping[str, str], filter_types: Mapping[str, type]) -> Config:
    """The same for bytes that stand for `file`: relative paths begin at its folder. Raises ConfigErrors."""
    sections, mistakes = read_sections(data, file)
    loading = _Loading(file, sections, environ, filter_types)
    loading.mistakes.extend(mistakes)
    config = loading.run()
    if loading.mistakes:
        raise ConfigErrors(loading.mistakes, config)
    return config


def gateway_options(path: str | os.PathLike[str], *, environ: Mapping[str, str]) -> GatewayOptions:
    """The [gateway] section alone, before anything else of a file is looked at; the defaults where it cannot be read or
    has mistakes, of which load() tells."""
    file = os.fspath(path)
    try:
        sections, _ = read_sections(Path(file).read_bytes(), file)
    except (OSError, ValueError):
        return GatewayOptions()
    return _Loading(file, [section for section in sections if section.kind == "gateway"], environ, {}).run().gateway


class _Loading:
    """One run over the sections of one file."""

    def __init__(
        self, file: str, sections: list[Section], environ: Mapping[str, str], filter_types: Mapping[str, type]
    ) -> None:
        self.mistakes: list[Mistake] = []
        self._file = file
        self._base = Path(file).absolute().parent
        self._sections = sections
        self._environ = environ
        self._filter_types = filter_types
        self._places: dict[PlaceKey, Place] = {}
        self._texts: dict[PlaceKey, Expanded] = {}
        self._hidden: dict[PlaceKey, str] = {}
        # kind -> name -> options; sections with mistakes are not in it
        self._built: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        # kind -> name -> attribute -> value: what was read of each section, also of one with mistakes
        self._read: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}

    def run(self) -> Config:
        for section in self._sections:
            self._read_section(section)
        self._check_references()
        self._check_endpoints()
        built = self._built
        return Config(
            path=self._file,
            gateway=built["gateway"].get("", GatewayOptions()),
            admin=built["admin"].get("", AdminOptions()),
            log=built["log"].get("", LogOptions()),
            listeners=built["listen"],
            upstreams=built["upstream"],
            routes=built["route"],
            filters=built[FILTER],
            stores=built["store"],
            places=self._places,
            hidden=self._hidden,
        )

    # One section

    def _read_section(self, section: Section) -> None:
        self._places[section.kind, section.name, None] = Place(self._file, section.line)
        if not self._known_section(section):
            return
        if section.kind == FILTER:
            options: Any = self._read_filter(section)
        elif section.kind in NAMED:
            options = self._read_options(section, NAMED[section.kind], {"name": section.name})
        else:
            options = self._read_options(section, SINGLE[section.kind], {})
        if options is not None:
            self._built[section.kind][section.name] = options

    def _known_section(self, section: Section) -> bool:
        kind = section.kind
        if kind in LATER_KINDS:
            self._mistake(section, None, LATER_KINDS[kind])
        elif kind not in KINDS:
            self._mistake(section, None, f"there is no such kind of section{did_you_mean(kind, KINDS)}")
        elif kind in SINGLE and section.name:
            self._mistake(section, None, f"the section has no name: write [{kind}]")
        elif kind not in SINGLE and not section.name:
            self._mistake(section, None, f"the section needs a name: write [{kind}:NAME]")
        else:
            return True
        return False

    def _read_filter(self, section: Section) -> FilterSection | None:
        entry = section.entries.get("type")
        if entry is None:
            self._mistake(section, None, "type is missing: it says what kind of filter this is")
            return None
        expanded = self._expand(section, entry)
        if expanded is None:
            return None
        try:
            options_class = self._filter_types[expanded.text]
        except KeyError:
            near = did_you_mean(expanded.text, self._filter_types)
            self._mistake(section, "type", f"there is no filter type {_echo(expanded, '')}{near}")
            return None
        options = self._read_options(section, options_class, {}, done=frozenset(["type"]))
        return None if options is None else FilterSection(section.name, expanded.text, options)

    def _read_options(
        self, section: Section, options_class: type, given: dict[str, Any], done: frozenset[str] = frozenset()
    ) -> Any:
        """An instance of `options_class`, or None after a mistake. `done`: keys that are dealt with."""
        before = len(self.mistakes)
        declared = declared_options(options_class)
        later = later_options(options_class)
        arguments = self._read[section.kind][section.name] = dict(given)
        for key, entry in section.entries.items():
            if key in done:
                continue
            option = declared.get(key)
            if option is not None:
                self._read_entry(section, entry, option, arguments)
            elif key in later:
                self._mistake(section, key, f"{key}: {later[key]}", entry.line)
            else:
                near = did_you_mean(key, [*declared, *later, *done])
                self._mistake(section, key, f"there is no option {key}{near}", entry.line)
        for option in declared.values():
            if option.required and option.key not in section.entries:
                self._mistake(section, None, f"{option.key} is missing")
        if len(self.mistakes) > before:
            return None
        return self._make(section, options_class, arguments)

    def _make(self, section: Section, options_class: type, arguments: dict[str, Any]) -> Any:
        try:
            options = options_class(**arguments)
            check = getattr(options, "check_options", None)
            if check is not None:
                check()
        except ConfigMistake as mistake:
            self._mistake(section, mistake.key or None, mistake.message)
        except ValueError as error:  # a validator of the class, whose words may repeat values
            self._mistake(section, None, str(error) if self._may_repeat(section) else "the options do not fit together")
        else:
            return options
        return None

    def _may_repeat(self, section: Section) -> bool:
        """Is every value of the section in the file for all to read?"""
        keys = [(section.kind, section.name, key) for key in section.entries]
        return not any(key in self._hidden or self._texts[key].changed for key in keys)

    # One option

    def _read_entry(self, section: Section, entry: Entry, option: Option, arguments: dict[str, Any]) -> None:
        expanded = self._expand(section, entry, secret=option.secret)
        if expanded is None:
            return
        secret = option.secret or expanded.changed
        try:
            arguments[option.attribute] = option.value.read(expanded.text, self._base)
        except BadValue as bad:
            for each in (bad, *bad.more):
                self._bad_value(section, entry, expanded, each)
        except (ValueError, re.error) as error:
            # Somebody's own parser: its words may repeat the text.
            words = f"is not a valid {option.value.kind}" if secret else str(error)
            self._bad_value(section, entry, expanded, BadValue(words))

    def _expand(self, section: Section, entry: Entry, secret: bool = False) -> Expanded | None:
        place_key = (section.kind, section.name, entry.key)
        self._places[place_key] = Place(self._file, entry.line)
        try:
            expanded = expand(entry.raw, self._environ, self._base)
        except BadValue as bad:  # its piece is the ${...} as written
            self._mistake(section, entry.key, f"{entry.key} = {_quote(bad.piece)}: {bad.message}")
            return None
        self._texts[place_key] = expanded
        if secret:
            self._hidden[place_key] = entry.raw if _ELSEWHERE.fullmatch(entry.raw) else _MASK
        elif expanded.secret:
            self._hidden[place_key] = entry.raw
        return expanded

    def _bad_value(self, section: Section, entry: Entry, expanded: Expanded, bad: BadValue) -> None:
        hidden = self._hidden.get((section.kind, section.name, entry.key))
        shown = _echo(expanded, bad.piece) if hidden is None else _quote(hidden)
        self._mistake(section, entry.key, f"{entry.key} = {shown}: {bad.message}")

    # What sections say of each other

    def _check_references(self) -> None:
        names: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for section in self._sections:
            if section.kind in names:
                names[section.kind].append(section.name)
        for route, values in self._read["route"].items():
            if values.get("upstream"):
                self._refer(route, "upstream", "upstream", [values["upstream"]], names["upstream"])
            self._refer(route, "filters", FILTER, values.get("filters", ()), names[FILTER])
        if not names["listen"]:
            message = "there is no [listen:NAME]: nothing would be served"
            self.mistakes.append(Mistake(Place(self._file, 0), "", message))

    def _refer(self, route: str, key: str, kind: str, wanted: Iterable[str], known: list[str]) -> None:
        for name in wanted:
            if name not in known:
                place_key = ("route", route, key)
                echo = _echo(self._texts[place_key], name)
                message = f"{key} = {echo}: there is no such [{kind}:NAME]{did_you_mean(name, known)}"
                self.mistakes.append(Mistake(self._places[place_key], f"route:{route}", message))

    def _check_endpoints(self) -> None:
        taken: dict[str, str] = {}
        users = [(kind, name) for kind in ("admin", "listen") for name in self._read[kind]]
        for kind, name in users:
            endpoint = self._read[kind][name].get("endpoint")
            # Port 0 is any free port, and systemd may hand over several sockets of a kind.
            if not endpoint or endpoint.split(":")[1] == "0" or endpoint.startswith("systemd:"):
                continue
            title = f"{kind}:{name}" if name else kind
            first = taken.setdefault(endpoint, title)
            if first != title:
                message = f"endpoint is taken already, by [{first}]"
                self.mistakes.append(Mistake(self._places[kind, name, "endpoint"], title, message))

    def _mistake(self, section: Section, key: str | None, message: str, line: int = 0) -> None:
        entry = section.entries.get(key) if key else None
        place = Place(self._file, line or (entry.line if entry else section.line))
        self.mistakes.append(Mistake(place, section.title, message))


def _echo(expanded: Expanded, piece: str) -> str:
    """What a message may show of a value: the wrong piece of it, or how it is written if it was expanded."""
    return _quote(expanded.raw if expanded.changed else piece or expanded.text)


def _quote(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_ECHO else text[: _LONGEST_ECHO - 3] + "...")
