"""From a configuration to a gateway; and what only the build can find wrong with one."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.testing import MemoryReactorClock

from gwproxy.build import Builder, Gateway, check, with_filters
from gwproxy.config import Config, ConfigErrors, ConfigMistake, parse
from gwproxy.config.options import option
from gwproxy.config.values import text
from gwproxy.edge.static import ResourceAction
from gwproxy.filters.api import Exchange, FilterContext, Reply, Traits
from gwproxy.filters.registry import FilterType, filter_types
from gwproxy.proxy.answers import RedirectAction, RespondAction
from gwproxy.proxy.forward import Forward
from gwproxy.runtime.keep import Keeper

TEXT = """\
[gateway]
via = edge-1
server_header = own
trusted_proxies = 10.0.0.0/8
[listen:http]
endpoint = tcp:8080
[upstream:users]
servers = http://192.0.2.1:80 weight=2, unix:/run/users.sock
[upstream:echo]
servers = builtin:echo
[route:users]
path = /users/
upstream = users
filters = one, two
[route:echo]
path = /echo/
upstream = echo
[route:files]
path = /files/
static = .
[route:hello]
path = /hello
respond = 200 hello
[route:old]
path = /old/
redirect = 308 https://example.com$uri
[filter:one]
type = noting
[filter:two]
type = noting
say = two
[filter:unused]
type = noting
"""


@attrs.frozen
class Options:
    say: str = option(text, default="", doc="How it fails.")


class Noting:
    def __init__(self, options: Options, context: FilterContext) -> None:
        self.options = options
        self.context = context

    def on_request(self, exchange: Exchange) -> Reply | None:
        return None


class Made:
    """A filter type that remembers what it made, and fails as its option says."""

    def __init__(self) -> None:
        self.filters: list[Noting] = []

    def factory(self, options: Options, context: FilterContext) -> object:
        if options.say == "mistake":
            raise ConfigMistake("does not fit", "say")
        if options.say == "section":
            raise ConfigMistake("does not fit at all")
        if options.say == "crash":
            raise ValueError("on purpose")
        if options.say == "nothing":
            return object()
        made = Noting(options, context)
        self.filters.append(made)
        return made

    @property
    def types(self) -> dict[str, FilterType]:
        return {"noting": FilterType("noting", "a test", Options, self.factory)}


def config_of(source: str) -> Config:
    return parse(source.encode(), "gw.ini", environ={}, filter_types={"noting": Options})


def build(source: str = TEXT) -> tuple[Gateway, Made, Any]:
    made, reactor = Made(), MemoryReactorClock()
    observer: Any = None
    builder = Builder(config_of(source), reactor, Keeper(), observer, {}, made.types)
    gateway = builder.build(3)
    assert not builder.mistakes
    return gateway, made, reactor


def test_everything_of_the_file_is_there() -> None:
    gateway, _, _ = build()
    assert {route.name: type(route.action) for route in gateway.routes} == {
        "users": Forward,
        "echo": Forward,
        "files": ResourceAction,
        "hello": RespondAction,
        "old": RedirectAction,
    }
    assert [upstream.name for upstream in gateway.upstreams] == ["users", "echo"]
    assert [(server.label, server.weight) for server in gateway.upstreams[0].servers] == [
        ("192.0.2.1:80", 2),
        ("unix:/run/users.sock", 1),
    ]
    assert gateway.builtins == {"echo"}
    assert (gateway.generation.number, gateway.generation.in_flight) == (3, 0)
    settings = gateway.site.settings
    assert (settings.via, settings.own_server, "10.1.2.3" in settings.trusted) == (b"edge-1", True, True)


def test_a_filter_is_made_once_and_with_its_options() -> None:
    gateway, made, reactor = build()
    assert [(each.context.name, each.options.say) for each in made.filters] == [
        ("one", ""),
        ("two", "two"),
        ("unused", ""),
    ]
    assert made.filters[0].context.reactor is reactor
    users, echo = gateway.routes[:2]
    assert not users.filters.empty and echo.filters.empty


def test_building_touches_no_network() -> None:
    _, _, reactor = build()
    assert not (reactor.tcpServers or reactor.tcpClients or reactor.unixServers or reactor.unixClients)
    assert not reactor.getDelayedCalls()


def test_closing_closes_what_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, _, _ = build()
    closed: list[bool] = []
    monkeypatch.setattr(gateway.agent, "close", lambda: closed.append(True))
    gateway.close()
    assert closed, "the gateway's own requests have connections, too"
    for upstream in gateway.upstreams:
        assert all(server.idle == 0 for server in upstream.servers)


def mistakes(source: str) -> list[str]:
    return [str(mistake) for mistake in check(config_of(source), Made().types).mistakes]


def test_a_good_file_has_no_mistakes() -> None:
    assert mistakes(TEXT) == []


HEAD = "[listen:http]\nendpoint = tcp:8080\n"


@pytest.mark.parametrize(
    ("say", "told"),
    [
        ("mistake", "gw.ini:5: [filter:f] does not fit"),
        ("section", "gw.ini:3: [filter:f] does not fit at all"),
        ("crash", "gw.ini:3: [filter:f] its factory failed: ValueError: on purpose"),
        (
            "nothing",
            "gw.ini:3: [filter:f] object provides none of the hooks on_request, on_attempt, on_response, on_done",
        ),
    ],
)
def test_a_filter_that_cannot_be_made(say: str, told: str) -> None:
    assert mistakes(f"{HEAD}[filter:f]\ntype = noting\nsay = {say}\n") == [told]


TIE = """\
[route:one]
path = /a/{id}
respond = 200
[route:two]
path = /a/{name}
respond = 200
"""


def test_routes_that_tie() -> None:
    assert mistakes(HEAD + TIE) == ["gw.ini:7: [route:two] takes the same requests as [route:one], with the same rank"]


def test_a_path_that_can_never_match() -> None:
    assert mistakes(f"{HEAD}[route:r]\npath = /a/%2e%2e/b\nrespond = 200\n") == [
        "gw.ini:4: [route:r] can never match: paths are matched without //, /./ and /../"
    ]


def test_all_mistakes_at_once_in_the_order_of_the_file() -> None:
    bad = "[filter:f]\ntype = noting\nsay = crash\n"
    found = mistakes(f"{HEAD}{TIE}filters = f\n{bad}[filter:g]\ntype = noting\nsay = mistake\n")
    assert [line.split(" ")[0] for line in found] == ["gw.ini:7:", "gw.ini:10:", "gw.ini:15:"]


ORDER = """\
[upstream:users]
servers = http://127.0.0.1:1
[upstream:again]
servers = http://127.0.0.1:2, http://127.0.0.1:1
[route:private]
upstream = users
filters =
    login
    guard
[route:public]
path = /public
upstream = again
[filter:login]
type = login
[filter:guard]
type = guard
"""


def test_what_is_probably_not_meant_so_is_a_warning_at_its_line() -> None:
    made = Made()
    login = Traits(identifies=True, costly=True, vouches_for=(b"X-User",))
    types = {
        "login": FilterType("login", "a test", Options, made.factory, traits=lambda options: login, known=True),
        "guard": FilterType("guard", "a test", Options, made.factory, traits=lambda options: Traits(cheap_guard=True)),
    }
    config = parse(f"{HEAD}{ORDER}".encode(), "gw.ini", environ={}, filter_types=dict.fromkeys(types, Options))
    checked = check(config, types)
    assert checked.mistakes == []
    guard, field = map(str, checked.warnings)
    assert guard.startswith("gw.ini:9: [route:private] guard (guard) keeps much out for little")
    assert field.startswith("gw.ini:12: [route:public] clients can send X-User to the same servers")


def test_traits_that_fail_are_a_mistake() -> None:
    made = Made()
    types = {"noting": FilterType("noting", "a test", Options, made.factory, traits=lambda options: 1 / 0)}  # type: ignore[arg-type,return-value]  # on purpose
    told = [str(each) for each in check(config_of(f"{HEAD}[filter:f]\ntype = noting\n"), types).mistakes]
    assert told == ["gw.ini:3: [filter:f] its traits failed: ZeroDivisionError: division by zero"]


def test_real_types_say_what_they_mean() -> None:
    from gwproxy.filters.registry import filter_types

    types = filter_types()
    text = (
        f"{HEAD}[upstream:u]\nservers = http://127.0.0.1:1\n"
        "[route:a]\nupstream = u\nfilters = admins, office, cookie\n"
        "[filter:admins]\ntype = require\nscopes = x\n[filter:office]\ntype = ip\ndeny = 10.0.0.0/8\n"
        "[filter:cookie]\ntype = cookie_to_header\n"
    )
    options = {name: each.options_class for name, each in types.items()}
    checked = check(parse(text.encode(), "gw.ini", environ={}, filter_types=options), types)
    assert [str(warning).partition(" (")[0] for warning in checked.warnings] == [
        "gw.ini:7: [route:a] admins",
        "gw.ini:7: [route:a] cookie",
    ]


def test_the_installed_types_are_the_default() -> None:
    source = f"{HEAD}[filter:h]\ntype = headers\n"
    from gwproxy.filters.registry import filter_types

    types = {name: each.options_class for name, each in filter_types().items()}
    config = parse(source.encode(), "gw.ini", environ={}, filter_types=types)
    assert len(check(config).mistakes) == 1


def told(source: str) -> list[str]:
    """As `gwproxy check` and twistd tell them: with the filter types that are installed."""
    types = filter_types()
    with pytest.raises(ConfigErrors) as raised:
        parse(source.encode(), "gw.ini", environ={}, filter_types={name: t.options_class for name, t in types.items()})
    return [str(mistake) for mistake in with_filters(raised.value, types).mistakes]


FAULTY = """\
[listen:http]
endpoint = tcp:8080
[store:shared]
url = redis://127.0.0.1:1/0
timeout = soon
[filter:limit]
type = rate_limit
rate = 1/s
store = shared
[filter:tokens]
type = jwt
algorithms = HS256
secret = short
"""


def test_what_filters_say_is_told_in_the_same_run_as_all_else() -> None:
    first, second = told(FAULTY)
    assert first.startswith("gw.ini:5: [store:shared] timeout = 'soon'")
    assert second.startswith("gw.ini:13: [filter:tokens] secret: is too short")


def test_a_store_that_is_there_with_a_mistake_is_not_missing_and_one_that_is_not_is() -> None:
    assert not [each for each in told(FAULTY) if "[filter:limit]" in each]
    sound = FAULTY.replace("timeout = soon\n", "").replace("store = shared", "store = sharde") + "[route:r]\nx = 1\n"
    [missing] = [each for each in told(sound) if "[filter:limit]" in each]
    assert missing == "gw.ini:8: [filter:limit] there is no such [store:NAME]; did you mean 'shared'?"


def test_a_file_that_cannot_be_read_has_no_filters() -> None:
    errors = ConfigErrors([])
    assert with_filters(errors) is errors
