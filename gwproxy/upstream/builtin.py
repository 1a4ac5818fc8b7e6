"""Services inside the gateway, for trying it out: `builtin:echo` answers with what it received, as JSON.

A service is an ordinary twisted.web site on a loopback port of its own, so that what reaches it has gone the whole way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet.interfaces import IListeningPort
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

# How much of a body is shown.
SHOWN: Final = 64 * 1024


class Echo(Resource):
    """Answers every request with what it was."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """200 and a JSON object."""
        content: Any = request.content
        body = content.read(SHOWN)
        length = content.seek(0, 2)
        answer = {
            "method": request.method.decode("latin-1"),
            "target": request.uri.decode("latin-1"),
            "headers": [
                [name.decode("latin-1"), value.decode("latin-1")]
                for name, values in request.requestHeaders.getAllRawHeaders()
                for value in values
            ],
            "body": body.decode("utf-8", "replace"),
            "body_bytes": length,
        }
        text = json.dumps(answer, indent=2).encode() + b"\n"
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Content-Length", b"%d" % len(text))
        return b"" if request.method == b"HEAD" else text


SERVICES: Final[dict[str, Callable[[], IResource]]] = {"echo": Echo}


class _Site(Site):
    """Says nothing of its own: the gateway has logged the exchange."""

    noisy = False
    displayTracebacks = False

    def log(self, request: Any) -> None:
        """Nothing."""


class BuiltinServices:
    """The services that a configuration uses; `ports` is what dialers read."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self._listening: list[IListeningPort] = []

    def listen(self, names: Iterable[str], reactor: Any) -> None:
        """Starts each service once."""
        for name in names:
            if name not in self.ports:
                site = _Site(SERVICES[name](), parsePOSTFormSubmission=False, reactor=reactor)
                port = reactor.listenTCP(0, site, interface="127.0.0.1")
                self._listening.append(port)
                self.ports[name] = port.getHost().port

    def stop(self) -> None:
        """Listens no more."""
        listening, self._listening = self._listening, []
        self.ports.clear()
        for port in listening:
            port.stopListening()
