"""`gwproxy explain`: what becomes of a request, without sending anything.

Prints the listener, the client's address, the route and why it is not another, what each filter says, and the request
that would go upstream. Credentials are masked, wherever they stand.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs

from gwproxy.commands.choice import choose_listener, port_of, why_not, words
from gwproxy.commands.loading import load_file
from gwproxy.commands.rehearsal import Client, Received, Rehearsal
from gwproxy.config import Config
from gwproxy.config.model import ListenOptions
from gwproxy.config.routes import redirect
from gwproxy.edge.site import options_route
from gwproxy.errors import BadHost, GatewayError
from gwproxy.http.request import HeadLimits
from gwproxy.http.trusted import UNIX, canonical_ip
from gwproxy.observe.masking import MASK, also_mask, is_secret, mask_target
from gwproxy.proxy.exchange import Exchange
from gwproxy.routing.route import Route
from gwproxy.routing.router import Router

DEFAULT_CLIENT: Final = "127.0.0.1"

_URL: Final = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE | re.DOTALL)
_SCHEME: Final = re.compile(r"[A-Za-z]{1,20} ")


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    explain = commands.add_parser("explain", help="tell which route takes a request, and what becomes of it")
    explain.add_argument("file", metavar="FILE")
    explain.add_argument("method", metavar="METHOD")
    explain.add_argument("url", metavar="URL", help="a URL, or a path together with -H 'Host: ...'")
    explain.add_argument(
        "-H", dest="headers", metavar="'NAME: VALUE'", action="append", default=[], help="a header of the request"
    )
    explain.add_argument(
        "--from",
        dest="peer",
        metavar="IP",
        default=DEFAULT_CLIENT,
        help=f"who connects: an address, or {UNIX} for a unix socket; {DEFAULT_CLIENT} without it",
    )
    explain.set_defaults(run=run)


@attrs.frozen
class Question:
    """A request, as it was given on the command line."""

    head: bytes
    peer_ip: str  # "" for a unix socket
    port: int | None


class BadQuestion(Exception):
    """What was given is no request."""


def run(options: argparse.Namespace) -> int:
    """Prints it. The exit status is 1 when no route takes the request, or it is refused before. Raises ConfigErrors."""
    config = load_file(options.file)
    try:
        question = _question(options)
    except BadQuestion as bad:
        print(f"gwproxy explain: {bad}", file=sys.stderr)
        return 2
    status = 0
    for line in _explain(config, question):
        print(line)
        if line.startswith(("refused:", "no route:")):
            status = 1
    return status


def _question(options: argparse.Namespace) -> Question:
    """Raises BadQuestion."""
    url = _URL.fullmatch(options.url.partition("#")[0] if "://" in options.url else options.url)
    authority, target = (url[1], url[2] if url[2].startswith("/") else f"/{url[2]}") if url else ("", options.url)
    lines = []
    for header in options.headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip() or not header.isprintable():
            raise BadQuestion("-H takes 'NAME: VALUE'")
        lines.append(f"{name.strip()}: {value.strip()}")
    named = any(line.lower().startswith("host:") for line in lines)
    if authority and not named:
        lines.insert(0, f"Host: {authority}")
    peer = "" if options.peer == UNIX else canonical_ip(options.peer)
    if peer is None:
        raise BadQuestion(f"--from takes an address, or {UNIX}")
    port = re.search(r":([0-9]{1,5})$", authority)
    head = "\r\n".join([f"{options.method} {target} HTTP/1.1", *lines, "", ""])
    return Question(os.fsencode(head), peer, int(port[1]) if port else None)


def _explain(config: Config, question: Question) -> Iterator[str]:
    """The lines."""
    rehearsal = Rehearsal(config)
    also_mask(rehearsal.gateway.secret_parameters)
    listener, why = choose_listener(config.listeners.values(), question.port)
    yield f"listener: {listener.name}, {config.place('listen', listener.name)}, {listener.endpoint}: {why}"
    try:
        head, client, received = rehearsal.receive(
            question.head, _limits(listener), question.peer_ip, port_of(listener)
        )
    except GatewayError as error:
        hint = "; give a URL or -H 'Host: ...'" if isinstance(error, BadHost) else ""
        yield f"refused:  {_refusal(error)}{hint}"
        return
    path, method, host = received.target.path, head.method, received.host_name
    routes = rehearsal.gateway.routes
    table = Router(routes).host(host)
    found = options_route(table, path, head.headers) if method == b"OPTIONS" else table.match(path, method)
    chosen = found if isinstance(found, Route) else None
    yield f"host:     {host.decode()}"
    yield f"path:     {mask_target(path.decode('latin-1'))}"
    if chosen is None:
        yield "no route: " + (f"405, Allow: {words(found)}" if isinstance(found, frozenset) else "404")
    else:
        yield from _describe(config, chosen)
    yield from (f"not:      {line}" for line in why_not(routes, chosen, host, path, method))
    if chosen is not None:
        yield from _play(config, rehearsal, received, client, chosen)


def _limits(listener: ListenOptions) -> HeadLimits:
    return HeadLimits(listener.max_header_size, listener.max_headers, listener.max_target, listener.underscores)


def _refusal(error: GatewayError) -> str:
    return f"{error.status} {error.reason}" + (f": {error.detail}" if error.detail else "")


def _describe(config: Config, route: Route) -> Iterator[str]:
    """Which route it is, and why."""
    options = route.options
    yield f"route:    {route.name}, {config.place('route', route.name)}"
    host, methods = ", ".join(options.host) or "any", words(options.methods) or "any"
    yield f"because:  path = {options.path.text} ({options.path.kind}), host = {host}, methods = {methods}"


def _play(config: Config, rehearsal: Rehearsal, received: Received, client: Client, route: Route) -> Iterator[str]:
    exchange = rehearsal.exchange(received, client, route)
    yield f"client:   {_client(exchange)}"
    verdicts = list(rehearsal.ask_filters(exchange, client))
    yield "filters:  " + ("none" if not verdicts else "in this order")
    width = max((len(each.name) + len(each.type) for each in verdicts), default=0)
    for each in verdicts:
        yield f"  {each.name} ({each.type})".ljust(width + 7) + mask_words(each.words)
    if verdicts and not verdicts[-1].passed:
        yield (
            "upstream: nothing is sent yet"
            if any("wait" in each.words for each in verdicts)
            else ("upstream: nothing is sent")
        )
        return
    yield from _action(config, rehearsal, exchange, route)


def _client(exchange: Exchange) -> str:
    peer = exchange.peer_ip or "a unix socket"
    if exchange.client_ip == exchange.peer_ip:
        trusted = " is trusted, and says of no other" if exchange.downstream.peer_trusted else " is no trusted proxy"
        return f"{peer}, which{trusted}"
    return f"{exchange.client_ip or 'unknown'}, as {peer} says, which is a trusted proxy"


def mask_words(text: str) -> str:
    """A verdict, with the credentials in URLs masked."""
    return re.sub(r"https?://\S+", lambda match: _mask_url(match[0]), text)


def _mask_url(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, slash, target = rest.partition("/")
    return f"{scheme}://{host}{mask_target(slash + target)}" if slash else url


def _action(config: Config, rehearsal: Rehearsal, exchange: Exchange, route: Route) -> Iterator[str]:
    """What the route does with a request that its filters let pass."""
    options = route.options
    try:
        sent = rehearsal.forward(exchange, route)
    except GatewayError as error:
        yield f"refused:  {_refusal(error)}"
        return
    if options.static is not None:
        yield f"static:   {options.static}"
    elif options.respond is not None:
        yield f"respond:  {options.respond.status}"
    elif options.redirect is not None:
        yield f"redirect: {redirect.write(options.redirect)}"
    elif sent is None:
        yield "refused:  500: a filter fails at what it does to the request that goes upstream"
    else:
        servers = ", ".join(server.label for server in config.upstreams[options.upstream].servers)
        yield f"upstream: {options.upstream}, {config.place('upstream', options.upstream)}: {servers}"
        yield f"sent to:  {sent.server.label}, for one"
        yield f"  {sent.method.decode()} {mask_target(sent.target.decode('latin-1'))} HTTP/1.1"
        hop = [tuple(line.split(b": ", 1)) for line in sent.hop.split(b"\r\n") if line]
        for name, value in [*sent.headers, *hop]:
            yield f"  {_field(name, value, rehearsal.masked)}"


def _field(name: bytes, value: bytes, masked: Iterable[bytes]) -> str:
    """A field as it may be shown. Of credentials the scheme stays: `Bearer ***`."""
    text = value.decode("latin-1")
    if name.lower() in masked:
        text = MASK
    elif is_secret(name.decode("latin-1")) or name.lower().endswith((b"key", b"proxy-authorization")):
        scheme = _SCHEME.match(text) if name.lower().endswith(b"authorization") else None
        text = (scheme[0] if scheme else "") + MASK
    return f"{name.decode('latin-1')}: {text}"
