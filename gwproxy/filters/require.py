"""The filter type `require`: only who has certain claims or scopes may pass.

Rules:

* Whoever set `exchange.principal` says who it is; without one the answer is 401, whatever is required.
* Strings are compared whole and with case: `administrator` is not `admin`. What is missing, or of another type than a
  string, a number, a boolean or a list of them, is denied.
* All that is asked must hold: `any`, `all`, `scopes`, `scopes_any` do not replace each other.
* Outside of `methods` and `paths` the filter does nothing. In doubt a request is inside: GET takes HEAD along, a slash
  at the end of a path changes nothing, and a path that only some servers read as one below (`/admin;x`, `/admin%2Fx`,
  `/x;y/admin`) counts as such.
* Denied for its scopes, a client is told which ones it needs (RFC 6750 section 3.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
from zope.interface import implementer

from gwproxy.config.lists import some_of
from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.config.options import option
from gwproxy.config.routes import matched_prefix, method
from gwproxy.config.values import plain, text
from gwproxy.filters.api import Exchange, FilterContext, IRequestFilter, Reply, Traits
from gwproxy.filters.bearer import challenge
from gwproxy.filters.claims import ClaimPath, claim_path
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, mode_option

# Where scopes stand, by custom: RFC 8693 section 4.2, and what identity providers made of it before. The first one that
# a principal has counts.
_CUSTOMARY: Final = tuple(map(ClaimPath.compile, ("scope", "scp", "scopes")))

# What a server may leave out of a path, and what it may take for a slash.
_PARAMETER: Final = re.compile(rb";[^/]*")
_SLASHES: Final = re.compile(rb"(?:/|%2F|%5C)+")


def _parse_scope(given: str) -> str:
    # RFC 6749 section 3.3
    if not re.fullmatch(r"[!#-\[\]-~]+", given):
        raise BadValue("must be scopes, printable ASCII without spaces and quotes; a comma stands between two")
    return given


_scopes: Final = some_of(plain("scope", _parse_scope))


@attrs.frozen
class Options:
    """`[filter:NAME] type = require`."""

    claim: ClaimPath | None = option(
        claim_path,
        default=None,
        doc="A claim, as in role, or the path to one, as in realm_access.roles. Its value is a string, a number, a "
        "boolean, or a list of them.",
    )
    any_of: tuple[str, ...] = option(
        some_of(text), default=(), key="any", doc="Values of which the claim must have at least one."
    )
    all_of: tuple[str, ...] = option(
        some_of(text), default=(), key="all", doc="Values of which the claim must have every one."
    )
    scopes: tuple[str, ...] = option(_scopes, default=(), doc="Scopes that must all have been granted.")
    scopes_any: tuple[str, ...] = option(_scopes, default=(), doc="Scopes of which one must have been granted.")
    scope_claim: ClaimPath | None = option(
        claim_path,
        default=None,
        doc="The claim that has the scopes: a string with spaces between them, or a list. Without it: the first that "
        "there is of scope, scp and scopes.",
    )
    methods: tuple[bytes, ...] = option(
        some_of(method), default=(), doc="Only requests with these methods are looked at. GET takes HEAD along."
    )
    paths: tuple[str, ...] = option(
        some_of(matched_prefix),
        default=(),
        doc="Only requests for these paths, and what is below them, are looked at: /admin takes /admin and /admin/x, "
        "not /administer.",
    )
    mode: Mode = mode_option()

    def check_options(self) -> None:
        """What would ask for nothing, or what nothing asks for, is a mistake."""
        if self.claim is None:
            for key, values in (("any", self.any_of), ("all", self.all_of)):
                if values:
                    raise ConfigMistake(f"{key} needs claim: of which claim are these the values?", key)
        elif not self.any_of and not self.all_of:
            raise ConfigMistake("claim needs any or all: which values may it have?", "claim")
        elif _shared(self.any_of, self.all_of):
            raise ConfigMistake(f"{_shared(self.any_of, self.all_of)} is in all as well: any would ask nothing", "any")
        if self.scope_claim is not None and not self.scopes and not self.scopes_any:
            raise ConfigMistake("scope_claim goes with scopes or scopes_any", "scope_claim")
        if _shared(self.scopes_any, self.scopes):
            message = f"{_shared(self.scopes_any, self.scopes)} is in scopes as well: scopes_any would ask nothing"
            raise ConfigMistake(message, "scopes_any")
        if self.claim is None and not self.scopes and not self.scopes_any:
            raise ConfigMistake("requires nothing: give claim with any or all, scopes or scopes_any")


def _shared(some: Sequence[str], others: Sequence[str]) -> str:
    return next((repr(each) for each in some if each in others), "")


class Guarded:
    """Which requests are looked at: of these methods, below these paths. Empty: all."""

    __slots__ = ("_below", "_exact", "_methods")

    def __init__(self, methods: Sequence[bytes], paths: Sequence[str]) -> None:
        self._methods = frozenset(methods) | ({b"HEAD"} if b"GET" in methods else set())
        prefixes = [path.rstrip("/").encode() for path in paths]
        self._exact = frozenset(prefixes)
        self._below = tuple(prefix + b"/" for prefix in prefixes)

    def __bool__(self) -> bool:
        return bool(self._methods or self._below)

    def __contains__(self, exchange: Exchange) -> bool:
        if self._methods and exchange.method not in self._methods:
            return False
        path = exchange.path
        if not self._below or path.startswith(self._below) or path in self._exact:
            return True
        if b";" not in path and b"%" not in path:
            return False
        path = _SLASHES.sub(b"/", _PARAMETER.sub(b"", path))
        return path.startswith(self._below) or path in self._exact


@implementer(IRequestFilter)
class RequireFilter:
    """Looks at `exchange.principal`, which a filter before it has set."""

    __slots__ = (
        "_all",
        "_any",
        "_challenge",
        "_claim",
        "_decisions",
        "_guarded",
        "_refusal",
        "_scope_claims",
        "_scopes",
        "_scopes_any",
    )

    def __init__(self, options: Options, decisions: Decisions) -> None:
        self._decisions = decisions
        self._guarded = Guarded(options.methods, options.paths)
        self._claim = options.claim
        self._any = frozenset(options.any_of)
        self._all = frozenset(options.all_of)
        self._scopes = frozenset(options.scopes)
        self._scopes_any = frozenset(options.scopes_any)
        wanted = " ".join((*options.scopes, *options.scopes_any))
        self._challenge = (challenge(scope=wanted),)
        self._refusal = (challenge(error="insufficient_scope", scope=wanted),)
        self._scope_claims = _CUSTOMARY if options.scope_claim is None else (options.scope_claim,)

    def on_request(self, exchange: Exchange) -> Reply | None:
        """401 for nobody, 403 for who lacks something."""
        if self._guarded and exchange not in self._guarded:
            return None
        principal = exchange.principal
        if principal is None:
            return self._decisions.deny(exchange, Denial.NOT_LOGGED_IN, 401, self._challenge)
        claims = principal.claims
        if self._claim is not None:
            values = self._claim.strings(claims)
            if (self._all and not self._all.issubset(values)) or (self._any and self._any.isdisjoint(values)):
                return self._decisions.deny(exchange, Denial.CLAIM_DENIED, 403)
        if self._scopes or self._scopes_any:
            granted = self._granted(claims)
            if not self._scopes.issubset(granted) or (self._scopes_any and self._scopes_any.isdisjoint(granted)):
                return self._decisions.deny(exchange, Denial.SCOPE_DENIED, 403, self._refusal)
        self._decisions.allowed.value += 1
        return None

    def _granted(self, claims: Mapping[str, Any]) -> Sequence[str]:
        """The scopes of a principal. A string has spaces between them; a member of a list is one."""
        for where in self._scope_claims:
            found = where.find(claims)
            if isinstance(found, str):
                return found.split(" ")
            if found is not None:
                return where.strings(claims)
        return ()


def traits(options: Options) -> Traits:
    """Belongs behind a filter that says who it is."""
    return Traits(needs_principal=True)


def factory(options: Options, context: FilterContext) -> RequireFilter:
    """Keeps no state."""
    return RequireFilter(options, Decisions(context, options.mode, Event.FORBIDDEN))
