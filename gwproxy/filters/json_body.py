"""The filter type `json_body`: request bodies must be JSON, of a bounded shape, and may have to fit a schema.

Rules:

* The body is held here, up to `max`, judged whole and forwarded byte for byte.
* What judging it costs is bounded whatever it holds: the syntax is checked and the shape measured without building
  anything of it (json_text.py); it is built, for `schema` and `unique_keys`, only up to `max_values`.
* Nothing of a body is in logs or answers, but for the names on the way to where it breaks the schema.
* What is not understood is refused: another content type, charset or content coding, and two Content-Type fields.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.values import boolean, file, integer, list_of, plain, size, token
from gwproxy.errors import BodyTooLarge, Reason
from gwproxy.filters.api import Exchange, FilterContext, IRequestFilter, Reply, Verdict
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, mode_option
from gwproxy.filters.json_schema import Schema
from gwproxy.filters.json_text import MOST_DEPTH, Shape, TooDeep, check_syntax
from gwproxy.http.headers import get_all

# What checks a schema goes no deeper.
_MOST_DEPTH_WITH_SCHEMA: Final = 200

# Bytes of a body, where a pattern may go back in it: some 0.1 s at the worst.
_MOST_TO_BACKTRACK: Final = 64 << 10

# Of a whole number, where numbers are read.
_MOST_DIGITS: Final = 1000

# How many ways to write a Content-Type are remembered as good. Then all are forgotten: clients choose them.
_MOST_TYPES: Final = 64


def _parse_media_type(text: str) -> str:
    kind, slash, rest = text.lower().partition("/")
    if slash:
        token(kind)
        token(rest)
    elif not text.startswith("+"):
        raise BadValue("must be a media type or a suffix, as in application/json or +json")
    return text.lower()


_media_type: Final = plain("media type or +suffix", _parse_media_type)


@attrs.frozen
class Options:
    """`[filter:NAME] type = json_body`."""

    max: int = option(size(1), default=1 << 20, doc="The largest body that is held and judged; a larger one is 413.")
    max_depth: int = option(
        integer(1, MOST_DEPTH), default=32, doc="How deep arrays and objects may nest; `[[]]` is 2 deep."
    )
    max_keys: int = option(integer(0), default=10_000, doc="How many keys all objects of the body may have together.")
    schema: Path | None = option(
        file, default=None, doc="A JSON Schema that bodies must fit; a `$ref` in it stays in the same file."
    )
    unique_keys: bool = option(
        boolean, default=False, doc="No object may have a key twice; readers differ in which of them they take."
    )
    max_values: int = option(
        integer(1),
        default=10_000,
        doc="How many values the body may have in all, elements of arrays too; judged only with schema or unique_keys, "
        "whose cost it bounds.",
    )
    content_types: tuple[str, ...] = option(
        list_of(_media_type),
        default=("application/json", "+json"),
        doc="Media types that pass; +SUFFIX stands for all that end so. Others are 415.",
    )
    methods: tuple[str, ...] = option(list_of(token), default=(), doc="Methods whose bodies are judged; none: all.")
    required: bool = option(boolean, default=False, doc="Whether a request without a body is refused.")
    mode: Mode = mode_option()

    def check_options(self) -> None:
        """A schema is not checked at every depth."""
        if self.schema is not None and self.max_depth > _MOST_DEPTH_WITH_SCHEMA:
            raise ConfigMistake(f"can be at most {_MOST_DEPTH_WITH_SCHEMA} where there is a schema", "max_depth")
        if not self.content_types:
            raise ConfigMistake("needs at least one media type", "content_types")


class _Refused(Exception):
    """A body that does not pass: why, with what status, and what more the answer says."""

    def __init__(self, denial: Denial, status: int = 400, more: dict[str, str] | None = None) -> None:
        self.denial = denial
        self.status = status
        self.more = more


class _KeyTwice(ValueError):
    """An object has a key twice."""


@implementer(IRequestFilter)
class JsonBodyFilter:
    """See the module."""

    __slots__ = ("_decisions", "_exact", "_good_types", "_hook", "_methods", "_options", "_schema", "_suffixes")

    def __init__(self, options: Options, context: FilterContext) -> None:
        self._options = options
        self._decisions = Decisions(context, options.mode, Event.BODY_REFUSED)
        self._methods = frozenset(method.encode() for method in options.methods)
        types = [each.encode() for each in options.content_types]
        self._exact = frozenset(each for each in types if not each.startswith(b"+"))
        self._suffixes = tuple(each for each in types if each.startswith(b"+"))
        self._good_types: set[bytes] = set()
        self._schema = None if options.schema is None else Schema(options.schema)
        if self._schema is not None and self._schema.backtracks and options.max > _MOST_TO_BACKTRACK:
            most = f"{_MOST_TO_BACKTRACK >> 10}k"
            raise ConfigMistake(f"can be at most {most}: the schema has a pattern that looks around or back", "max")
        self._hook = _unique if options.unique_keys else None

    def on_request(self, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        if self._methods and exchange.method not in self._methods:
            self._decisions.allowed.value += 1
            return None
        if not exchange.has_body:
            return self._without_body(exchange)
        if not self._understands(exchange):
            return self._decisions.deny(exchange, Denial.BODY_TYPE, 415)
        body = exchange.read_body(self._options.max)
        return body.addCallbacks(self._judged, self._not_read, callbackArgs=(exchange,), errbackArgs=(exchange,))

    def _without_body(self, exchange: Exchange) -> Verdict:
        if self._options.required:
            return self._decisions.deny(exchange, Denial.BODY_NOT_JSON, 400)
        self._decisions.allowed.value += 1
        return None

    def _understands(self, exchange: Exchange) -> bool:
        """Whether the head says that the body is JSON in UTF-8, and nothing else."""
        headers = exchange.headers
        types = get_all(headers, b"content-type")
        if len(types) != 1:
            return False
        if types[0] not in self._good_types:
            if not self._is_good_type(types[0]):
                return False
            if len(self._good_types) >= _MOST_TYPES:
                self._good_types.clear()
            self._good_types.add(types[0])
        return all(coding.lower() == b"identity" for coding in get_all(headers, b"content-encoding"))

    def _is_good_type(self, value: bytes) -> bool:
        # RFC 9110 section 8.3.1. JSON has no parameters (RFC 8259 section 11), but many send this one.
        kind, *parameters = (each.strip().lower() for each in value.split(b";"))
        if kind not in self._exact and not (kind.endswith(self._suffixes) and b"/" in kind):
            return False
        charsets = [each.partition(b"=")[2].strip(b'"') for each in parameters if each.startswith(b"charset")]
        return all(charset in (b"utf-8", b"utf8") for charset in charsets)

    def _judged(self, body: bytes, exchange: Exchange) -> Verdict:
        if not body:
            return self._without_body(exchange)
        try:
            self._judge(body)
        except _Refused as refused:
            reply = None
            if refused.more:
                reply = Reply(refused.status, reason=Reason.FILTER, detail=str(refused.denial), more=refused.more)
            return self._decisions.deny(exchange, refused.denial, refused.status, reply=reply)
        self._decisions.allowed.value += 1
        return None

    def _not_read(self, failure: Failure, exchange: Exchange) -> Verdict:
        failure.trap(BodyTooLarge)
        return self._decisions.deny(exchange, Denial.BODY_LIMIT, 413)

    def _judge(self, body: bytes) -> None:
        """Raises _Refused."""
        options = self._options
        try:
            check_syntax(body)
        except TooDeep:
            raise _Refused(Denial.BODY_TOO_DEEP) from None
        except ValueError:
            raise _Refused(Denial.BODY_NOT_JSON) from None
        shape = Shape(body)
        if shape.is_deeper_than(options.max_depth):
            raise _Refused(Denial.BODY_TOO_DEEP)
        if shape.has_more_keys_than(options.max_keys):
            raise _Refused(Denial.BODY_TOO_MANY_KEYS)
        if self._schema is None and self._hook is None:
            return
        if shape.has_more_values_than(options.max_values):
            raise _Refused(Denial.BODY_TOO_MANY_VALUES)
        try:
            value = json.loads(body, object_pairs_hook=self._hook, parse_int=_whole_number)
        except _KeyTwice:
            raise _Refused(Denial.BODY_KEY_TWICE) from None
        except RecursionError:
            raise _Refused(Denial.BODY_TOO_DEEP) from None
        except ValueError:  # a number of too many digits
            raise _Refused(Denial.BODY_NOT_JSON) from None
        violation = None if self._schema is None else self._schema.violation(value)
        if violation is not None:
            raise _Refused(Denial.BODY_SCHEMA, 422, {"pointer": violation.pointer, "keyword": violation.keyword})


def _whole_number(digits: str) -> int:
    # Reading one takes time by the square of its length.
    if len(digits) > _MOST_DIGITS:
        raise ValueError("too many digits")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _KeyTwice
    return made


def factory(options: Options, context: FilterContext) -> JsonBodyFilter:
    """Compiles the schema. Raises ConfigMistake for one that cannot be used."""
    return JsonBodyFilter(options, context)
