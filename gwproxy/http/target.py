"""The request target: what a path means, in one reading for router, filters and upstream.

A target has two forms. `path` is for matching and policy: escapes of printable characters are decoded, dot segments
resolved, duplicate slashes merged. `raw_path` is what goes upstream: the bytes as received, without the dot segments.
Three rules keep the two from telling different stories:

1. A slash never appears or disappears by decoding: `/ \\ % ? #` stay escaped in `path`, and nothing is decoded twice.
2. What other programs may read as a dot segment, and we do not (`..;x`, `..%2F`, `..%5C`, a raw backslash), is refused.
3. Parsing `raw_path` again gives the same `path`.
"""

from __future__ import annotations

import re

import attrs

from gwproxy.errors import BadHost, BadTarget
from gwproxy.http.host import parse_host

# Printable, but not `#` (a fragment, which no target has) and, in the path, no backslash. RFC 3986 does not allow
# `"<>[]^`{|}` either, but browsers send them and all programs read them alike.
_QUERY = rb"(?:\?([!\"$-~]*))?"
# What nearly every request has: no escape, no empty segment, none that begins with a dot. It is its own normal form.
_usual = re.compile(rb"((?:/(?![/.])[!\"$&-.0->@-\[\]-~]*+)++)" + _QUERY).fullmatch
_origin_form = re.compile(rb"(/[!\"$->@-\[\]-~]*+)" + _QUERY).fullmatch
_absolute = re.compile(rb"([Hh][Tt][Tt][Pp][Ss]?)://([^/?]+)(.*)", re.DOTALL).fullmatch

_escapes = re.compile(rb"%.{0,2}", re.DOTALL)
_slashes = re.compile(rb"//+")
# A dot segment for us: between slashes. And one for somebody else: bounded by a parameter or an escaped separator.
_dot_segment = re.compile(rb"/\.\.?(?:/|\Z)").search
_dubious_dots = re.compile(
    rb"/\.\.?(?:;|%2F|%5C)"
    rb"|%(?:2F|5C)\.\.?(?:[/;]|%2F|%5C|\Z)"
).search
_escaped_slash = re.compile(rb"%(?:2[Ff]|5[Cc])").search
_unprintable = re.compile(rb"[^!-~]")


@attrs.define
class Target:
    """A request target, taken apart."""

    path: bytes  # for matching and policy; `*` when asterisk
    raw_path: bytes  # to forward; `*` when asterisk
    query: bytes  # as received, without the `?`
    has_query: bool  # true for a bare `?` too
    authority: bytes | None = None  # of absolute-form, as received and valid: it routes, and Host is ignored
    scheme: bytes | None = None  # of absolute-form: b"http" | b"https"
    asterisk: bool = False  # `OPTIONS *`


def parse_target(method: bytes, target: bytes) -> Target:
    """Takes a request target apart and judges it (RFC 9112 section 3.2, RFC 3986 section 5.2.4).

    Raises BadTarget for what is malformed, leaves the root, or may be read in two ways.
    """
    match = _usual(target)
    if match is not None:
        path, query = match.groups()
        return Target(path, path, b"", False) if query is None else Target(path, path, query, True)
    if target[:1] == b"/":
        return _origin(target, None, None)
    return _other_form(method, target)


def _other_form(method: bytes, target: bytes) -> Target:
    if target == b"*":
        if method != b"OPTIONS":
            raise BadTarget("* is for OPTIONS")
        return Target(b"*", b"*", b"", False, asterisk=True)
    match = _absolute(target)
    if match is None:
        raise BadTarget("neither a path nor an http URL")
    scheme, authority, rest = match.groups()
    try:
        parse_host(authority)
    except BadHost as error:
        raise BadTarget(f"authority: {error.detail}") from None
    scheme = scheme.lower()
    if not rest and method == b"OPTIONS":
        # RFC 9112 section 3.2.4: the whole server is meant.
        return Target(b"*", b"*", b"", False, authority, scheme, asterisk=True)
    return _origin(rest if rest[:1] == b"/" else b"/" + rest, authority, scheme)


def _origin(target: bytes, authority: bytes | None, scheme: bytes | None) -> Target:
    match = _origin_form(target)
    if match is None:
        raise BadTarget("a byte that may not stand there")
    raw_path, query = match.groups()
    path = raw_path
    if b"%" in path:
        path = _escapes.sub(_normal_escape, path)
    if b"." in path:
        if _dubious_dots(path) is not None:
            raise BadTarget("a segment that some programs read as a dot segment")
        if _dot_segment(path) is not None:
            path, raw_path = _without_dot_segments(path, raw_path)
    if b"//" in path:
        path = _slashes.sub(b"/", path)
    return Target(path, raw_path, query or b"", query is not None, authority, scheme)


def _without_dot_segments(path: bytes, raw_path: bytes) -> tuple[bytes, bytes]:
    # Slashes are never decoded, so both forms have the same segments. As in RFC 3986, an empty segment is one too.
    kept: list[tuple[bytes, bytes]] = []
    segments = list(zip(path.split(b"/"), raw_path.split(b"/"), strict=True))[1:]
    for segment in segments:
        if segment[0] == b"..":
            if not kept:
                raise BadTarget("above the root")
            kept.pop()
        elif segment[0] != b".":
            kept.append(segment)
    if segments[-1][0] in (b".", b".."):
        kept.append((b"", b""))  # what a dot segment ends is a folder
    return b"/" + b"/".join([own for own, _ in kept]), b"/" + b"/".join([raw for _, raw in kept])


def _make_escapes() -> dict[bytes, bytes]:
    table: dict[bytes, bytes] = {}
    for code in range(1, 256):  # %00 is refused, like what is no escape at all
        normal = b"%%%02X" % code
        if 0x20 <= code <= 0x7E and code not in b"/\\%?#":
            normal = bytes([code])
        for high in {b"%x" % (code >> 4), b"%X" % (code >> 4)}:
            for low in {b"%x" % (code & 15), b"%X" % (code & 15)}:
                table[b"%" + high + low] = normal
    return table


_NORMAL_ESCAPES = _make_escapes()


def _normal_escape(match: re.Match[bytes]) -> bytes:
    try:
        return _NORMAL_ESCAPES[match[0]]
    except KeyError:
        raise BadTarget("a malformed percent-escape, or %00") from None


def normal_escapes(path: bytes) -> bytes:
    """The percent-escapes of a path as `Target.path` has them, for patterns to be compared with it.

    Raises BadTarget for a malformed one.
    """
    return _escapes.sub(_normal_escape, path)


def has_encoded_slash(path: bytes) -> bool:
    """Whether a path, in either form, has an escaped `/` or `\\`; for routes that refuse those."""
    return b"%" in path and _escaped_slash(path) is not None


def rewrite_path(raw_path: bytes, path: bytes, strip_prefix: bytes, add_prefix: bytes) -> bytes:
    """What to forward of a `Target` when a route takes a prefix off, puts one on, or both.

    `strip_prefix` is in the form of `Target.path`, `add_prefix` as it is to be sent; each is empty or begins with a
    slash, and a slash at its end changes nothing. A prefix comes off at a segment boundary, and not at all when it does
    not cover the path. The rest stays as received, with exactly one slash before it, so that the result cannot be read
    as an authority (`//host`).
    """
    rest = raw_path
    strip_prefix = strip_prefix.rstrip(b"/")
    if path == strip_prefix or path.startswith(strip_prefix + b"/"):
        if raw_path == path:
            rest = raw_path[len(strip_prefix) :]
        else:
            rest = _after_segments(raw_path, strip_prefix.count(b"/"))
    return b"%b/%b" % (add_prefix.rstrip(b"/"), rest.lstrip(b"/"))


def _after_segments(raw_path: bytes, count: int) -> bytes:
    rest = raw_path
    for _ in range(count):
        rest = rest.lstrip(b"/").partition(b"/")[2]
    return rest


def safe_location(target: bytes) -> bytes:
    """A Location for a redirect to a path of this server, made from what a request named (path and query).

    Browsers take `//host` and `/\\host` for another server and drop control bytes before they look, so slashes and
    backslashes at the start become one slash, and what is not printable is escaped.
    """
    return b"/" + _unprintable.sub(_escape, target.lstrip(b"/\\"))


def _escape(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]
