"""`gwproxy explain`: tells which route takes a request, and what becomes of it, without sending anything."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from gwproxy.commands.loading import load_file
from gwproxy.config import Config
from gwproxy.config.routes import redirect
from gwproxy.errors import BadHost, GatewayError
from gwproxy.http.host import parse_host
from gwproxy.http.target import Target, has_encoded_slash, parse_target, rewrite_path
from gwproxy.routing.route import Route
from gwproxy.routing.router import Router


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    explain = commands.add_parser("explain", help="tell which route takes a request, and what becomes of it")
    explain.add_argument("file", metavar="FILE")
    explain.add_argument("method", metavar="METHOD")
    explain.add_argument("url", metavar="URL", help="a URL, or a path together with -H 'Host: ...'")
    explain.add_argument("-H", dest="headers", metavar="'NAME: VALUE'", action="append", default=[])
    explain.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints it. The exit status is 1 when no route takes the request. Raises ConfigErrors."""
    config = load_file(options.file)
    method = os.fsencode(options.method)
    url = re.fullmatch(r"https?://([^/?#]*)(.*)", options.url, re.IGNORECASE | re.DOTALL)
    host, target = (url[1], url[2] if url[2].startswith("/") else f"/{url[2]}") if url else ("", options.url)
    try:
        parsed = parse_target(method, os.fsencode(target))
        name = parse_host(os.fsencode(_host_of(options.headers) or host)).name
    except GatewayError as error:
        hint = "; give a URL or -H 'Host: ...'" if isinstance(error, BadHost) and not host else ""
        print(f"refused: {error.status} {error.reason}: {error.detail}{hint}")
        return 1
    print(f"host:     {name.decode()}")
    print(f"path:     {parsed.path.decode()}")
    found = Router(map(Route, config.routes.values())).host(name).match(parsed.path, method)
    if not isinstance(found, Route):
        print("no route: " + (f"405, Allow: {_words(found)}" if found else "404"))
        return 1
    print("\n".join(_describe(config, found, parsed)))
    return 0


def _host_of(headers: Iterable[str]) -> str:
    """The Host among `Name: value` headers. It is the only one that routes look at."""
    hosts = [
        value.strip() for name, _, value in (header.partition(":") for header in headers) if name.lower() == "host"
    ]
    return hosts[-1] if hosts else ""


def _describe(config: Config, route: Route, target: Target) -> Iterator[str]:
    """Which route it is, why, and what becomes of the request, a line each."""
    options = route.options
    host = ", ".join(options.host) or "any"
    methods = _words(options.methods) or "any"
    yield f"route:    {route.name}, {config.place('route', route.name)}"
    yield f"because:  path = {options.path.text} ({options.path.kind}), host = {host}, methods = {methods}"
    yield f"filters:  {', '.join(options.filters) or 'none'}"
    if options.encoded_slashes == "reject" and has_encoded_slash(target.path):
        yield "refused:  400: the path has an encoded slash, and encoded_slashes = reject"
    elif options.upstream:
        servers = ", ".join(server.label for server in config.upstreams[options.upstream].servers)
        sent = rewrite_path(target.raw_path, target.path, options.strip_prefix.encode(), options.add_prefix.encode())
        yield f"upstream: {options.upstream}: {servers}"
        yield f"sent as:  {sent.decode()}" + (f"?{target.query.decode()}" if target.has_query else "")
    elif options.static:
        yield f"static:   {options.static}"
    elif options.respond:
        yield f"respond:  {options.respond.status}"
    else:
        yield f"redirect: {redirect.write(options.redirect)}"


def _words(methods: Iterable[bytes]) -> str:
    return ", ".join(sorted(method.decode() for method in methods))
