"""Path patterns: in the form of the paths that they are compared with, and refused when they can never match."""

from __future__ import annotations

import pytest

from gwproxy.config.routes import PathPattern, PatternKind
from gwproxy.http.target import parse_target
from gwproxy.routing.pattern import Pattern, compile_pattern

EXACT, PREFIX, TEMPLATE, REGEX = PatternKind.EXACT, PatternKind.PREFIX, PatternKind.TEMPLATE, PatternKind.REGEX


def compiled(kind: PatternKind, value: str) -> Pattern:
    return compile_pattern(PathPattern(kind, value, value))


@pytest.mark.parametrize(
    ("kind", "value", "segments"),
    [
        (PREFIX, "/", (b"",)),
        (PREFIX, "/api", (b"api",)),
        (PREFIX, "/api/", (b"api", b"")),
        (TEMPLATE, "/users/{id}", (b"users", None)),
        (TEMPLATE, "/{a}/x/{b}/", (None, b"x", None, b"")),
    ],
)
def test_segments(kind: PatternKind, value: str, segments: tuple[bytes | None, ...]) -> None:
    assert compiled(kind, value).segments == segments


@pytest.mark.parametrize("value", ["/café", "/caf%c3%a9", "/a b", "/~user", "/%7Euser", "/a%2fb", "/日本"])
def test_n7_a_pattern_has_the_form_of_the_path_that_it_means(value: str) -> None:
    sent = "".join(
        char if char.isascii() and char != " " else "".join(f"%{b:02x}" for b in char.encode()) for char in value
    )
    assert compiled(EXACT, value).exact == parse_target(b"GET", sent.encode()).path


@pytest.mark.parametrize("kind", [EXACT, PREFIX, TEMPLATE])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "a",
        "/a//b",
        "//",
        "/a/./b",
        "/a/..",
        "/%2e%2e/a",
        "/a?b",
        "/a#b",
        "/a\\b",
        "/a\x00",
        "/a\n",
        "/a%",
        "/%zz",
        "/%00",
    ],
)
def test_n2_n6_a_pattern_that_can_never_match_is_refused(kind: PatternKind, value: str) -> None:
    with pytest.raises(ValueError, match=r"can never match|begins with /"):
        compiled(kind, value)


@pytest.mark.parametrize("value", ["/a{id}", "/{id}x", "/{}", "/{a", "/a}", "/{a b}", "/{a}{b}"])
def test_a_parameter_is_a_whole_segment(value: str) -> None:
    with pytest.raises(ValueError, match="whole segment"):
        compiled(TEMPLATE, value)


@pytest.mark.parametrize(("value", "why"), [("/(a", "no regular expression"), ("/café", "never match")])
def test_a_regex_that_is_none_or_can_never_match_is_refused(value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compiled(REGEX, value)


def test_keys_are_equal_for_patterns_that_match_alike() -> None:
    assert compiled(TEMPLATE, "/u/{id}").key == compiled(TEMPLATE, "/u/{name}").key
    assert compiled(EXACT, "/%7ea").key == compiled(EXACT, "/~a").key
    assert compiled(REGEX, "/a.*").key == compiled(REGEX, "/a.*").key
    different = [
        compiled(EXACT, "/u"),
        compiled(PREFIX, "/u"),
        compiled(PREFIX, "/u/"),
        compiled(TEMPLATE, "/u/{a}"),
        compiled(TEMPLATE, "/u/{a}/"),
        compiled(REGEX, "/u"),
        compiled(REGEX, "/u.*"),
    ]
    assert len({pattern.key for pattern in different}) == len(different)
