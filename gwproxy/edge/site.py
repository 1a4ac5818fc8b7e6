"""The resource tree: hosts, then routes, are resources; the matched leaf renders.

The tree is a real twisted.web tree, walked in two steps instead of one per path segment: the root gives the host's
resource, and that gives the route's, by the whole normalised path. What a route mounts (static files) is walked below
it in Twisted's own way.
"""

from __future__ import annotations

from typing import Final

from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from gwproxy.edge.request import EdgeRequest
from gwproxy.errors import ClientError, GatewayError, Reason
from gwproxy.filters.api import Reply
from gwproxy.http.headers import Headers, get
from gwproxy.proxy.exchange import Exchange
from gwproxy.proxy.settings import ProxySettings
from gwproxy.routing.route import Route
from gwproxy.routing.router import HostRoutes, Router

ALLOW_ALL: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


@implementer(IResource)
class _Inner:
    """A resource that only leads to others."""

    isLeaf = False
    server = None

    def __init__(self, settings: ProxySettings) -> None:
        self.settings = settings

    def getChildWithDefault(self, name: bytes, request: EdgeRequest) -> IResource:
        """The resource of that name."""
        raise NotImplementedError

    def putChild(self, path: bytes, child: IResource) -> None:
        """The tree is made of the configuration, at once."""
        raise NotImplementedError("routes are not added one by one")

    def render(self, request: EdgeRequest) -> int:
        """What leads to others is no answer itself."""
        return NoRoute(self.settings).render(request)


class RootResource(_Inner):
    """All hosts."""

    def __init__(self, router: Router, settings: ProxySettings) -> None:
        super().__init__(settings)
        self._router = router
        self._hosts: dict[HostRoutes, HostResource] = {}

    def getChildWithDefault(self, name: bytes, request: EdgeRequest) -> HostResource:
        """The resource of host `name`."""
        routes = self._router.host(name)
        host = self._hosts.get(routes)
        if host is None:
            host = self._hosts[routes] = HostResource(routes, self.settings)
        return host


class HostResource(_Inner):
    """The routes of one host."""

    def __init__(self, routes: HostRoutes, settings: ProxySettings) -> None:
        super().__init__(settings)
        self._routes = routes
        self._leaves: dict[Route, RouteResource] = {}
        self._no_route = NoRoute(settings)

    def getChildWithDefault(self, path: bytes, request: EdgeRequest) -> Leaf:
        """The resource of the route that takes `path`, which is the whole of it."""
        if request.method == b"OPTIONS":
            found = options_route(self._routes, path, request.head.headers)
        else:
            found = self._routes.match(path, request.method)
        if isinstance(found, Route):
            leaf = self._leaves.get(found)
            if leaf is None:
                leaf = self._leaves[found] = RouteResource(found, self.settings)
            return leaf
        if found is None:
            return self._no_route
        return WrongMethod(self.settings, found)


def options_route(routes: HostRoutes, path: bytes, headers: Headers) -> Route | frozenset[bytes] | None:
    """As HostRoutes.match() for OPTIONS. A CORS preflight goes to the route that it asks about, where a filter of it
    answers that: the one of the method that is to follow, whether or not it takes OPTIONS (Fetch standard,
    CORS-preflight fetch)."""
    wanted = get(headers, b"access-control-request-method")
    if wanted is not None and get(headers, b"origin") is not None:
        found = routes.match(path, wanted)
        if isinstance(found, Route) and found.filters.answers_preflight:
            return found
    return routes.match(path, b"OPTIONS")


@implementer(IResource)
class Leaf:
    """A resource that answers."""

    isLeaf = True
    server = None

    def __init__(self, settings: ProxySettings) -> None:
        self.settings = settings

    def getChildWithDefault(self, name: bytes, request: EdgeRequest) -> Leaf:
        """A leaf has none."""
        return self

    def putChild(self, path: bytes, child: IResource) -> None:
        """A leaf has none."""
        raise NotImplementedError("a leaf has no children")

    def render(self, request: EdgeRequest) -> int:
        """Answers, now or later."""
        raise NotImplementedError


class RouteResource(Leaf):
    """One route."""

    def __init__(self, route: Route, settings: ProxySettings) -> None:
        super().__init__(settings)
        self._route = route

    def render(self, request: EdgeRequest) -> int:
        """Begins the exchange."""
        begin(request, self._route, self.settings).start()
        return NOT_DONE_YET


class NoRoute(Leaf):
    """404: nothing matches."""

    def render(self, request: EdgeRequest) -> int:
        """Replies."""
        begin(request, None, self.settings).reply(Reply(404, reason=Reason.NO_ROUTE))
        return NOT_DONE_YET


class WrongMethod(Leaf):
    """405: the path is there, and not for this method (RFC 9110 section 15.5.6)."""

    def __init__(self, settings: ProxySettings, allowed: frozenset[bytes]) -> None:
        super().__init__(settings)
        self._allow = b", ".join(sorted(allowed))

    def render(self, request: EdgeRequest) -> int:
        """Replies."""
        begin(request, None, self.settings).reply(Reply(405, [(b"Allow", self._allow)], reason=Reason.METHOD))
        return NOT_DONE_YET


class ServerOptions(Leaf):
    """`OPTIONS *`: what the gateway as such can (RFC 9110 section 9.3.7)."""

    def render(self, request: EdgeRequest) -> int:
        """Replies."""
        begin(request, None, self.settings).reply(Reply(204, [(b"Allow", ALLOW_ALL)], b"", reason=Reason.RESPOND))
        return NOT_DONE_YET


def begin(request: EdgeRequest, route: Route | None, settings: ProxySettings) -> Exchange:
    """The exchange of a request; from now on its connection tells it what happens."""
    channel = request.channel
    exchange = channel.exchange = Exchange(request, channel, route, settings)
    return exchange


class Site:
    """The tree of one generation, and what its channels do with requests."""

    def __init__(self, router: Router, settings: ProxySettings) -> None:
        self.settings = settings
        self.root = RootResource(router, settings)
        self._server_options = ServerOptions(settings)

    def request_received(self, request: EdgeRequest) -> None:
        """A judged head is complete; its body may still be coming."""
        target = request.target
        if target.asterisk:
            self._server_options.render(request)
            return
        host = self.root.getChildWithDefault(request.host_name, request)
        host.getChildWithDefault(target.path, request).render(request)

    def request_refused(self, request: EdgeRequest, error: GatewayError) -> None:
        """A request that is refused before it is routed: answered, logged and counted all the same."""
        exchange = begin(request, None, self.settings)
        if isinstance(error, ClientError) and error.status == 405:
            exchange.detail = error.detail
            exchange.reply(Reply(405, [(b"Allow", ALLOW_ALL)], reason=Reason.METHOD))
        else:
            exchange.fail(error)
