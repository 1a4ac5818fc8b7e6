"""What the admin site answers: one small resource a page.

Rules: GET and HEAD only; nothing waits; what is shown comes from callables, so that a page shows the generation that
serves now.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"

_ALLOWED = (b"GET", b"HEAD")


class Page(Resource):
    """A page without children. Subclasses say what it holds."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # twisted.web is untyped here

    def render(self, request: IRequest) -> bytes:
        """Answer GET and HEAD, refuse the rest (RFC 9110 section 15.5.6)."""
        if request.method not in _ALLOWED:
            request.setHeader(b"allow", b", ".join(_ALLOWED))
            status, content_type, body = 405, TEXT, b"only GET and HEAD\n"
        else:
            status, content_type, body = self.content(request)
        request.setResponseCode(status)
        request.setHeader(b"content-type", content_type)
        request.setHeader(b"content-length", b"%d" % len(body))
        request.setHeader(b"cache-control", b"no-store")
        request.setHeader(b"x-content-type-options", b"nosniff")
        return b"" if request.method == b"HEAD" else body

    def content(self, request: IRequest) -> tuple[int, bytes, bytes]:
        """Status, content type and body."""
        raise NotImplementedError


class Missing(Page):
    """Every path that is no page."""

    def content(self, request: IRequest) -> tuple[int, bytes, bytes]:
        """404."""
        return 404, TEXT, b"no such page\n"


class Health(Page):
    """/healthz: 200 as long as the event loop turns."""

    def content(self, request: IRequest) -> tuple[int, bytes, bytes]:
        """That this answers is all there is to say."""
        return 200, TEXT, b"ok\n"


class Readiness(Page):
    """/readyz: 200 if traffic may be sent here, else 503 and why not."""

    def __init__(self, not_ready: Callable[[], Iterable[str]]) -> None:
        """`not_ready`: what keeps the gateway from serving ("starting", "draining"); nothing when it is ready."""
        super().__init__()
        self._not_ready = not_ready

    def content(self, request: IRequest) -> tuple[int, bytes, bytes]:
        """One reason a line."""
        reasons = list(self._not_ready())
        if reasons:
            return 503, TEXT, "".join(f"{reason}\n" for reason in reasons).encode()
        return 200, TEXT, b"ready\n"


class MetricsPage(Page):
    """/metrics: for Prometheus."""

    def __init__(self, exposition: Callable[[str], tuple[bytes, str]]) -> None:
        """`exposition`: from the Accept header's value to body and content type."""
        super().__init__()
        self._exposition = exposition

    def content(self, request: IRequest) -> tuple[int, bytes, bytes]:
        """All metrics, in the format that the scraper prefers."""
        accept = request.getHeader(b"accept") or b""
        body, content_type = self._exposition(accept.decode("latin-1"))
        return 200, content_type.encode("ascii"), body


class StatePage(Page):
    """State as JSON."""

    def __init__(self, state: Callable[[], object]) -> None:
        """`state`: what to show, of dicts, lists, strings and numbers."""
        super().__init__()
        self._state = state

    def content(self, request: IRequest) -> tuple[int, bytes, bytes]:
        """Indented: it is read by people, too."""
        return 200, JSON, json.dumps(self._state(), indent=2).encode("ascii") + b"\n"
