"""The `gwproxy` command: what an operator does with a configuration besides serving it, which twistd does.

Exit status: 0 if all is well, 1 if the configuration has mistakes (or `explain` finds no route), 2 if the command line
has. Mistakes go to stderr, one a line and without a traceback.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import gwproxy
from gwproxy import build
from gwproxy.config import Config, ConfigErrors, load, show
from gwproxy.config.reference import reference
from gwproxy.config.routes import redirect
from gwproxy.errors import BadHost, GatewayError
from gwproxy.filters.registry import filter_types
from gwproxy.http.host import parse_host
from gwproxy.http.target import Target, has_encoded_slash, parse_target, rewrite_path
from gwproxy.routing.route import Route
from gwproxy.routing.router import Router


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Without `arguments`, those of the process."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has seen enough: gwproxy check --show | head
        # What is still buffered must not be tried again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gwproxy", description="An API gateway on Twisted. To serve: twistd gwproxy.")
    parser.add_argument("--version", action="version", version=f"gwproxy {gwproxy.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    check = commands.add_parser("check", help="find every mistake of a configuration, without listening")
    check.add_argument("file", metavar="FILE")
    check.add_argument("--show", action="store_true", help="print what is in force: with defaults, without secrets")
    check.set_defaults(run=_check)

    explain = commands.add_parser("explain", help="tell which route takes a request, and what becomes of it")
    explain.add_argument("file", metavar="FILE")
    explain.add_argument("method", metavar="METHOD")
    explain.add_argument("url", metavar="URL", help="a URL, or a path together with -H 'Host: ...'")
    explain.add_argument("-H", dest="headers", metavar="'NAME: VALUE'", action="append", default=[])
    explain.set_defaults(run=_explain)

    write_reference = commands.add_parser("reference", help="write the reference of all options, in Markdown")
    write_reference.add_argument("file", metavar="FILE", nargs="?", help="where to; without it, to stdout")
    write_reference.set_defaults(run=_reference)
    return parser


def load_file(file: str) -> Config:
    """The configuration of a file, with the environment and the filter types of this process.

    What it returns can be served: the filters have been made once, and no two routes tie. Raises ConfigErrors.
    """
    types = filter_types()
    options = {name: filter_type.options_class for name, filter_type in types.items()}
    config = load(file, environ=os.environ, filter_types=options)
    mistakes = build.check(config, types)
    if mistakes:
        raise ConfigErrors(mistakes)
    return config


# check


def _check(options: argparse.Namespace) -> int:
    config = load_file(options.file)
    if options.show:
        print(show(config), end="")
        return 0
    counts = [
        _count(len(config.listeners), "listener"),
        _count(len(config.routes), "route"),
        _count(len(config.upstreams), "upstream"),
        _count(len(config.filters), "filter"),
    ]
    print(f"{options.file}: ok, {', '.join(counts)}")
    return 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# explain


def _explain(options: argparse.Namespace) -> int:
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


# reference


def _reference(options: argparse.Namespace) -> int:
    """Of the gateway's own filter types only: those of other packages have their own documentation."""
    own = f"gwproxy {gwproxy.__version__}"
    types = {name: each.options_class for name, each in filter_types().items() if each.distribution == own}
    text = reference(types)
    if options.file is None:
        print(text, end="")
    else:
        Path(options.file).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
