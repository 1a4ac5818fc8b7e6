"""What an exchange needs of whoever makes its response."""

from __future__ import annotations

from typing import Protocol


class Producer(Protocol):
    """What makes the response: an attempt, or a resource. May be asked to wait, and told that nobody wants it."""

    def pause_response(self) -> None:
        """The client does not take it as fast as it comes."""

    def resume_response(self) -> None:
        """It goes on."""

    def cancel(self) -> None:
        """The exchange ended otherwise. Calls nothing back."""
