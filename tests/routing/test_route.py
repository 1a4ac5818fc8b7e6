"""Routes: what their options mean for matching."""

from __future__ import annotations

import pytest

from gwproxy.config.model import RouteOptions
from gwproxy.config.routes import PathPattern, PatternKind
from gwproxy.routing.route import ANY_HOST, Route


def with_hosts(*hosts: str) -> Route:
    return Route(RouteOptions(host=hosts))


def test_a_route_has_what_the_way_of_a_request_needs() -> None:
    path = PathPattern(PatternKind.EXACT, "= /users", "/users")
    route = Route(RouteOptions(name="users", path=path, methods=(b"GET", b"POST")))
    assert (route.name, route.pattern) == ("users", "= /users")
    assert route.matcher.exact == b"/users"
    assert route.methods == {b"GET", b"POST"}
    assert route.action is route.filters is None


def test_x8_hosts_have_the_form_in_which_requests_are_routed() -> None:
    assert with_hosts().hosts == (ANY_HOST,)
    assert with_hosts("*").hosts == (ANY_HOST,)
    assert with_hosts("API.example.com.", "*.Example.com", "[0::1]").hosts == (
        b"api.example.com",
        b"*.example.com",
        b"[::1]",
    )
    assert with_hosts("a.example", "A.example").hosts == (b"a.example",)


@pytest.mark.parametrize(
    "host", ["", "a b", "a..b", "*a.example", "a.*.example", "*.", "**", "example.com:80", "é.example"]
)
def test_a_host_that_no_request_can_have_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        with_hosts(host)


def test_a_path_that_can_never_match_is_refused() -> None:
    with pytest.raises(ValueError, match="never match"):
        Route(RouteOptions(path=PathPattern(PatternKind.PREFIX, "/a//b", "/a//b")))


def test_routes_are_compared_by_identity() -> None:
    options = RouteOptions()
    assert Route(options) != Route(options)
