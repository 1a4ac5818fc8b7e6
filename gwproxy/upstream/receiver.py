"""Who receives a response from an upstream connection."""

from __future__ import annotations

from typing import Protocol

from gwproxy.errors import GatewayError
from gwproxy.http.headers import Headers
from gwproxy.http.response import ResponseHead


class Receiver(Protocol):
    """Who sent a request and wants its response. The end and the failure are final; one of them comes, and once."""

    def response_informational(self, head: ResponseHead) -> None:
        """A 1xx other than 101."""

    def response_head(self, head: ResponseHead, length: int | None) -> None:
        """The final response's head; `length` of its body, None if only its end will tell."""

    def response_data(self, data: bytes) -> None:
        """A piece of the body."""

    def response_flush(self) -> None:
        """All that one read brought is told: pass it on now."""

    def response_end(self, trailers: Headers) -> None:
        """The response is complete. The connection is no longer the receiver's."""

    def response_failed(self, error: GatewayError) -> None:
        """There will be no more of it. The connection is closed."""

    def upload_pause(self) -> None:
        """The server does not take the body as fast as it comes: write no more of it."""

    def upload_resume(self) -> None:
        """It goes on."""
