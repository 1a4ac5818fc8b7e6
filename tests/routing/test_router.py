"""The router: the most specific route wins, by host, then path, then method."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.config.model import RouteOptions
from gwproxy.config.routes import PathPattern, PatternKind
from gwproxy.http.target import parse_target
from gwproxy.routing.route import Route
from gwproxy.routing.router import Router, find_ties


def route(text: str, *methods: str, host: str = "", name: str = "") -> Route:
    """A route with a pattern as in a file, named after it."""
    kind = PatternKind.TEMPLATE if "{" in text else PatternKind.PREFIX
    value = text
    if text[0] in "=~":
        kind = PatternKind.EXACT if text[0] == "=" else PatternKind.REGEX
        value = text[2:]
    options = RouteOptions(
        name=name or text,
        host=tuple(host.split()),
        path=PathPattern(kind, text, value),
        methods=tuple(method.encode() for method in methods),
    )
    return Route(options)


def answer(routes: list[Route], path: str, method: str = "GET", host: str = "h.example") -> str | set[str] | None:
    """The name of the route that takes the request, or the methods that some route takes, or None."""
    target = parse_target(method.encode(), path.encode())
    found = Router(routes).host(host.encode()).match(target.path, method.encode())
    if isinstance(found, Route):
        return found.name
    return None if found is None else {allowed.decode() for allowed in found}


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("/", ["/", "/a", "/a/b/", "//"], []),
        (
            "/api",
            ["/api", "/api/", "/api/x", "/api/x/y", "//api", "/%61pi", "/x/../api/y"],
            ["/", "/apix", "/ap", "/x/api"],
        ),
        ("/user/", ["/user/", "/user/x", "/user/x/y"], ["/user", "/users/"]),
        ("/a/b", ["/a/b", "/a/b/c"], ["/a", "/a/", "/a/c", "/a/bc"]),
        ("= /exact", ["/exact", "//exact", "/./exact"], ["/exact/", "/exact/x", "/Exact"]),
        ("= /", ["/"], ["/a"]),
        ("/users/{id}", ["/users/7", "/users/a%2Fb", "/users/a;b"], ["/users", "/users/", "/users/7/", "/users/7/x"]),
        ("/users/{id}/", ["/users/7/"], ["/users/7", "/users//", "/users/7/x"]),
        ("/{a}/x/{b}", ["/1/x/2"], ["/1/y/2", "/1/x", "/1/x/2/3", "//x/2"]),
        ("~ /v[12]/.*", ["/v1/", "/v2/a/b"], ["/v3/", "/v1", "/x/v1/"]),
        ("~ .*[.]php", ["/a.php", "/x/y.php"], ["/a.php/x", "/a.phpx", "/a.php%0A"]),
        ("/a b", ["/a%20b", "/a%20b/c"], ["/a%2520b"]),
    ],
)
def test_n9_what_a_pattern_takes(pattern: str, matching: list[str], others: list[str]) -> None:
    routes = [route(pattern)]
    for path in matching:
        assert answer(routes, path) == pattern, path
    for path in others:
        assert answer(routes, path) is None, path


# For each path, patterns that take it, from the most specific to the least.
RANKS = [
    ("/a/b", ["= /a/b", "~ /a/.*", "/a/b", "/a/{x}", "/a/", "/a", "/{y}/b", "/{y}/{x}", "/"]),
    (
        "/a/b/c",
        ["= /a/b/c", "~ .*/c", "~ .*c", "/a/b/c", "/a/b/{x}", "/a/b/", "/a/b", "/a/{x}/c", "/a", "/{x}/b/c", "/"],
    ),
    ("/a/b/", ["= /a/b/", "/a/b/", "/a/b", "/a/{x}/", "/a/", "/{x}/b/", "/{x}/{y}/"]),
    ("/a", ["= /a", "/a", "/{x}", "/"]),
]


@pytest.mark.parametrize(("path", "patterns"), RANKS, ids=[path for path, _ in RANKS])
def test_the_most_specific_path_wins_in_whatever_order(path: str, patterns: list[str]) -> None:
    for shuffle in range(5):
        left = list(patterns)
        while left:
            written = [pattern for pattern in left if pattern[0] != "~"]
            random.Random(shuffle).shuffle(written)
            # the order of regexes among themselves is their rank
            written = [pattern for pattern in left if pattern[0] == "~"] + written
            assert answer([route(pattern) for pattern in written], path) == left.pop(0)


def test_regexes_are_asked_in_the_order_written() -> None:
    routes = [route("~ /a.*"), route("~ /ab.*")]
    assert answer(routes, "/abc") == "~ /a.*"
    assert answer(routes[::-1], "/abc") == "~ /ab.*"


def test_a_dead_end_of_literals_is_left_for_a_parameter() -> None:
    routes = [route("/a/b/c/d"), route("/a/{x}/c/{y}"), route("/{z}/b/c/e/f/g"), route("/a/b/{x}/{y}/z")]
    assert answer(routes, "/a/b/c/e") == "/a/{x}/c/{y}"
    assert answer(routes, "/a/b/c/e/z") == "/a/b/{x}/{y}/z"
    assert answer(routes, "/a/b/x/e") is None


HOSTS = ["a.b.example.com", "*.b.example.com", "*.example.com", "*.com", ""]


def test_the_most_specific_host_wins() -> None:
    for start in range(len(HOSTS)):
        routes = [route("/", host=host, name=host or "any") for host in HOSTS[start:]]
        assert answer(routes, "/x", host="a.b.example.com") == (HOSTS[start] or "any")


def test_a_host_comes_before_a_path() -> None:
    routes = [route("= /x", name="exact path"), route("/", host="*.example.com", name="wildcard")]
    assert answer(routes, "/x", host="a.example.com") == "wildcard"
    assert answer(routes, "/x", host="example.org") == "exact path"


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("a.example.com", True),
        ("a.b.example.com", True),
        ("example.com", False),
        ("aexample.com", False),
        ("a.example.com.org", False),
        ("com", False),
        ("[::1]", False),
    ],
)
def test_a_wildcard_takes_one_or_more_labels(host: str, taken: bool) -> None:
    assert (answer([route("/", host="*.example.com")], "/", host=host) is not None) is taken


def test_less_specific_hosts_take_what_the_others_do_not() -> None:
    routes = [
        route("/a", host="x.example.com", name="exact"),
        route("/b", host="*.example.com", name="wildcard"),
        route("/c", host="*.com", name="shorter wildcard"),
        route("/d", name="any"),
        route("/e", host="other.example.com", name="other"),
    ]
    found = [answer(routes, path, host="x.example.com") for path in ("/a", "/b", "/c", "/d", "/e")]
    assert found == ["exact", "wildcard", "shorter wildcard", "any", None]
    found = [answer(routes, path, host="y.example.com") for path in ("/a", "/b", "/c", "/d", "/e")]
    assert found == [None, "wildcard", "shorter wildcard", "any", None]


def test_a_route_may_have_several_hosts() -> None:
    routes = [route("/", host="a.example b.example [::1]")]
    for host in ("a.example", "b.example", "[::1]"):
        assert answer(routes, "/", host=host) == "/"
    assert answer(routes, "/", host="c.example") is None


def test_a_route_that_names_the_method_wins_on_one_pattern() -> None:
    for pattern in ("/a", "/a/", "= /a/b", "/a/{x}", "~ /a/.*"):
        routes = [route(pattern, name="any"), route(pattern, "PUT", name="put"), route(pattern, "POST", name="post")]
        for order in (routes, routes[::-1]):
            found = [answer(order, "/a/b", method) for method in ("PUT", "POST", "GET", "PROPFIND")]
            assert found == ["put", "post", "any", "any"]


def test_a_route_that_does_not_take_the_method_leaves_it_to_less_specific_ones() -> None:
    routes = [
        route("= /a/b", "PUT"),
        route("~ /a/b", "POST"),
        route("/a/b", "PATCH"),
        route("/a/{x}", "DELETE"),
        route("/a/", "LOCK"),
        route("/a", "MOVE"),
        route("/", "COPY"),
        route("/", "LINK", host="h.example", name="host"),
    ]
    asked = ("PUT", "POST", "PATCH", "DELETE", "LOCK", "MOVE", "COPY", "LINK")
    names = [answer(routes, "/a/b", method) for method in asked]
    assert names == ["= /a/b", "~ /a/b", "/a/b", "/a/{x}", "/a/", "/a", "/", "host"]
    assert answer(routes, "/a/b", "PURGE") == set(asked)
    assert answer(routes, "/z", "PURGE") == {"COPY", "LINK"}


def test_methods_of_routes_that_do_not_match_are_not_allowed() -> None:
    routes = [route("/a", "GET"), route("/b", "POST"), route("/a", "PUT", host="other.example")]
    assert answer(routes, "/a", "DELETE") == {"GET", "HEAD"}
    assert answer(routes, "/c", "DELETE") is None


def test_get_implies_head_and_nothing_implies_options() -> None:
    routes = [route("/a", "GET", name="get"), route("/b", "GET", name="get"), route("/b", "HEAD", name="head")]
    assert answer(routes, "/a", "HEAD") == "get"
    assert answer(routes, "/b", "HEAD") == "head"
    assert answer(routes, "/a", "OPTIONS") == {"GET", "HEAD"}
    routes = [route("/a", name="any"), route("/a", "GET", name="get")]
    assert answer(routes, "/a", "HEAD") == "get"
    assert answer([route("/a", "POST")], "/a", "HEAD") == {"POST"}


def test_methods_are_compared_with_their_case() -> None:
    assert answer([route("/a", "GET")], "/a", "get") == {"GET", "HEAD"}


def test_f14_no_route_takes_the_asterisk() -> None:
    assert Router([route("/"), route("/{x}")]).host(b"h.example").match(b"*", b"OPTIONS") is None


def test_without_routes_nothing_is_found() -> None:
    assert answer([], "/") is None


def test_a_long_path_with_many_dead_ends_is_soon_decided() -> None:
    """Literal and parameter at every level: the search is bounded by the number of routes, not by the path."""
    depth = 12
    routes = [
        route("/" + "/".join("a" if bits >> level & 1 else "{x}" for level in range(depth)) + "/end/{y}")
        for bits in range(0, 2**depth, 37)
    ]
    assert answer(routes, "/a" * depth + "/other") is None
    assert answer(routes, "/a" * 5000) is None


SEGMENTS = st.sampled_from(["a", "b", "{x}"])
PATTERNS = st.builds(
    lambda start, segments, end: start + "/" + "/".join(segments) + (end if segments else ""),
    st.just(""),
    st.lists(SEGMENTS, max_size=3),
    st.sampled_from(["", "/"]),
)
REQUESTS = st.builds(
    lambda segments, end: "/" + "/".join(segments) + (end if segments else ""),
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=4),
    st.sampled_from(["", "/"]),
)


def rank(pattern: str, path: str) -> tuple[int, ...] | None:
    """The rules of the module's docstring, written down plainly: less is more specific, None is no match."""
    wanted, given_ = pattern.split("/")[1:], path.split("/")[1:]
    is_prefix = "{" not in pattern
    if is_prefix and wanted[-1] == "":
        wanted = wanted[:-1]
        if len(given_) == len(wanted):
            return None
        end = 2  # below
    else:
        end = 3 if is_prefix else 0
    if len(given_) < len(wanted) or (not is_prefix and len(given_) != len(wanted)):
        return None
    ranks = []
    for want, have in zip(wanted, given_, strict=False):
        if want == "{x}" and have:
            ranks.append(1)
        elif want == have:
            ranks.append(0)
        else:
            return None
    return (*ranks, end) if is_prefix else tuple(ranks)


@given(st.lists(PATTERNS, min_size=1, max_size=8, unique=True), REQUESTS)
def test_the_trie_finds_what_comparing_all_patterns_finds(patterns: list[str], path: str) -> None:
    ranked = [(rank(pattern, path), pattern) for pattern in patterns]
    matching = sorted((found, pattern) for found, pattern in ranked if found is not None)
    assert answer([route(pattern) for pattern in patterns], path) == (matching[0][1] if matching else None)


def ties(*routes: Route) -> list[tuple[str, str]]:
    return [(one.name, other.name) for one, other in find_ties(routes)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (route("/a", name="1"), route("/a", name="2")),
        (route("= /~a", name="1"), route("= /%7ea", name="2")),
        (route("/u/{id}", name="1"), route("/u/{name}", name="2")),
        (route("~ /a.*", name="1"), route("~ /a.*", name="2")),
        (route("/a", "GET", "PUT", name="1"), route("/a", "PUT", "POST", name="2")),
        (route("/a", host="x.example y.example", name="1"), route("/a", host="Y.example. x.example", name="2")),
        (route("/a", host="*.example", name="1"), route("/a", host="*.example", name="2")),
    ],
)
def test_a_tie_is_found_once(one: Route, other: Route) -> None:
    assert ties(one, route("/b", name="3"), other) == [("1", "2")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (route("/a"), route("/a/")),
        (route("/a"), route("= /a")),
        (route("/u/{id}"), route("/u/{id}/")),
        (route("/u/{id}/x"), route("/u/y/{z}")),
        (route("~ /a.*"), route("~ /a.+")),
        (route("/a", "GET"), route("/a", "POST")),
        (route("/a", "GET"), route("/a", "HEAD")),
        (route("/a", "GET"), route("/a")),
        (route("/a"), route("/a", host="x.example")),
        (route("/a", host="*.example"), route("/a", host="x.example")),
    ],
)
def test_what_is_ranked_is_no_tie(one: Route, other: Route) -> None:
    assert ties(one, other) == []


def test_all_pairs_of_a_tie_are_named() -> None:
    assert ties(*(route("/a", name=name) for name in "123")) == [("1", "2"), ("1", "3"), ("2", "3")]
