"""How an options class declares its options: `option()` for the built-in sections and for filters alike.

An options class is a frozen attrs class whose fields are made by `option()`. The field's name is the key in the file;
its parser, default and documentation travel with it, so that loading, `check --show` and the reference need no table
beside the class. A class may also have

* `check_options(self)`: raises ConfigMistake if options do not fit together; called once all of them are parsed;
* `later`: a ClassVar mapping of keys that are known but not built yet to the reason given when one is used.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, TypeVar, cast

import attrs

from gwproxy.config.values import Value, as_value

T = TypeVar("T")

_METADATA_KEY: Final = "gwproxy.option"


class Required(Enum):
    """The default of an option that has none."""

    REQUIRED = "required"


REQUIRED: Final = Required.REQUIRED


@attrs.frozen
class Option:
    """One option as it was declared. `attribute` is its name in Python, `key` its name in the file."""

    attribute: str
    key: str
    value: Value[Any]
    default: Any
    doc: str
    metavar: str
    secret: bool

    @property
    def required(self) -> bool:
        """Must it be given?"""
        return self.default is REQUIRED


def option(
    parse: Callable[[str], T],
    *,
    default: T | Required = REQUIRED,
    doc: str,
    metavar: str = "",
    secret: bool = False,
    key: str = "",
) -> T:
    """A field of an options class.

    `parse` turns the text of the file into the value: one of `gwproxy.config.values`, or any function of a string that
    raises ValueError. `default` is a value, not a text. `doc` is one or two sentences for the reference. A `secret` is
    never shown, nor in the repr of the options. `key` is the name in the file where it cannot be the field's name
    (`content-type`); `class_` is `class` there without it.
    """
    metadata = {"parse": as_value(parse), "doc": doc, "metavar": metavar, "secret": secret, "key": key}
    field = attrs.field(
        default=attrs.NOTHING if isinstance(default, Required) else default,
        kw_only=True,
        repr=not secret,
        metadata={_METADATA_KEY: metadata},
    )
    return cast("T", field)  # attrs replaces the field by its value; the checker sees what instances will have


def declared_options(options_class: type) -> dict[str, Option]:
    """The options of a class by their key in the file, in the order declared. Fields made otherwise are left out."""
    found: dict[str, Option] = {}
    for field in attrs.fields(options_class):
        declared = field.metadata.get(_METADATA_KEY)
        if declared is None:
            continue
        key = declared["key"] or _plain_key(field.name)
        found[key] = Option(
            attribute=field.name,
            key=key,
            value=declared["parse"],
            default=REQUIRED if field.default is attrs.NOTHING else field.default,
            doc=declared["doc"],
            metavar=declared["metavar"] or declared["parse"].kind,
            secret=declared["secret"],
        )
    return found


def later_options(options_class: type) -> Mapping[str, str]:
    """Keys of a class that are known but not built yet, each with what to tell who uses it."""
    later: Mapping[str, str] = getattr(options_class, "later", {})
    return later


def _plain_key(attribute: str) -> str:
    """`class_` is written `class` in a file."""
    bare = attribute.removesuffix("_")
    return bare if keyword.iskeyword(bare) else attribute
