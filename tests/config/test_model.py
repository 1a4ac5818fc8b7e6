"""The options classes of the built-in sections, and Config."""

from __future__ import annotations

import pytest

from gwproxy.config import model
from gwproxy.config.addresses import ServerAddress
from gwproxy.config.loader import NAMED, SINGLE
from gwproxy.config.mistakes import BadValue, ConfigMistake, Place
from gwproxy.config.model import Config, RouteOptions, UpstreamOptions
from gwproxy.config.options import declared_options, later_options
from gwproxy.config.routes import Redirect, Respond

CLASSES = [*SINGLE.values(), *NAMED.values()]


@pytest.mark.parametrize("options_class", CLASSES)
def test_defaults_are_what_their_text_gives(options_class: type) -> None:
    for option in declared_options(options_class).values():
        if not option.required and option.default is not None:
            assert option.value(option.value.write(option.default)) == option.default, option.key


@pytest.mark.parametrize("options_class", CLASSES)
def test_every_option_is_documented(options_class: type) -> None:
    assert options_class.__doc__
    for option in declared_options(options_class).values():
        assert option.doc.endswith("."), option.key


@pytest.mark.parametrize("options_class", CLASSES)
def test_what_comes_later_is_not_there_yet(options_class: type) -> None:
    assert not set(later_options(options_class)) & set(declared_options(options_class))


@pytest.mark.parametrize(
    ("options_class", "key", "text", "message"),
    [
        (model.GatewayOptions, "workers", "4", "worker processes are not in this version yet; only 0"),
        (model.GatewayOptions, "workers", "auto", "worker processes are not in this version yet"),
        (model.GatewayOptions, "workers", "x", "must be a whole number, 0 to 0"),
        (model.GatewayOptions, "reactor", "kqueue", "must be auto or uv or epoll"),
        (model.UpstreamOptions, "balance", "hash:ip", "balance by hash is not in this version yet"),
        (model.RouteOptions, "websocket", "on", "WebSockets are not in this version yet; only off"),
    ],
)
def test_values_that_come_later(options_class: type, key: str, text: str, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        declared_options(options_class)[key].value(text)


def test_an_upstream_needs_a_server() -> None:
    UpstreamOptions("u", servers=(ServerAddress("builtin", "echo"),)).check_options()
    with pytest.raises(ConfigMistake, match="at least one server"):
        UpstreamOptions("u", servers=()).check_options()


def test_a_route_does_exactly_one_thing() -> None:
    RouteOptions("r", upstream="u", strip_prefix="/a").check_options()
    RouteOptions("r", redirect=Redirect(308, "/")).check_options()
    with pytest.raises(ConfigMistake, match="needs one of upstream, static, respond, redirect"):
        RouteOptions("r").check_options()
    with pytest.raises(ConfigMistake, match="has upstream and respond, but a route does one thing only") as caught:
        RouteOptions("r", upstream="u", respond=Respond(200, b"")).check_options()
    assert caught.value.key == "respond"
    with pytest.raises(ConfigMistake, match="add_prefix goes with upstream only"):
        RouteOptions("r", respond=Respond(200, b""), add_prefix="/a").check_options()


def test_places_fall_back_to_the_section_and_to_the_file() -> None:
    config = Config(
        "gw.ini", places={("route", "a", None): Place("gw.ini", 3), ("route", "a", "path"): Place("gw.ini", 5)}
    )
    assert config.place("route", "a", "path") == Place("gw.ini", 5)
    assert config.place("route", "a", "host") == Place("gw.ini", 3)
    assert config.place("route", "b", "host") == Place("gw.ini", 0)
    assert str(config.mistake("route", "a", "path", "is a tie")) == "gw.ini:5: [route:a] is a tie"
    assert str(config.mistake("gateway", "", None, "is odd")) == "gw.ini: [gateway] is odd"
