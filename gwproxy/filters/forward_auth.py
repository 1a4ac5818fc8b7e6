"""The filter type `forward_auth`: another service says whether a request may pass.

Rules:

* It is asked with the request's head, as far as the options say, and never gets the body. 2xx lets pass; a status up to
  499 is the client's answer, redirects to a login included; anything else is no answer.
* X-Forwarded-Uri is the target as it goes upstream, without dot segments: what is judged is what is served.
* The fields in `take_headers` are taken out of every request first, whatever becomes of it.
* Without an answer nobody passes, unless `on_error` says so; then without those fields, and as nobody.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from gwproxy.calls import ca_file, url
from gwproxy.config.mistakes import BadValue
from gwproxy.config.options import option
from gwproxy.config.values import Value, choice, duration, integer, list_of, plain, positive_duration, size
from gwproxy.filters.api import Exchange, FilterContext, Header, IRequestFilter, Principal, Reply, Traits, Verdict
from gwproxy.filters.authority import Authority, Finding, Passed, Question, Refused, unavailable
from gwproxy.filters.decision import Decisions, Denial, Event, Mode, OnError, mode_option
from gwproxy.filters.field_names import lower_field_name
from gwproxy.filters.vouched import VouchedFields
from gwproxy.http.headers import RESPONSE_KINDS, TOKEN, Headers, Kind
from gwproxy.http.target import parse_target


def _parse_answer_field(text: str) -> bytes:
    name = text.lower().encode()
    if not TOKEN.fullmatch(name):
        raise BadValue("must be a header name: letters, digits and -, without spaces", text)
    if RESPONSE_KINDS[name] != Kind.PLAIN or name == b"content-encoding":
        raise BadValue("ends at this hop, frames the message, or is written by the gateway itself", text)
    return name


_answer_fields: Final[Value[tuple[bytes, ...]]] = list_of(plain("header name", _parse_answer_field, bytes.decode))
_request_fields: Final[Value[tuple[bytes, ...]]] = list_of(lower_field_name)


def _parse_subject(text: str) -> bytes:
    return b"" if text == "none" else _parse_answer_field(text)


@attrs.frozen
class Options:
    """`[filter:NAME] type = forward_auth`."""

    url: str = option(url, doc="Where to ask. Redirects are not followed: they are the client's.")
    method: str = option(choice(("GET", "HEAD", "POST")), default="GET", doc="How; always without a body.")
    send_headers: tuple[bytes, ...] = option(
        _request_fields,
        default=(b"authorization", b"cookie"),
        doc="The client's headers that are sent along. X-Forwarded-Method, -Proto, -Host, -Uri and -For always are.",
    )
    take_headers: tuple[bytes, ...] = option(
        _request_fields,
        default=(),
        doc="Headers of a 2xx answer that go upstream with the request. What a client sends under these names is "
        "always removed.",
    )
    answer_headers: tuple[bytes, ...] = option(
        _answer_fields,
        default=(b"location", b"www-authenticate", b"set-cookie", b"content-type", b"cache-control"),
        doc="Headers of any other answer that reach the client with its status and body.",
    )
    subject_header: bytes = option(
        plain("header name | none", _parse_subject, lambda name: name.decode() or "none"),
        default=b"",
        doc="The header of a 2xx answer that says who it is, for logs and for limits by user.",
    )
    ca_file: Path | None = option(
        ca_file, default=None, doc="Certificates to trust instead of the system's when an https url is asked."
    )
    timeout: float = option(positive_duration, default=2.0, doc="How long one question may take.")
    max_answer: int = option(size(1), default=64 << 10, doc="Bytes of an answer's body; a longer one is no answer.")
    max_calls: int = option(
        integer(1, 10_000),
        default=256,
        doc="How many questions may be under way at once; beyond that, there is no answer (on_error).",
    )
    on_error: OnError = option(
        choice(OnError),
        default=OnError.DENY,
        doc="Without an answer, or with a 5xx: deny with 503, or allow the request, as nobody.",
    )
    cache_ttl: float = option(
        duration,
        default=0.0,
        doc="How long a 2xx is good for requests about which the same would be sent; 0: each request asks.",
    )
    cache_size: int = option(integer(1, 1_000_000), default=10_000, doc="How many of them are remembered.")
    mode: Mode = mode_option()


@implementer(IRequestFilter)
class ForwardAuthFilter:
    """Asks, and does what it is told."""

    __slots__ = ("_allow_on_error", "_authority", "_denials", "_forbidden", "_send", "_swapped", "_taken", "vouched")

    def __init__(self, options: Options, context: FilterContext, authority: Authority) -> None:
        self._authority = authority
        self._send = frozenset(options.send_headers)
        self._taken = VouchedFields(options.take_headers)
        # A field that is both sent and taken (Authorization) is the client's until the service has seen it.
        self._swapped = VouchedFields(name for name in options.take_headers if name.lower() in self._send)
        self.vouched = VouchedFields(name for name in options.take_headers if name.lower() not in self._send)
        self._allow_on_error = options.on_error is OnError.ALLOW
        self._denials = Decisions(context, options.mode, Event.AUTH_FAILED)
        self._forbidden = Decisions(context, options.mode, Event.FORBIDDEN)

    def on_request(self, exchange: Exchange) -> Verdict | Deferred[Verdict]:
        sent = self._sent(exchange)
        if self._swapped:
            self._swapped.strip(exchange.headers)
        finding = self._authority.ask(sent)
        if isinstance(finding, Deferred):
            return finding.addCallback(self._decide, exchange)
        return self._decide(finding, exchange)

    def _sent(self, exchange: Exchange) -> Headers:
        """What the other service is told."""
        wanted = self._send
        sent: list[Header] = [pair for pair in exchange.headers if pair[0].lower() in wanted]
        target = parse_target(exchange.method, exchange.target)
        sent += [
            (b"X-Forwarded-Method", exchange.method),
            (b"X-Forwarded-Proto", exchange.scheme),
            (b"X-Forwarded-Host", exchange.header(b"host") or exchange.host),
            (b"X-Forwarded-Uri", target.raw_path + b"?" + target.query if target.has_query else target.raw_path),
        ]
        if exchange.client_ip:
            sent.append((b"X-Forwarded-For", exchange.client_ip.encode()))
        return sent

    def _decide(self, finding: Finding, exchange: Exchange) -> Reply | None:
        if isinstance(finding, Passed):
            self._taken.strip(exchange.headers)
            exchange.headers += finding.fields
            if finding.subject:
                subject = finding.subject
                exchange.principal = Principal(subject, {"sub": subject}, method="forward_auth")
        elif isinstance(finding, Refused):
            reply = finding.reply
            decisions = self._forbidden if reply.status == 403 else self._denials
            return decisions.deny(exchange, finding.denial, reply.status, reply=reply)
        elif not self._allow_on_error:
            return self._denials.deny(exchange, Denial.AUTHORITY_UNAVAILABLE, 503, reply=unavailable())
        else:
            self._denials.could_not(exchange, Denial.AUTHORITY_UNAVAILABLE)
            return None
        self._denials.allowed.value += 1
        return None


def traits(options: Options) -> Traits:
    """What it means for the rest of a chain."""
    return Traits(identifies=bool(options.subject_header), costly=True, vouches_for=options.take_headers)


def factory(options: Options, context: FilterContext) -> ForwardAuthFilter:
    """What is remembered is kept by name too: it counts and logs under it."""
    question = Question(
        url=options.url,
        method=options.method,
        take=frozenset(options.take_headers),
        show=frozenset(options.answer_headers),
        subject=options.subject_header,
        timeout=options.timeout,
        max_answer=options.max_answer,
        max_calls=options.max_calls,
        cache_ttl=options.cache_ttl,
        cache_size=options.cache_size,
        ca_file=options.ca_file,
    )
    key = ("forward_auth", context.name, question, options.send_headers)
    return ForwardAuthFilter(options, context, context.keep(key, lambda: Authority(question, context)))
