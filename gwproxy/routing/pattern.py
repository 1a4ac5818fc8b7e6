"""Path patterns, made ready for matching against `Target.path`.

A pattern is written as a person reads the path; here it takes the form that `gwproxy.http.target` gives to paths:
what is not printable ASCII becomes percent-escapes in upper case. What can never match is refused.
"""

from __future__ import annotations

import re
from collections.abc import Hashable

import attrs

from gwproxy.config.routes import PathPattern, PatternKind
from gwproxy.errors import BadTarget
from gwproxy.http.target import normal_escapes

_not_ascii = re.compile(rb"[\x80-\xff]")
_parameter = re.compile(r"\{\w+\}")


@attrs.frozen
class Pattern:
    """What a route's path means."""

    kind: PatternKind
    # The whole path of an exact pattern; empty for the others.
    exact: bytes = b""
    # Of a prefix or template, one for each slash; None is a parameter, which takes any segment that is not empty. The
    # last is empty when the pattern ends with a slash.
    segments: tuple[bytes | None, ...] = ()
    # Of a regex: matched against the whole path.
    regex: re.Pattern[bytes] | None = None

    @property
    def key(self) -> Hashable:
        """Equal for patterns that match the same paths with the same rank."""
        return self.kind, self.exact, self.segments, self.regex and self.regex.pattern


def compile_pattern(path: PathPattern) -> Pattern:
    """Raises ValueError, with a text for the operator, for a pattern that is malformed or can never match."""
    if path.kind is PatternKind.REGEX:
        return Pattern(path.kind, regex=_regex(path.value))
    if path.kind is PatternKind.EXACT:
        return Pattern(path.kind, exact=_normal_path(path.value))
    if path.kind is PatternKind.PREFIX:
        return Pattern(path.kind, segments=tuple(_normal_path(path.value).split(b"/")[1:]))
    return Pattern(path.kind, segments=_template(path.value))


def _regex(value: str) -> re.Pattern[bytes]:
    if not value.isascii():
        raise ValueError("can never match: write what is not ASCII as percent-escapes in upper case")
    try:
        return re.compile(value.encode("ascii"))
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from None


def _template(value: str) -> tuple[bytes | None, ...]:
    segments: list[bytes | None] = []
    for segment in value.split("/")[1:]:
        if _parameter.fullmatch(segment):
            segments.append(None)
        elif "{" in segment or "}" in segment:
            raise ValueError("a parameter is a whole segment, as in /users/{id}")
        else:
            segments.append(_normal_path("/" + segment)[1:])
    _normal_path(_parameter.sub("x", value))
    return tuple(segments)


def _normal_path(value: str) -> bytes:
    if not value.startswith("/"):
        raise ValueError("a path begins with /")
    if not value.isprintable() or any(mark in value for mark in "?#\\"):
        raise ValueError("can never match: a path has no ?, #, backslash or control characters")
    try:
        path = normal_escapes(value.encode())
    except BadTarget as error:
        raise ValueError(f"can never match: {error.detail}") from None
    path = _not_ascii.sub(lambda byte: b"%%%02X" % byte[0][0], path)
    if b"//" in path or any(segment in (b".", b"..") for segment in path.split(b"/")):
        raise ValueError("can never match: paths are matched without //, /./ and /../")
    return path
