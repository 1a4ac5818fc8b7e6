"""The filter type `api_key`: clients with a key that `gwproxy key` made.

Rules:

* A key stands in one place: twice in the header, twice in the query, or in both is refused, never chosen from.
* It goes no further: header (and its twins, `X_API_Key`) and query parameter are taken out of what is sent upstream,
  in shadow mode and of strangers too. The other parameters stay byte for byte.
* A query parameter is found as servers read it: between `&`, its name percent-decoded (WHATWG URL, section 5.1).
* That a key expired is told only to who has it: for anything else it is unknown.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import attrs
from zope.interface import implementer

from gwproxy.config.mistakes import BadValue
from gwproxy.config.options import option
from gwproxy.config.values import boolean, file, plain
from gwproxy.filters.api import Exchange, FilterContext, Header, IAttemptFilter, IRequestFilter, Reply, Traits
from gwproxy.filters.claim_fields import ClaimFields, ClaimToField, claims_to_headers
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, mode_option
from gwproxy.filters.field_names import parse_field_name
from gwproxy.filters.key_file import StoredKey, StoredKeys, read_keys
from gwproxy.filters.realm import realm, realm_challenge
from gwproxy.filters.vouched import VouchedFields
from gwproxy.http.query import parameter_values, without_parameter
from gwproxy.runtime.watched import WatchedFile

# With rules of their own: who may send them, and how often, is not ours to say.
_TAKEN: Final = (b"authorization", b"cookie", b"proxy-authorization")


def _parse_header(given: str) -> bytes:
    name = parse_field_name(given)
    if name.lower() in _TAKEN:
        raise BadValue("is for other credentials; give the key a header of its own, as in X-API-Key")
    return name


def _parse_query(given: str) -> bytes:
    if given == "none":
        return b""
    # What is the same in every encoding of it that the client may choose, and what the logs can find again.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.~-]*", given):
        raise BadValue("must be none, or the name of a parameter: letters, digits and _.~-")
    return given.encode()


@attrs.frozen
class Options:
    """`[filter:NAME] type = api_key`."""

    file: Path = option(file, doc="The keys, as `gwproxy key` writes them. Read again when it changes.")
    header: bytes = option(
        plain("header name", _parse_header, bytes.decode),
        default=b"X-API-Key",
        doc="The header with the key. It never goes upstream.",
    )
    query: bytes = option(
        plain("parameter | none", _parse_query, lambda name: name.decode() or "none"),
        default=b"",
        doc="A query parameter in which clients may send the key instead; it is masked in the logs and does not go "
        "upstream. A URL ends up in histories and in the logs of others: prefer the header.",
    )
    realm: str = option(realm, default="api", doc="What the challenge of a 401 calls the protected space.")
    optional: bool = option(
        boolean, default=False, doc="Let requests without a key pass, as nobody. A wrong key is refused all the same."
    )
    claims_to_headers: tuple[ClaimToField, ...] = option(
        claims_to_headers,
        default=(),
        doc="Claims of the key that go upstream as headers: sub: X-Client, plan: X-Plan. `sub` is the client, `key_id` "
        "the public id of the key. What a client sends under these names is always removed.",
    )
    mode: Mode = mode_option()


@implementer(IRequestFilter)
class ApiKeyFilter:
    """Finds who a key belongs to: a lookup and one hash."""

    __slots__ = (
        "_challenge",
        "_changes",
        "_claim_fields",
        "_decisions",
        "_fields",
        "_file",
        "_foreign",
        "_name",
        "_optional",
        "_wall",
        "vouched",
    )

    def __init__(self, options: Options, context: FilterContext, keys: WatchedFile[StoredKeys]) -> None:
        self._file = keys
        self._name = options.header.lower()
        self._claim_fields = ClaimFields(options.claims_to_headers)
        self.vouched = self._claim_fields.vouched
        self._foreign = VouchedFields([options.header])
        self._optional = options.optional
        self._challenge = [realm_challenge("ApiKey", options.realm)]
        self._decisions = Decisions(context, options.mode, Event.AUTH_FAILED)
        self._wall = context.wall
        # The fields of each key, made when it is first used; emptied when the file changes.
        self._fields: dict[str, list[Header]] = {}
        self._changes = keys.changes

    def on_request(self, exchange: Exchange) -> Reply | None:
        return self._judge(exchange, self._given(exchange))

    def _given(self, exchange: Exchange) -> list[bytes]:
        """What stands in the header, which is taken away."""
        wanted = self._name
        length = len(wanted)
        headers = exchange.headers
        given = [value for name, value in headers if len(name) == length and name.lower() == wanted]
        self._foreign.strip(headers)
        return given

    def _judge(self, exchange: Exchange, given: list[bytes]) -> Reply | None:
        if not given:
            if self._optional:
                self._decisions.allowed.value += 1
                return None
            return self._deny(exchange, Denial.NO_CREDENTIALS)
        if len(given) > 1:
            return self._deny(exchange, Denial.SEVERAL_CREDENTIALS)
        stored = self._file.value.find(given[0])
        if stored is None:
            return self._deny(exchange, Denial.KEY_UNKNOWN)
        if stored.expires <= self._wall():
            return self._deny(exchange, Denial.KEY_EXPIRED)
        exchange.principal = stored.principal
        if self.vouched:
            self.vouched.strip(exchange.headers)
            exchange.headers += self._fields_of(stored)
        self._decisions.allowed.value += 1
        return None

    def _fields_of(self, stored: StoredKey) -> list[Header]:
        if self._changes != self._file.changes:
            self._changes = self._file.changes
            self._fields.clear()
        fields = self._fields.get(stored.id)
        if fields is None:
            fields = self._fields[stored.id] = self._claim_fields.fields(stored.principal.claims)
        return fields

    def _deny(self, exchange: Exchange, denial: Denial) -> Reply | None:
        return self._decisions.deny(exchange, denial, 401, self._challenge)


@implementer(IAttemptFilter)
class ApiKeyInQueryFilter(ApiKeyFilter):
    """Takes keys in the query, too."""

    __slots__ = ("_parameter",)

    def __init__(self, options: Options, context: FilterContext, keys: WatchedFile[StoredKeys]) -> None:
        super().__init__(options, context, keys)
        self._parameter = options.query

    def on_request(self, exchange: Exchange) -> Reply | None:
        given = self._given(exchange)
        if exchange.query:
            given += parameter_values(exchange.query, self._parameter)
        _clean_referer(exchange.headers, self._parameter)
        return self._judge(exchange, given)

    def on_attempt(self, exchange: Exchange) -> None:
        if exchange.query:
            outgoing = exchange.outgoing
            outgoing.target = without_parameter(outgoing.target, self._parameter)


def _clean_referer(headers: list[Header], parameter: bytes) -> None:
    """A page that was opened with a key in its URL names that URL when it asks for more."""
    for at, (name, value) in enumerate(headers):
        if len(name) == 7 and b"?" in value and name.lower() == b"referer":
            headers[at] = (name, without_parameter(value, parameter))


def traits(options: Options) -> Traits:
    """What it means for the rest of a chain."""
    return Traits(
        identifies=True,
        vouches_for=tuple(name for _, name in options.claims_to_headers),
        removes=(options.header,),
        secret_parameters=(options.query.decode(),) if options.query else (),
    )


def factory(options: Options, context: FilterContext) -> ApiKeyFilter:
    """Raises ConfigMistake for a file that is no list of keys."""
    keys = context.watched_file(options.file, read_keys)
    return (ApiKeyInQueryFilter if options.query else ApiKeyFilter)(options, context, keys)
