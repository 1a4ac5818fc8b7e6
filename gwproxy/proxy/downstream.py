"""What an exchange needs of the client's side. The edge provides it; the proxy knows no sockets."""

from __future__ import annotations

from typing import Protocol

from gwproxy.http.forwarded import PeerForwarding
from gwproxy.http.headers import Headers
from gwproxy.http.request import RequestHead
from gwproxy.http.target import Target


class BodySink(Protocol):
    """Where a request body goes as it arrives."""

    def body_data(self, data: bytes) -> None:
        """A piece, decoded."""

    def body_end(self, trailers: Headers) -> None:
        """The body is whole."""


class Request(Protocol):
    """One request, judged."""

    head: RequestHead
    target: Target
    host_name: bytes  # lower case, without port: for matching


class Downstream(Protocol):
    """The client's connection. No method calls back into the exchange before it returns, but start_body(), which sends
    what is there, and write(), which may pause the response."""

    scheme: bytes
    peer: PeerForwarding
    peer_trusted: bool

    def body_complete(self) -> bool:
        """Whether the request is read to its end."""

    def body_at_hand(self) -> bool:
        """Reads and drops what has arrived of a body that nobody wants; whether that was all of it."""

    def start_body(self, sink: BodySink) -> None:
        """Sends the body to `sink` from now on: at once what has arrived, then what comes."""

    def pause_body(self) -> None:
        """The sink cannot take more for now."""

    def resume_body(self) -> None:
        """It can again."""

    def limit_wait(self, seconds: float) -> None:
        """Calls the exchange's timed_out() so long after the request was whole, if no response has begun. 0: never."""

    def write(self, data: bytes) -> None:
        """Bytes of the response, as they go on the wire."""

    def response_done(self, keep_alive: bool) -> None:
        """The response is written whole; the connection takes the next request, or is closed in order."""

    def break_off(self) -> None:
        """Sends what is written and then resets the connection, so that nobody takes it for a whole response."""

    def abort(self) -> None:
        """Cuts the connection at once."""
