"""Where things are: endpoints that listeners bind, servers of an upstream, host names of routes.

Only the syntax is judged here. Whether a port is free or a name resolves is found out when it is used.
"""

from __future__ import annotations

import ipaddress
import os.path
import re
from pathlib import Path
from typing import Final, Literal

import attrs

from gwproxy.config.mistakes import BadValue, did_you_mean
from gwproxy.config.values import Value, plain

DEFAULT_HTTP_PORT: Final = 80
MAX_WEIGHT: Final = 1000

# Services inside the gateway that an upstream can point at.
BUILTIN_SERVICES: Final = ("echo",)

_LABEL: Final = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

ServerKind = Literal["tcp", "unix", "builtin"]


@attrs.frozen
class ServerAddress:
    """One server of an upstream; equality is that of the address."""

    kind: ServerKind
    host: str = ""  # tcp: name or address, an IPv6 address without brackets; builtin: the service's name
    port: int = 0  # tcp only
    path: str = ""  # unix only, absolute
    weight: int = attrs.field(default=1, eq=False)

    @property
    def label(self) -> str:
        """What logs and metrics call it: `127.0.0.1:9001`, `unix:/run/users.sock`, `builtin:echo`."""
        if self.kind == "tcp":
            return f"{_bracketed(self.host)}:{self.port}"
        return f"{self.kind}:{self.path or self.host}"

    @property
    def authority(self) -> str:
        """The Host header for `host_header = upstream` (RFC 9110 section 7.2): without the scheme's own port."""
        if self.kind != "tcp":
            return "localhost"
        return _bracketed(self.host) if self.port == DEFAULT_HTTP_PORT else self.label


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


# Host names


def parse_host_name(text: str) -> str:
    """A host name or address without port, lower-cased, without trailing dot; IPv6 in brackets."""
    lowered = text.lower().removesuffix(".")
    if lowered.startswith("[") and lowered.endswith("]"):
        try:
            return f"[{ipaddress.IPv6Address(lowered[1:-1]).compressed}]"
        except ValueError:
            raise BadValue("must be an IPv6 address between the brackets", text) from None
    if ":" in lowered:
        raise BadValue("must be a host name without port", text)
    if len(lowered) > 253 or not _NAME.fullmatch(lowered):
        raise BadValue("must be a host name: letters, digits, - and dots", text)
    return lowered


def _parse_host_pattern(text: str) -> str:
    if text.startswith("*."):
        name = parse_host_name(text[2:])
        if name.startswith("["):
            raise BadValue("must be a host name after *.", text)
        return f"*.{name}"
    if "*" in text:
        raise BadValue("may have one * and only in front, as in *.example.com", text)
    return parse_host_name(text)


host_pattern: Final = plain("host", _parse_host_pattern)


def _parse_host_header(text: str) -> str:
    if text in ("pass", "upstream"):
        return text
    name, port = _split_port(text)
    host = parse_host_name(name)
    return host if port is None else f"{host}:{port}"


host_header: Final = plain("pass | upstream | HOST", _parse_host_header)


def _split_port(text: str) -> tuple[str, int | None]:
    """`host:port`, `host` or `[v6]:port` in two; the host is not judged."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", text)
    if match is None:
        raise BadValue("must be HOST or HOST:PORT; an IPv6 address stands in brackets", text)
    port = None if match[2] is None else int(match[2])
    if port is not None and not 0 < port < 65536:
        raise BadValue("has a port outside 1 to 65535", text)
    return match[1], port


# Servers


def _parse_server(text: str, base: Path) -> ServerAddress:
    address, *options = text.split()
    weight = 1
    for written in options:
        key, _, value = written.partition("=")
        if key != "weight":
            known = did_you_mean(key, ["weight"])
            raise BadValue(f"a server has no such option, only weight{known}", written)
        if not re.fullmatch(r"[0-9]{1,4}", value) or not 1 <= int(value) <= MAX_WEIGHT:
            raise BadValue(f"weight must be a whole number, 1 to {MAX_WEIGHT}", written)
        weight = int(value)
    return attrs.evolve(_parse_address(address, base), weight=weight)


def _parse_address(address: str, base: Path) -> ServerAddress:
    scheme, separator, rest = address.partition(":")
    match scheme.lower() if separator else "":
        case "http" if rest.startswith("//"):
            return _parse_tcp(address, rest[2:])
        case "https":
            raise BadValue("https:// servers are not in this version yet", address)
        case "unix" if rest:
            # The same folder by any spelling must be the same server.
            return ServerAddress("unix", path=os.path.normpath(base / rest))
        case "builtin":
            if rest not in BUILTIN_SERVICES:
                raise BadValue("there is no such service inside the gateway, only builtin:echo", address)
            return ServerAddress("builtin", host=rest)
        case _:
            raise BadValue("must be http://HOST:PORT, unix:PATH or builtin:echo", address)


def _parse_tcp(address: str, authority: str) -> ServerAddress:
    authority, _, path = authority.partition("/")
    if path or "?" in authority or "#" in authority:
        raise BadValue("a server has no path; use add_prefix in the route", address)
    if "@" in authority:
        raise BadValue("a server has no user and password in its address", address)
    name, port = _split_port(authority)
    host = parse_host_name(name).strip("[]")
    return ServerAddress("tcp", host=host, port=DEFAULT_HTTP_PORT if port is None else port)


def _write_server(server: ServerAddress) -> str:
    address = f"http://{server.authority}" if server.kind == "tcp" else server.label
    return address if server.weight == 1 else f"{address} weight={server.weight}"


server: Final = Value("server", _parse_server, _write_server)


# Endpoints

# The path of `unix:PATH` or `unix:address=PATH`, up to the next option.
_UNIX_PATH: Final = re.compile(r"^unix:(?:address=)?((?:[^:\\]|\\.)+)")


def _read_endpoint(text: str, base: Path) -> str:
    kind, separator, rest = text.partition(":")
    if not text.isprintable() or not separator or not rest or not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
        raise BadValue("must be an endpoint, as in tcp:8080, tcp:8080:interface=127.0.0.1 or unix:/run/gw.sock")
    if kind in ("ssl", "tls"):
        raise BadValue("TLS is not in this version yet")
    if kind in ("tcp", "tcp6"):
        port = rest.split(":")[0].removeprefix("port=")
        if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
            raise BadValue(f"must be {kind}: and a port, 0 to 65535")
    if kind == "unix":
        return _UNIX_PATH.sub(lambda match: f"unix:{_absolute_socket(match[1], base)}", text)
    return text


def _absolute_socket(written: str, base: Path) -> str:
    """A path of an endpoint made absolute: the daemon has a working directory of its own. A backslash escapes there."""
    path = os.path.normpath(base / re.sub(r"\\(.)", r"\1", written))
    return re.sub(r"([\\:=])", r"\\\1", path)


endpoint: Final = Value("endpoint", _read_endpoint)


def _read_optional_endpoint(text: str, base: Path) -> str:
    return "" if text == "off" else _read_endpoint(text, base)


optional_endpoint: Final = Value("endpoint | off", _read_optional_endpoint, lambda value: value or "off")
