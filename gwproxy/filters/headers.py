"""The filter type `headers`: sets, adds and removes fields of the request sent upstream and of the response.

Rules:

* Request edits are made in `on_attempt`: every try starts from the untouched request, and hop-by-hop fields are gone by
  then, so that no `Connection: X-Api-Key` of a client takes away what is set here (CORRECTNESS H3, K4).
* Fields that frame the message, belong to this hop or are the gateway's own to write are refused at load.
* Of one message, removals come first, then what is set and added, in the order written.
* A value is a template compiled at load. A variable can put no control byte into a value: see `Template`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Final

import attrs
from zope.interface import implementer

from gwproxy.config.mistakes import BadValue, ConfigMistake, did_you_mean
from gwproxy.config.options import option
from gwproxy.config.values import Value, list_of, plain
from gwproxy.filters.api import Exchange, FilterContext, Header, IAttemptFilter, IResponseFilter, Traits
from gwproxy.http.headers import HOP_BY_HOP, TOKEN

# Written by the gateway itself after the filters' edits: a second field would contradict it.
_OWN_IN_REQUESTS: Final = frozenset(
    {
        b"forwarded",
        b"traceparent",
        b"tracestate",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-real-ip",
        b"x-request-id",
    }
)
_OWN_IN_RESPONSES: Final = frozenset({b"via", b"x-request-id"})
_FRAMING: Final = frozenset({b"content-length", b"expect"})

# RFC 9110 section 5.5; a tab may stand inside a value.
_NOT_IN_VALUES: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_IS_SAFE: Final = re.compile(rb"(?:[!-~\x80-\xff]+(?:[ \t]+[!-~\x80-\xff]+)*)?").fullmatch
_UNSAFE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|\A[ \t]+|[ \t]+\Z")

_VARIABLE: Final = re.compile(r"\$(?:(\$)|([a-z_]+)|)")

# A comma separates two fields only where a name and a colon follow: `Cache-Control: no-store, max-age=0` is one field.
_NEXT_FIELD: Final = re.compile(r",\s*(?=[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*:(?!//))")


VARIABLES: Final[dict[str, Callable[[Exchange], str | bytes]]] = {
    "client_ip": attrgetter("client_ip"),
    "host": attrgetter("host"),
    "method": attrgetter("method"),
    "path": attrgetter("path"),
    "request_id": attrgetter("request_id"),
    "route": attrgetter("route_name"),
    "scheme": attrgetter("scheme"),
    "subject": lambda exchange: exchange.principal.subject if exchange.principal is not None else "",
    "trace_id": attrgetter("trace_id"),
}


Part = bytes | Callable[[Exchange], str | bytes]


@attrs.frozen
class Template:
    """A value with variables (`$client_ip`; `$$` is a dollar sign), compiled once.

    What a variable stands for is made safe as it is put in: control bytes, and blanks at either end, which an upstream
    would strip, become `%XX`, so that `admin` and `admin<LF>` stay different people.
    """

    text: str = attrs.field(repr=False)  # may hold a secret
    # The whole value where no variable is in it, else None.
    constant: bytes | None = attrs.field(eq=False, repr=False)
    _parts: tuple[Part, ...] = attrs.field(eq=False, repr=False)

    @classmethod
    def compile(cls, text: str) -> Template:
        """Raises BadValue for a variable that does not exist and for control characters."""
        if _NOT_IN_VALUES.search(text.encode()):
            raise BadValue("a header value cannot contain CR, LF, NUL or another control character")
        parts: list[Part] = []
        constant: bytes | None = b""
        end = 0
        for match in _VARIABLE.finditer(text):
            parts.append(text[end : match.start()].encode())
            parts.append(b"$" if match[1] else _variable(match[2]))
            end = match.end()
        parts.append(text[end:].encode())
        for part in parts:
            constant = constant + part if isinstance(part, bytes) and constant is not None else None
        return cls(text, constant, tuple(part for part in parts if part))

    def render(self, exchange: Exchange) -> bytes:
        """The value for one exchange; empty when its variables are."""
        return b"".join([part if isinstance(part, bytes) else _safe(part(exchange)) for part in self._parts])


def _variable(name: str) -> Callable[[Exchange], str | bytes]:
    if not name:
        raise BadValue("a dollar sign begins a variable; write $$ for the sign itself")
    if name not in VARIABLES:
        raise BadValue(f"there is no such variable{did_you_mean(name, VARIABLES)}", f"${name}")
    return VARIABLES[name]


def _safe(value: str | bytes) -> bytes:
    raw = value.encode("utf-8", "backslashreplace") if isinstance(value, str) else value
    return raw if _IS_SAFE(raw) else _UNSAFE.sub(_percent, raw)


def _percent(match: re.Match[bytes]) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in match[0])


Field = tuple[bytes, Template]


def _parse_name(text: str, own: frozenset[bytes]) -> bytes:
    """A field name that a filter may touch, case kept."""
    name = text.strip().encode()
    lower = name.lower()
    if not TOKEN.fullmatch(name):
        raise BadValue("must be a header name: letters, digits and -, without spaces", text.strip())
    if lower == b"host":
        raise BadValue("Host is set by host_header in the route", text.strip())
    if lower in HOP_BY_HOP or lower in _FRAMING:
        raise BadValue("frames the message or ends at this hop, and is no filter's to change", text.strip())
    if lower in own:
        raise BadValue("is written by the gateway itself", text.strip())
    return name


def _parse_fields(text: str, own: frozenset[bytes]) -> tuple[Field, ...]:
    lines = text.strip().splitlines()
    pieces = lines if len(lines) > 1 else _NEXT_FIELD.split(text.strip())
    fields = []
    for piece in filter(str.strip, pieces):
        name, colon, value = piece.partition(":")
        if not colon:
            raise BadValue("must be Name: value", piece.strip())
        parsed = _parse_name(name, own)
        if not value.strip():
            raise BadValue("has no value; the _remove options take a field away", name.strip())
        fields.append((parsed, Template.compile(value.strip(" \t"))))
    return tuple(fields)


def _write_fields(fields: tuple[Field, ...]) -> str:
    written = [f"{name.decode()}: {value.text}" for name, value in fields]
    return ("\n" if any("," in field for field in written) else ", ").join(written)


def _fields(own: frozenset[bytes]) -> Value[tuple[Field, ...]]:
    """`Name: value` pairs: one a line, or on a single line separated by commas."""
    return plain("list of Name: value", lambda text: _parse_fields(text, own), _write_fields)


def _names(own: frozenset[bytes]) -> Value[tuple[bytes, ...]]:
    """Names of fields, lower case."""
    return list_of(plain("header name", lambda text: _parse_name(text, own).lower(), bytes.decode))


class Edits:
    """What is done to one list of fields, in place: one pass that takes out, then what comes in at the end."""

    __slots__ = ("_added", "_dropped", "_ready")

    def __init__(self, replaced: Iterable[Field], added: Iterable[Field], removed: Iterable[bytes]) -> None:
        replaced = tuple(replaced)
        self._dropped = frozenset(removed) | {name.lower() for name, _ in replaced}
        self._added = (*replaced, *added)
        constants = [(name, value.constant) for name, value in self._added if value.constant is not None]
        # Nothing to render in any of them: the pairs are ready.
        self._ready: list[Header] | None = constants if len(constants) == len(self._added) else None

    def __bool__(self) -> bool:
        return bool(self._dropped or self._added)

    def apply(self, headers: list[Header], exchange: Exchange) -> None:
        """Edits `headers`. A field whose variables are all empty does not come in: `set` then only takes it out."""
        dropped = self._dropped
        if dropped:
            headers[:] = [pair for pair in headers if pair[0].lower() not in dropped]
        if self._ready is not None:
            headers += self._ready
            return
        for name, template in self._added:
            value = template.constant
            if value is None:
                value = template.render(exchange)
            if value:
                headers.append((name, value))


@attrs.frozen
class Options:
    """`[filter:NAME] type = headers`."""

    request_set: tuple[Field, ...] = option(
        _fields(_OWN_IN_REQUESTS),
        default=(),
        doc="Fields of the request sent upstream, in place of any of the same name: X-A: 1, X-Ip: $client_ip, or one a "
        f"line. Variables: {', '.join(f'${name}' for name in VARIABLES)}; $$ is a dollar sign. A field whose value "
        "comes out empty ($subject of nobody) is only taken away.",
    )
    request_add: tuple[Field, ...] = option(
        _fields(_OWN_IN_REQUESTS), default=(), doc="As request_set, beside those of the same name."
    )
    request_remove: tuple[bytes, ...] = option(
        _names(_OWN_IN_REQUESTS), default=(), doc="Names of request fields that do not go upstream."
    )
    response_set: tuple[Field, ...] = option(
        _fields(_OWN_IN_RESPONSES), default=(), doc="As request_set, for the response to the client."
    )
    response_add: tuple[Field, ...] = option(
        _fields(_OWN_IN_RESPONSES), default=(), doc="As response_set, beside those of the same name."
    )
    response_remove: tuple[bytes, ...] = option(
        _names(_OWN_IN_RESPONSES), default=(), doc="Names of response fields that do not reach the client."
    )


@implementer(IAttemptFilter, IResponseFilter)
class HeadersFilter:
    """Edits what is sent upstream and what the client gets, replies of the gateway's own included."""

    __slots__ = ("_request", "_response")

    def __init__(self, request: Edits, response: Edits) -> None:
        self._request = request
        self._response = response

    def on_attempt(self, exchange: Exchange) -> None:
        self._request.apply(exchange.outgoing.headers, exchange)

    def on_response(self, exchange: Exchange) -> None:
        self._response.apply(exchange.response_headers, exchange)


def traits(options: Options) -> Traits:
    """What it sets, no client can send either. What it adds stands beside the client's."""
    return Traits(removes=(*options.request_remove, *(name for name, _ in options.request_set)))


def factory(options: Options, context: FilterContext) -> HeadersFilter:
    """Raises ConfigMistake when the filter would do nothing."""
    request = Edits(options.request_set, options.request_add, options.request_remove)
    response = Edits(options.response_set, options.response_add, options.response_remove)
    if not request and not response:
        raise ConfigMistake("a filter of type headers needs at least one of its options")
    return HeadersFilter(request, response)
