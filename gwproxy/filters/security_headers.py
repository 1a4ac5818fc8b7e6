"""The filter type `security_headers`: the response fields that tell a browser to be careful.

Rules:

* The fields are ready pairs, made at load; a response costs one look at its names.
* Strict-Transport-Security goes out over https only (RFC 6797 section 7.2).
* Every answer of the route has them, the gateway's own errors included. What the upstream sent under the same names is
  replaced, or with `replace = no` kept in place of ours. What is off is none of this filter's business.
* A policy that only reports takes the place of a policy that only reports, never of one that is enforced.
* A value that a browser would ignore without a word (a misspelt directive) is a mistake at load.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

import attrs
from zope.interface import implementer

from gwproxy.config.mistakes import BadValue, ConfigMistake, did_you_mean
from gwproxy.config.options import option
from gwproxy.config.values import boolean, plain
from gwproxy.filters.api import Exchange, FilterContext, Header, IResponseFilter
from gwproxy.http.headers import KindTable

OFF: Final = "off"

_YEAR: Final = 31_536_000

# A bit that none of our own fields has.
_DROPPED: Final = 1 << 30

_HSTS_DIRECTIVES: Final = ("max-age", "includesubdomains", "preload")

_REFERRER_POLICIES: Final = (
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
)

# Content Security Policy Level 3 and the specifications that add to it; without those that browsers have dropped.
_CSP_DIRECTIVES: Final = frozenset(
    {
        "base-uri",
        "block-all-mixed-content",
        "child-src",
        "connect-src",
        "default-src",
        "fenced-frame-src",
        "font-src",
        "form-action",
        "frame-ancestors",
        "frame-src",
        "img-src",
        "manifest-src",
        "media-src",
        "object-src",
        "report-to",
        "report-uri",
        "require-trusted-types-for",
        "sandbox",
        "script-src",
        "script-src-attr",
        "script-src-elem",
        "style-src",
        "style-src-attr",
        "style-src-elem",
        "trusted-types",
        "upgrade-insecure-requests",
        "worker-src",
    }
)

# One member of the dictionary: `camera=()`, `geolocation=(self "https://a.example")`, `fullscreen=*`.
_PERMISSION: Final = re.compile(r"[a-z][a-z0-9-]*=(\*|self|\((?:(?:self|src|\*|\"[^\"\s]+\")(?: +|(?=\))))*\))")


def _one_line(text: str) -> str:
    """A value that may be written over several lines."""
    value = " ".join(text.split())
    if not value.isascii() or not value.isprintable():
        raise BadValue("must be printable ASCII")
    return value


def _known(word: str, words: Collection[str], what: str) -> None:
    if word not in words:
        raise BadValue(f"is no {what} that browsers know{did_you_mean(word, words)}", word)


def _parse_hsts(text: str) -> str:
    # RFC 6797 section 6.1
    value = _one_line(text)
    if value.lower() == OFF:
        return ""
    directives = [directive.strip().lower() for directive in value.split(";")]
    names = [directive.partition("=")[0].strip() for directive in directives]
    for name in names:
        _known(name, _HSTS_DIRECTIVES, "directive of Strict-Transport-Security")
        if names.count(name) > 1:
            raise BadValue("stands twice", name)
    age = re.fullmatch(r"max-age=([0-9]{1,10})", next((each for each in directives if each.startswith("max-age")), ""))
    if age is None:
        raise BadValue("must have max-age=SECONDS")
    if "preload" in names and (int(age[1]) < _YEAR or "includesubdomains" not in names):
        raise BadValue(f"preload needs includeSubDomains and a max-age of at least {_YEAR}")
    return value


def _parse_frame_options(text: str) -> str:
    # RFC 7034 section 2.1; browsers have dropped its ALLOW-FROM
    value = text.upper()
    if value not in ("DENY", "SAMEORIGIN", "OFF"):
        raise BadValue("must be DENY, SAMEORIGIN or off; single origins stand in csp, as frame-ancestors")
    return "" if value == "OFF" else value


def _parse_referrer_policy(text: str) -> str:
    # Of several a browser takes the last that it knows.
    value = _one_line(text)
    for policy in value.lower().split(","):
        _known(policy.strip(), _REFERRER_POLICIES, "policy")
    return value


def _parse_csp(text: str) -> str:
    value = _one_line(text)
    for policy in value.split(","):
        seen = set()
        for directive in filter(str.strip, policy.split(";")):
            name = directive.split()[0].lower()
            _known(name, _CSP_DIRECTIVES, "directive of a Content-Security-Policy")
            if name in seen:
                raise BadValue("stands twice; browsers ignore the second", name)
            seen.add(name)
    return value


def _parse_permissions_policy(text: str) -> str:
    value = _one_line(text)
    for member in value.split(","):
        if not _PERMISSION.fullmatch(member.strip()):
            raise BadValue('must be like camera=(), fullscreen=(self "https://a.example")', member.strip())
    return value


def _write_or_off(value: str) -> str:
    return value or OFF


@attrs.frozen
class Options:
    """`[filter:NAME] type = security_headers`. X-Content-Type-Options: nosniff is always sent."""

    hsts: str = option(
        plain("max-age=SECONDS | off", _parse_hsts, _write_or_off),
        default=f"max-age={_YEAR}",
        doc="Strict-Transport-Security, over https only; after max-age may stand ; includeSubDomains and ; preload.",
    )
    csp: str = option(plain("policy", _parse_csp), default="", doc="Content-Security-Policy.")
    frame_options: str = option(
        plain("DENY | SAMEORIGIN | off", _parse_frame_options, _write_or_off), default="DENY", doc="X-Frame-Options."
    )
    referrer_policy: str = option(plain("policy", _parse_referrer_policy), default="", doc="Referrer-Policy.")
    permissions_policy: str = option(
        plain("policy", _parse_permissions_policy), default="", doc="Permissions-Policy, as in camera=(), usb=()."
    )
    report_only: bool = option(
        boolean,
        default=False,
        doc="Send csp as Content-Security-Policy-Report-Only: browsers report what it would stop, and stop nothing.",
    )
    replace: bool = option(
        boolean, default=True, doc="What the upstream sent of these is replaced; with `no` it stays as it is."
    )

    def check_options(self) -> None:
        """There must be a policy to report on, and one that can."""
        if self.report_only and not self.csp:
            raise ConfigMistake("needs a csp to report on", "report_only")
        # Content Security Policy Level 3 section 6.3.2
        if self.report_only and "sandbox" in self.csp.lower().replace(",", ";").replace(";", " ; ").split():
            raise ConfigMistake("browsers ignore sandbox in a policy that only reports", "csp")


class _Fields:
    """The fields for one scheme, and what those of an upstream are to them."""

    __slots__ = ("bits", "pairs")

    def __init__(self, pairs: Iterable[Header], also_dropped: Iterable[bytes] = ()) -> None:
        """`also_dropped`: names, in lower case, of an upstream's fields that are replaced by nothing."""
        self.pairs = tuple(pairs)
        bits = {name.lower(): 1 << index for index, (name, _) in enumerate(self.pairs)}
        bits.update((name, _DROPPED) for name in also_dropped)
        # By spelling: which of ours it is, as one bit; 0 for the rest.
        self.bits = KindTable(lambda name: bits.get(name.lower(), 0))


@implementer(IResponseFilter)
class SecurityHeadersFilter:
    """Puts the fields on every response, replies of the gateway's own included."""

    __slots__ = ("_plain", "_replace", "_secure")

    def __init__(self, options: Options) -> None:
        csp = b"Content-Security-Policy-Report-Only" if options.report_only else b"Content-Security-Policy"
        values = {
            b"X-Content-Type-Options": "nosniff",
            b"X-Frame-Options": options.frame_options,
            csp: options.csp,
            b"Referrer-Policy": options.referrer_policy,
            b"Permissions-Policy": options.permissions_policy,
        }
        pairs = [(name, value.encode("ascii")) for name, value in values.items() if value]
        transport = [(b"Strict-Transport-Security", options.hsts.encode("ascii"))] if options.hsts else []
        self._replace = options.replace
        self._secure = _Fields(pairs + transport)
        self._plain = _Fields(pairs, [name.lower() for name, _ in transport])

    def on_response(self, exchange: Exchange) -> None:
        fields = self._secure if exchange.scheme == b"https" else self._plain
        headers = exchange.response_headers
        bits = fields.bits
        seen = 0
        for name, _ in headers:
            seen |= bits[name]
        if not seen:
            headers += fields.pairs
        elif self._replace:
            headers[:] = [pair for pair in headers if not bits[pair[0]]]
            headers += fields.pairs
        else:
            headers += [pair for index, pair in enumerate(fields.pairs) if not seen & 1 << index]


def factory(options: Options, context: FilterContext) -> SecurityHeadersFilter:
    """Options are checked one by one as they are parsed; nothing is left to refuse here."""
    return SecurityHeadersFilter(options)
