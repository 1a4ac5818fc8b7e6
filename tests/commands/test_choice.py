"""Which listener and route take a request, and why others do not."""

from __future__ import annotations

import pytest

from gwproxy.commands.choice import choose_listener, port_of, why_not, words
from gwproxy.config.model import ListenOptions, RouteOptions
from gwproxy.config.routes import path_pattern
from gwproxy.routing.route import Route


def listener(name: str, endpoint: str) -> ListenOptions:
    return ListenOptions(name=name, endpoint=endpoint)


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("tcp:8080", 8080),
        ("tcp6:8443:interface=\\:\\:1", 8443),
        ("tcp:port=80", 80),
        ("tcp:0", None),
        ("unix:/run/gw.sock", None),
        ("systemd:domain=INET:index=0", None),
    ],
)
def test_the_port_of_an_endpoint(endpoint: str, port: int | None) -> None:
    assert port_of(listener("a", endpoint)) == port


ONE, TWO = listener("one", "unix:/run/gw.sock"), listener("two", "tcp:8080")


@pytest.mark.parametrize(
    ("listeners", "port", "chosen"),
    [
        ([ONE, TWO], 8080, (TWO, "it has that port")),
        ([ONE, TWO], 9090, (ONE, "the first; all of them have the same routes")),
        ([ONE, TWO], None, (ONE, "the first; all of them have the same routes")),
        ([TWO], 9090, (TWO, "there is no other")),
    ],
)
def test_the_listener(listeners: list[ListenOptions], port: int | None, chosen: tuple[ListenOptions, str]) -> None:
    assert choose_listener(listeners, port) == chosen


def route(name: str, path: str = "/", host: tuple[str, ...] = (), methods: tuple[bytes, ...] = ()) -> Route:
    return Route(RouteOptions(name=name, path=path_pattern(path), host=host, methods=methods, upstream="u"))


def test_each_route_has_its_reason() -> None:
    routes = [
        route("winner", "/users/{id}", methods=(b"GET",)),
        route("any", "/"),
        route("wide", "/users", ("*.example.com",)),
        route("other", "/orders"),
        route("writes", "/users/{id}", methods=(b"PUT", b"POST")),
        route("elsewhere", "/users/{id}", ("api.example.org",)),
        route("the-domain-itself", "/users/{id}", ("example.com", "*.api.example.com")),
    ]
    assert list(why_not(routes, routes[0], b"api.example.com", b"/users/1", b"GET")) == [
        "any: less specific",
        "wide: less specific",
        "other: another path: /orders",
        "writes: another method: POST, PUT",
        "2 routes of other hosts",
    ]
    assert list(why_not(routes[3:4] + routes[5:6], None, b"a", b"/", b"GET")) == [
        "other: another path: /orders",
        "1 route of another host",
    ]


def test_methods_as_people_write_them() -> None:
    assert words({b"POST", b"GET"}) == "GET, POST"
    assert words(()) == ""
