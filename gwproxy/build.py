"""The composition root: a configuration becomes a gateway. The only module that knows all of its parts.

`check()` does everything that can fail without listening, and tells all mistakes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred, execute

from gwproxy.calls import Calls
from gwproxy.config.addresses import ServerAddress
from gwproxy.config.mistakes import ConfigErrors, ConfigMistake, Mistake
from gwproxy.config.model import Config, RouteOptions, ServerHeader, UpstreamOptions
from gwproxy.edge.pages import error_page
from gwproxy.edge.site import Site
from gwproxy.edge.static import static_action
from gwproxy.filters.api import FilterContext, Report, Traits, no_report
from gwproxy.filters.chain import FilterChain
from gwproxy.filters.order import Chain, Step, warnings
from gwproxy.filters.registry import FilterType, filter_types
from gwproxy.filters.vouched import VouchedFields
from gwproxy.http.trusted import TrustedProxies
from gwproxy.proxy.answers import RedirectAction, RespondAction
from gwproxy.proxy.forward import Forward
from gwproxy.proxy.settings import ExchangeObserver, ProxySettings
from gwproxy.routing.route import Route
from gwproxy.routing.router import Router, find_ties
from gwproxy.runtime.generation import Generation
from gwproxy.runtime.keep import Keeper
from gwproxy.runtime.meters import Meters
from gwproxy.runtime.wall import wall_clock
from gwproxy.store.redis import Store
from gwproxy.upstream.agent import UpstreamAgent
from gwproxy.upstream.client import UpstreamClient
from gwproxy.upstream.dial import Dialer
from gwproxy.upstream.server import Server, Upstream


@attrs.frozen
class Gateway:
    """What one configuration built."""

    site: Site
    generation: Generation
    upstreams: tuple[Upstream, ...]
    routes: tuple[Route, ...]
    builtins: frozenset[str]  # services inside the gateway that it uses
    agent: UpstreamAgent
    secret_parameters: frozenset[str]  # of queries: what the logs must not show
    filters: Mapping[str, object]  # by name, also those that no route uses

    def close(self) -> None:
        """Closes connections to upstreams; those in use when their exchange ends."""
        for upstream in self.upstreams:
            upstream.close()
        self.agent.close()


@attrs.frozen
class Surroundings:
    """What filters have of the process that they are in. Without any: a process in which nothing is sent or counted."""

    meters: Meters = attrs.field(factory=Meters)
    report: Report = no_report
    wall: Callable[[], float] = wall_clock
    calls: Calls = attrs.field(factory=Calls)
    in_thread: Callable[..., Deferred[Any]] = execute


class Builder:
    """Builds one configuration. Mistakes are collected, so that all are told at once; `warnings` are of what works, and
    is probably not meant so."""

    def __init__(
        self,
        config: Config,
        reactor: Any,  # all of Twisted's reactor interfaces at once
        keeper: Keeper,
        observer: ExchangeObserver,
        builtin_ports: Mapping[str, int],
        types: Mapping[str, FilterType] | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []
        self._config = config
        self._reactor = reactor
        self._keeper = keeper
        self._observer = observer
        self._builtin_ports = builtin_ports
        self._types = filter_types() if types is None else types
        self._around = surroundings or Surroundings()

    def build(self, number: int = 1) -> Gateway:
        """The gateway; of no use if there are `mistakes`."""
        config = self._config
        upstreams = {name: self._upstream(options) for name, options in config.upstreams.items()}
        agent = UpstreamAgent(lambda address: self._server(address, UpstreamOptions(servers=(address,))))
        client = UpstreamClient(agent)
        filters = self.make_filters()
        traits = self._traits()
        routes = [self._route(options, upstreams, filters, traits, client) for options in config.routes.values()]
        good = [route for route in routes if route is not None]
        for first, second in find_ties(good):
            message = f"takes the same requests as [route:{first.name}], with the same rank"
            self.mistakes.append(config.mistake("route", second.name, "path", message))
        self.warnings += [
            config.mistake("route", name, "filters", words) for name, words in warnings(self._chains(traits))
        ]
        generation = Generation(number)
        settings = ProxySettings(
            seconds=self._reactor.seconds,
            observer=self._observer,
            generation=generation,
            trusted=TrustedProxies(config.gateway.trusted_proxies),
            via=config.gateway.via.encode(),
            own_server=config.gateway.server_header is ServerHeader.OWN,
            error_page=error_page,
        )
        addresses = [address for options in config.upstreams.values() for address in options.servers]
        builtins = frozenset(address.host for address in addresses if address.kind == "builtin")
        site = Site(Router(good), settings)
        secrets = frozenset(name for each in traits.values() for name in each.secret_parameters)
        return Gateway(site, generation, tuple(upstreams.values()), tuple(good), builtins, agent, secrets, filters)

    def _upstream(self, options: UpstreamOptions) -> Upstream:
        return Upstream(options, [self._server(address, options) for address in options.servers])

    def _server(self, address: ServerAddress, options: UpstreamOptions) -> Server:
        dialer = Dialer(address, self._reactor, options.connect_timeout, options.resolve_interval, self._builtin_ports)
        return Server(address, options, dialer, self._reactor)

    def _stores(self) -> dict[str, Store]:
        meters = self._around.meters
        return {
            name: self._keeper.keep(("store", options), partial(Store, options, self._reactor, meters))
            for name, options in self._config.stores.items()
        }

    def _traits(self) -> dict[str, Traits]:
        """What each filter says of itself, by name."""
        said: dict[str, Traits] = {}
        for name, section in self._config.filters.items():
            try:
                said[name] = self._types[section.type].traits(section.options)
            except Exception as error:  # whoever wrote that type
                said[name] = Traits()
                message = f"its traits failed: {type(error).__name__}: {error}"
                self.mistakes.append(self._config.mistake("filter", name, None, message))
        return said

    def _chains(self, traits: Mapping[str, Traits]) -> Iterator[Chain]:
        """The filters of each route, with what they mean for each other."""
        types = {name: section.type for name, section in self._config.filters.items()}
        steps = {name: Step(name, type_, traits[name], self._types[type_].known) for name, type_ in types.items()}
        for name, options in self._config.routes.items():
            servers = self._config.upstreams[options.upstream].servers if options.upstream else ()
            yield Chain(
                name,
                tuple(steps[each] for each in options.filters),
                frozenset(server.label for server in servers),
                # The GET of a WebSocket is not the end of it.
                frozenset() if options.websocket else frozenset(options.methods),
            )

    def make_filters(self) -> dict[str, object]:
        """The filters by name, without those that have mistakes."""
        made: dict[str, object] = {}
        around = self._around
        shared = FilterContext(
            name="",
            reactor=self._reactor,
            keep=self._keeper.keep,
            meters=around.meters,
            report=around.report,
            wall=around.wall,
            calls=around.calls,
            stores=self._stores(),
            state_dir=self._config.gateway.state_dir,
            in_thread=around.in_thread,
        )
        for name, section in self._config.filters.items():
            context = attrs.evolve(shared, name=name)
            try:
                made[name] = self._types[section.type].factory(section.options, context)
                FilterChain([(name, made[name])])  # says what is wrong with it, whether or not a route uses it
            except ConfigMistake as mistake:
                self.mistakes.append(self._config.mistake("filter", name, mistake.key, str(mistake)))
            except Exception as error:
                message = f"its factory failed: {type(error).__name__}: {error}"
                self.mistakes.append(self._config.mistake("filter", name, None, message))
        return made

    def _route(
        self,
        options: RouteOptions,
        upstreams: Mapping[str, Upstream],
        filters: Mapping[str, object],
        traits: Mapping[str, Traits],
        client: UpstreamClient,
    ) -> Route | None:
        try:
            route = Route(options)
        except ValueError as error:
            self.mistakes.append(self._config.mistake("route", options.name, "path", str(error)))
            return None
        if all(name in filters for name in options.filters) and not self.mistakes:
            route.filters = FilterChain([(name, filters[name]) for name in options.filters])
        if options.static is not None:
            route.action = static_action(options.static, options.path.value)
        elif options.respond is not None:
            route.action = RespondAction(options.respond)
        elif options.redirect is not None:
            route.action = RedirectAction(options.redirect)
        else:
            said = [traits[name] for name in options.filters]
            guarded = VouchedFields(name for each in said for name in (*each.vouches_for, *each.removes, *each.judges))
            route.action = Forward(options, upstreams[options.upstream], client, guarded)
        return route


@attrs.frozen
class Checked:
    """What a build found: what is wrong, and what is probably not meant so. Both in the order of the file."""

    mistakes: list[Mistake]
    warnings: list[Mistake]


def check(config: Config, types: Mapping[str, FilterType] | None = None) -> Checked:
    """What is wrong with a configuration that parses: filters that cannot be made, routes that tie. Listens nowhere."""
    from twisted.internet.task import Clock

    builder = Builder(config, Clock(), Keeper(), _NoObserver(), {}, types)
    builder.build()
    return Checked(_in_order(builder.mistakes), _in_order(builder.warnings))


def with_filters(errors: ConfigErrors, types: Mapping[str, FilterType] | None = None) -> ConfigErrors:
    """`errors`, and what the filters say that were read without a mistake: all is told in one run."""
    from twisted.internet.task import Clock

    config: Config | None = errors.rest
    if config is None:
        return errors
    builder = Builder(config, Clock(), Keeper(), _NoObserver(), {}, types)
    builder.make_filters()
    # A store that is there, with a mistake of its own, is not missing.
    faulty = any(kind == "store" and name not in config.stores for kind, name, _ in config.places)
    about_stores = {config.place("filter", name, "store") for name in config.filters} if faulty else set()
    return ConfigErrors([*errors.mistakes, *(each for each in builder.mistakes if each.place not in about_stores)])


def _in_order(found: list[Mistake]) -> list[Mistake]:
    return sorted(found, key=lambda mistake: mistake.place.line)


class _NoObserver:
    def exchange_finished(self, exchange: object) -> None:
        """Nothing is served."""
