"""The filter type `basic_auth`: users with a password (RFC 7617), from an htpasswd file.

Rules:

* A password is verified in a thread: bcrypt takes tens of milliseconds on purpose. A login that was right is
  remembered for a while, so that the next request with it costs a hash; see `logins.py`.
* Who is not in the file takes as long to be refused as who is.
* Two Authorization fields are refused, of whatever scheme. Credentials of another scheme are none.
* Passwords of more than 72 bytes, which bcrypt would cut, are wrong; so are control characters (section 2).
* What was presented does not go upstream, unless `forward = yes`.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from functools import partial
from pathlib import Path
from typing import Final

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from gwproxy.config.options import option
from gwproxy.config.values import boolean, file, integer, positive_duration
from gwproxy.filters.api import Exchange, FilterContext, Header, IRequestFilter, Principal, Reply, Traits, Verdict
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, mode_option
from gwproxy.filters.logins import LONGEST_PASSWORD, Limits, Logins, Overloaded
from gwproxy.filters.password_file import read_passwords
from gwproxy.filters.realm import realm, realm_challenge

# RFC 9110 section 11.4: the scheme in any case, and no longer word that begins like it.
_SCHEME: Final = re.compile(rb"basic(?![!#$%&'*+\-.^_`|~0-9A-Za-z])", re.IGNORECASE).match
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]").search
# More than a name and 72 bytes need. What strangers send is not looked at beyond this.
_LONGEST: Final = 1024


@attrs.frozen
class Options:
    """`[filter:NAME] type = basic_auth`."""

    file: Path = option(
        file, doc="The users and their passwords, as `htpasswd -B` writes them. Read again when it changes."
    )
    realm: str = option(realm, default="restricted", doc="What a browser shows when it asks for the password.")
    optional: bool = option(
        boolean,
        default=False,
        doc="Let requests without a user pass, as nobody. A wrong password is refused all the same.",
    )
    forward: bool = option(boolean, default=False, doc="Let user and password go upstream.")
    cache_size: int = option(
        integer(1, 1_000_000), default=1000, doc="How many logins are remembered after they were right."
    )
    cache_ttl: float = option(
        positive_duration,
        default=300.0,
        doc="How long. A change of the file is heeded at once all the same.",
    )
    parallel: int = option(
        integer(1, 8), default=2, doc="How many passwords are verified at the same time, each on a core of its own."
    )
    queue: int = option(
        integer(), default=100, doc="How many more logins may wait to be verified; then the answer is 503."
    )
    mode: Mode = mode_option()


@implementer(IRequestFilter)
class BasicAuthFilter:
    """Finds who a user and password belong to: for known ones a hash and a lookup, else a thread is waited for."""

    __slots__ = ("_challenge", "_decisions", "_forward", "_logins", "_optional", "_overloaded")

    def __init__(self, options: Options, context: FilterContext, logins: Logins) -> None:
        self._logins = logins
        self._forward = options.forward
        self._optional = options.optional
        self._challenge = [realm_challenge("Basic", options.realm, charset="UTF-8")]
        self._decisions = Decisions(context, options.mode, Event.AUTH_FAILED)
        self._overloaded = Decisions(context, options.mode, Event.OVERLOADED)

    def on_request(self, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        credentials = self._credentials(exchange)
        if credentials is None:
            if not self._optional:
                return self._deny(exchange, Denial.NO_CREDENTIALS)
            self._decisions.allowed.value += 1
            return None
        if isinstance(credentials, Denial):
            return self._deny(exchange, credentials)
        mark = self._logins.mark(credentials)
        principal = self._logins.known(mark)
        if principal is not None:
            return self._decide(principal, exchange)
        login = _parse(credentials)
        if isinstance(login, Denial):
            return self._deny(exchange, login)
        try:
            answer = self._logins.verify(mark, *login)
        except Overloaded:
            headers = [(b"Retry-After", b"1")]
            return self._overloaded.deny(exchange, Denial.CONCURRENCY_LIMIT, 503, headers)
        return answer.addCallback(self._decide, exchange)

    def _credentials(self, exchange: Exchange) -> bytes | Denial | None:
        """What stands behind `Basic`; None: there is no such field, though maybe one of another scheme."""
        fields = [value for name, value in exchange.headers if len(name) == 13 and name.lower() == b"authorization"]
        if not fields:
            return None
        basic = [value for value in fields if _SCHEME(value)]
        if basic and not self._forward:
            _take_away(exchange.headers)
        if len(fields) > 1:
            return Denial.SEVERAL_CREDENTIALS
        if not basic:
            return None
        credentials = basic[0][5:].lstrip(b" ")
        return credentials if 0 < len(credentials) <= _LONGEST else Denial.CREDENTIALS_MALFORMED

    def _decide(self, principal: Principal | None, exchange: Exchange) -> Reply | None:
        if principal is None:
            return self._deny(exchange, Denial.BAD_PASSWORD)
        exchange.principal = principal
        self._decisions.allowed.value += 1
        return None

    def _deny(self, exchange: Exchange, denial: Denial) -> Reply | None:
        return self._decisions.deny(exchange, denial, 401, self._challenge)


def _take_away(headers: list[Header]) -> None:
    headers[:] = [pair for pair in headers if pair[0].lower() != b"authorization" or not _SCHEME(pair[1])]


def _parse(credentials: bytes) -> tuple[bytes, bytes] | Denial:
    """User and password (RFC 7617 section 2, with the charset of section 2.1)."""
    try:
        text = b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return Denial.CREDENTIALS_MALFORMED
    user, colon, password = text.partition(":")
    if not user or not colon or _CONTROL(text):
        return Denial.CREDENTIALS_MALFORMED
    raw = password.encode()
    return (user.encode(), raw) if len(raw) <= LONGEST_PASSWORD else Denial.BAD_PASSWORD


def traits(options: Options) -> Traits:
    """What it means for the rest of a chain."""
    return Traits(identifies=True, costly=True)


def factory(options: Options, context: FilterContext) -> BasicAuthFilter:
    """Raises ConfigMistake for a file that is no list of users."""
    limits = Limits(options.cache_size, options.cache_ttl, options.parallel, options.queue)
    users = context.watched_file(options.file, read_passwords)
    make = partial(Logins, users, limits, context.reactor.seconds, context.in_thread)
    return BasicAuthFilter(options, context, context.keep(("basic_auth logins", options.file, limits), make))
