"""Path patterns, methods, respond and redirect."""

from __future__ import annotations

import pytest

from gwproxy.config import routes
from gwproxy.config.mistakes import BadValue
from gwproxy.config.routes import PathPattern, PatternKind, Redirect, Respond


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("/", PatternKind.PREFIX, "/"),
        ("/user/", PatternKind.PREFIX, "/user/"),
        ("/büro", PatternKind.PREFIX, "/büro"),
        ("/a b%2Fc", PatternKind.PREFIX, "/a b%2Fc"),
        ("= /exact", PatternKind.EXACT, "/exact"),
        ("=/exact", PatternKind.EXACT, "/exact"),
        ("= /a/{b}", PatternKind.EXACT, "/a/{b}"),
        ("/users/{id}/x/{other}", PatternKind.TEMPLATE, "/users/{id}/x/{other}"),
        ("~ /v[12]/.*", PatternKind.REGEX, "/v[12]/.*"),
        ("~ /a{1,2}%", PatternKind.REGEX, "/a{1,2}%"),
    ],
)
def test_patterns(text: str, kind: PatternKind, value: str) -> None:
    assert routes.path_pattern(text) == PathPattern(kind, text, value)
    assert routes.path_pattern.write(PathPattern(kind, text, value)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a path that begins with /"),
        ("user", "must be a path that begins with /"),
        ("= user", "must be a path that begins with /"),
        ("/a\x01b", "control characters"),
        ("/a?b", "can never match: a path has no"),
        ("/a#b", "can never match: a path has no"),
        ("/a%2", "has a % that two hexadecimal"),
        ("/a\\b", "can never match: a path has no"),
        ("//a", "can never match"),
        ("/a/../b", "can never match"),
        ("/a/.", "can never match"),
        ("/a{b}", "a parameter is a whole segment"),
        ("/{}", "a parameter is a whole segment"),
        ("/{a}/{a}", "has the parameter a twice"),
        ("~ (", "is no regular expression: missing \\), unterminated subpattern"),
        ("~ a{99999999999999999999}", "is no regular expression"),
        ("~ a\nb", "printable ASCII"),
        ("~ /b\u00fcro", "printable ASCII"),
    ],
)
def test_patterns_refused(text: str, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        routes.path_pattern(text)


@pytest.mark.parametrize("text", ["", "/", "/a", "/a/b/", "/a%2Fb", "/a;v=1/~x"])
def test_prefixes(text: str) -> None:
    assert routes.path_prefix(text) == text


@pytest.mark.parametrize(
    "text", ["a", "//", "//evil", "/a//b", "/a b", "/a?b", "/..", "/a/../b", "/a/.", "/%zz", "/%", "/é", "/a\n"]
)
def test_prefixes_refused(text: str) -> None:
    with pytest.raises(BadValue):
        routes.path_prefix(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("/", "/"),
        ("/a b", "/a b"),
        ("/a%20%41%2f%25", "/a A%2F%25"),
        ("/b\u00fcro", "/b%C3%BCro"),
        ("/%c3%bc", "/%C3%BC"),
    ],
)
def test_prefixes_to_match_take_the_form_of_paths(text: str, value: str) -> None:
    assert routes.matched_prefix(text) == value
    assert routes.matched_prefix(value) == value


@pytest.mark.parametrize("text", ["a", "//a", "/../a", "/a?b", "/%00", "/%zz", "/a\\b"])
def test_prefixes_to_match_refused(text: str) -> None:
    with pytest.raises(BadValue):
        routes.matched_prefix(text)


def test_methods_keep_their_case() -> None:
    assert [routes.method(text) for text in ("GET", "PROPFIND", "foo")] == [b"GET", b"PROPFIND", b"foo"]
    assert routes.method.write(b"GET") == "GET"


@pytest.mark.parametrize("text", ["", "get", "Post", "CONNECT", "trace", "A B", "A/B"])
def test_methods_refused(text: str) -> None:
    with pytest.raises(BadValue):
        routes.method(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("200 hello  world", Respond(200, b"hello  world")),
        ("503 gr\u00fc\u00dfe", Respond(503, "gr\u00fc\u00dfe".encode())),
        ("204", Respond(204, b"")),
        ("200 two\nlines", Respond(200, b"two\nlines")),
    ],
)
def test_respond(text: str, value: Respond) -> None:
    assert routes.respond(text) == value
    assert routes.respond(routes.respond.write(value)) == value


@pytest.mark.parametrize(
    "text", ["", "hello", "100 x", "600 x", "2000 x", "204 body", "304 body", "\u0662\u0660\u0660 x"]
)
def test_respond_refused(text: str) -> None:
    with pytest.raises(BadValue):
        routes.respond(text)


@pytest.mark.parametrize(
    "text",
    ["308 https://a.example$uri", "302 /login?next=1", "301 https://a.example/b", "307 $uri", "303 /", "308 /new$uri"],
)
def test_redirect(text: str) -> None:
    status, _, location = text.partition(" ")
    assert routes.redirect(text) == Redirect(int(status), location)
    assert routes.redirect.write(routes.redirect(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "308",
        "200 /a",
        "304 /a",
        "308 a b",
        "308 //evil.example",
        "308 /\\evil.example",
        "308 /$uri",
        "308 https://$uri",
        "308 https://a$host",
        "308 javascript:alert(1)",
        "308 $uri.evil.example",
        "308 https://b\u00fccher.example",
        "\u00b2 /a",
    ],
)
def test_redirect_refused(text: str) -> None:
    with pytest.raises(BadValue):
        routes.redirect(text)
