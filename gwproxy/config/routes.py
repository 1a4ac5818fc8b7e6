"""What only routes have: path patterns, prefixes, methods, and the answers made by the gateway itself.

Patterns and `strip_prefix` are compared with paths as `gwproxy.http.target` gives them: decoded, but for `/ \\ % ? #`
and what is not printable ASCII. They may be written decoded or with escapes.
"""

from __future__ import annotations

import re
from enum import StrEnum
from http import HTTPStatus
from string import printable
from typing import Final
from urllib.parse import quote

import attrs

from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import plain, token
from gwproxy.errors import BadTarget
from gwproxy.http.target import normal_escapes

REDIRECT_STATUSES: Final = (301, 302, 303, 307, 308)


class PatternKind(StrEnum):
    """How a path pattern matches."""

    EXACT = "exact"  # = /a: this path
    PREFIX = "prefix"  # /a: this path and all below it, on a segment boundary
    TEMPLATE = "template"  # /a/{id}: a parameter stands for one segment
    REGEX = "regex"  # ~ ^/a$: the whole path, decoded


@attrs.frozen
class PathPattern:
    """Which paths a route takes.

    `text` is the pattern as written, for metrics; `value` the same without its mark: path, template or expression.
    """

    kind: PatternKind
    text: str
    value: str


def _parse_pattern(text: str) -> PathPattern:
    mark, rest = text[:1], text[1:].strip()
    if mark == "~":
        return PathPattern(PatternKind.REGEX, text, _checked_expression(rest))
    value = rest if mark == "=" else text
    _check_path(value)
    if mark == "=":
        return PathPattern(PatternKind.EXACT, text, value)
    if "{" in value or "}" in value:
        _check_template(value)
        return PathPattern(PatternKind.TEMPLATE, text, value)
    return PathPattern(PatternKind.PREFIX, text, value)


def _checked_expression(expression: str) -> str:
    if not expression.isascii() or not expression.isprintable():
        raise BadValue("must be printable ASCII: other characters are matched as escapes, as in %C3%BC")
    try:
        re.compile(expression.encode())  # paths are bytes
    except (re.error, RecursionError, OverflowError) as error:
        raise BadValue(f"is no regular expression: {getattr(error, 'msg', error)}") from None
    return expression


def _check_path(value: str) -> None:
    """Refuse what could never match."""
    if not value.startswith("/"):
        raise BadValue("must be a path that begins with /, or ~ and an expression")
    if not value.isprintable() or any(mark in value for mark in "?#\\"):
        raise BadValue("can never match: a path has no ?, #, backslash or control characters")
    if re.search(r"%(?![0-9A-Fa-f]{2})", value):
        raise BadValue("has a % that two hexadecimal digits do not follow")
    if "//" in value or any(segment in (".", "..") for segment in value.split("/")):
        raise BadValue("can never match: paths are matched without //, /./ and /../")


def _check_template(value: str) -> None:
    names: set[str] = set()
    for segment in value.split("/"):
        if "{" not in segment and "}" not in segment:
            continue
        match = re.fullmatch(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", segment)
        if match is None:
            raise BadValue("a parameter is a whole segment, as in /users/{id}")
        if match[1] in names:
            raise BadValue(f"has the parameter {match[1]} twice")
        names.add(match[1])


path_pattern: Final = plain("PATH | = PATH | ~ REGEX", _parse_pattern, lambda pattern: pattern.text)


def _parse_matched_prefix(text: str) -> str:
    if not text:
        return ""
    _check_path(text)
    try:
        # Left alone: what is ASCII, escapes too.
        return normal_escapes(quote(text, safe=printable).encode()).decode()
    except BadTarget as error:
        raise BadValue(f"can never match: {error.detail}") from None


matched_prefix: Final = plain("PATH", _parse_matched_prefix)


def _parse_prefix(text: str) -> str:
    # Written into a request line as it is, where `//` would read as an authority.
    if not re.fullmatch(r"(/[!$&'()*+,;=:@A-Za-z0-9._~%-]+)*/?", text) or re.search(r"/\.\.?(/|$)", text):
        raise BadValue("must begin with / and have only characters of a path, percent-encoded where needed")
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise BadValue("has a % that two hexadecimal digits do not follow")
    return text


path_prefix: Final = plain("PATH", _parse_prefix)


def _parse_method(text: str) -> bytes:
    token(text)  # RFC 9110 section 9.1: a token, and its case matters
    if text.upper() in ("CONNECT", "TRACE"):
        raise BadValue("is refused on every route")
    if text != text.upper() and text.upper() in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        raise BadValue("methods are case-sensitive; write it in capitals")
    return text.encode()


method: Final = plain("method", _parse_method, bytes.decode)


@attrs.frozen
class Respond:
    """An answer made of the configuration."""

    status: int
    body: bytes


def _parse_respond(text: str) -> Respond:
    code, _, body = text.partition(" ")
    body = body.strip()
    if not re.fullmatch(r"[2-5][0-9][0-9]", code):
        raise BadValue("must be a status, 200 to 599, and a text, as in 200 hello")
    status = int(code)
    if body and status in (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED):
        raise BadValue(f"{status} has no body (RFC 9110 section 15)")
    return Respond(status, body.encode())


respond: Final = plain("STATUS TEXT", _parse_respond, lambda value: f"{value.status} {value.body.decode()}".strip())


@attrs.frozen
class Redirect:
    """A redirect. `$uri` in `location` stands for the path and query as received."""

    status: int
    location: str


def _parse_redirect(text: str) -> Redirect:
    code, _, location = text.partition(" ")
    location = location.strip()
    if not code.isdecimal() or int(code) not in REDIRECT_STATUSES:
        raise BadValue(f"must be a status, {', '.join(map(str, REDIRECT_STATUSES))}, and a URL")
    if not re.fullmatch(r"[!-~]+", location):
        raise BadValue("must have a URL after the status: no spaces, ASCII, percent-encoded where needed")
    if "$" in location.replace("$uri", ""):
        raise BadValue("knows no other variable than $uri")
    # A host comes only from the configuration: "/" alone could be followed by a slash from the request (//evil).
    if not re.match(r"https?://[^/$?#]|/(?![/\\$])|\$uri$", location):
        raise BadValue("must be a URL with http:// or https:// and a host, a path, or $uri alone")
    return Redirect(int(code), location)


redirect: Final = plain("STATUS URL", _parse_redirect, lambda value: f"{value.status} {value.location}")
