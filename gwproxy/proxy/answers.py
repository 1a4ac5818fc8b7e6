"""Actions of routes that the gateway answers itself: a fixed reply, a redirect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gwproxy.config.routes import Redirect, Respond
from gwproxy.errors import Reason
from gwproxy.filters.api import Reply
from gwproxy.http.target import safe_location

if TYPE_CHECKING:
    from gwproxy.proxy.exchange import Exchange

_URI = "$uri"


class RespondAction:
    """Answers with what the configuration says."""

    __slots__ = ("_reply",)

    def __init__(self, respond: Respond) -> None:
        self._reply = Reply(respond.status, [], respond.body, reason=Reason.RESPOND)

    def begin(self, exchange: Exchange) -> None:
        """Replies at once."""
        exchange.reply(self._reply)


class RedirectAction:
    """Redirects to a fixed place, or to the same path and query elsewhere (`$uri`)."""

    __slots__ = ("_after", "_before", "_keeps_uri", "_own_path", "_status")

    def __init__(self, redirect: Redirect) -> None:
        before, mark, after = redirect.location.partition(_URI)
        self._status = redirect.status
        self._before = before.encode()
        self._after = after.encode()
        self._keeps_uri = bool(mark)
        # Nothing before it: then the path decides where the client goes, and `//evil` would be a host (N13).
        self._own_path = not before

    def begin(self, exchange: Exchange) -> None:
        """Replies at once."""
        location = self._before
        if self._keeps_uri:
            target = exchange.request.target
            uri = target.raw_path + (b"?" + target.query if target.has_query else b"")
            if self._own_path or uri.startswith(b"//"):
                uri = safe_location(uri)
            location += uri + self._after
        exchange.reply(Reply(self._status, [(b"Location", location)], b"", reason=Reason.REDIRECT))
