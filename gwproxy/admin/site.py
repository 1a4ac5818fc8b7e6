"""The admin site: a stock twisted.web site over the pages, for any stream endpoint (tcp:, unix:).

It has no access control of its own: its endpoint is for the operators' network, and off unless it is configured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IReactorTime
from twisted.web.http import Request
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from gwproxy.admin.resources import Health, MetricsPage, Missing, Readiness, StatePage
from gwproxy.admin.state import routes_shown, upstreams_shown
from gwproxy.observe.finished import RouteLabels
from gwproxy.observe.metrics import UpstreamState


class AdminSite(Site):
    """Answers without saying what it runs on, and logs nothing: a scrape every few seconds is no news."""

    noisy = False

    def __init__(self, root: IResource, reactor: IReactorTime) -> None:
        super().__init__(root, parsePOSTFormSubmission=False, reactor=reactor)  # type: ignore[no-untyped-call]  # as below

    def getResourceFor(self, request: IRequest) -> IResource:
        """The page for a request."""
        request.responseHeaders.removeHeader(b"server")
        resource: IResource = super().getResourceFor(request)  # type: ignore[no-untyped-call]  # twisted.web is untyped here
        return resource

    def log(self, request: Request) -> None:
        """Not in any log."""


class Root(Resource):
    """Holds the pages by name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # twisted.web is untyped here

    def getChild(self, path: bytes, request: IRequest) -> IResource:
        """For every path that is no page, `/` included."""
        return Missing()


def admin_site(
    reactor: IReactorTime,
    exposition: Callable[[str], tuple[bytes, str]],
    *,
    not_ready: Callable[[], Iterable[str]],
    upstreams: Callable[[], Iterable[UpstreamState]] = tuple,
    routes: Callable[[], Iterable[RouteLabels]] = tuple,
) -> AdminSite:
    """The site, to be listened for. `exposition` is Metrics.exposition; `not_ready` gives the reasons why no traffic
    should come (none: ready); `upstreams` and `routes` give what serves now."""
    root = Root()
    root.putChild(b"healthz", Health())
    root.putChild(b"readyz", Readiness(not_ready))
    root.putChild(b"metrics", MetricsPage(exposition))
    root.putChild(b"upstreams", StatePage(lambda: upstreams_shown(upstreams())))
    root.putChild(b"routes", StatePage(lambda: routes_shown(routes())))
    return AdminSite(root, reactor)
