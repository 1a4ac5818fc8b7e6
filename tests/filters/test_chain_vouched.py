"""What filters vouch for, in a chain: the client has no say in it, and of several filters the last that knows has."""

from __future__ import annotations

import pytest

from gwproxy.filters.api import Exchange, Header
from gwproxy.filters.vouched import VouchedFields
from gwproxy.testing import FakeExchange, FilterHarness


class Vouches:
    """Says who it is, if it finds somebody."""

    vouched = VouchedFields([b"X-User"])

    def __init__(self, found: bytes = b"") -> None:
        self.found = found
        self.seen: list[Header] = []

    def on_request(self, exchange: Exchange) -> None:
        self.seen = list(exchange.headers)
        if self.found:
            self.vouched.strip(exchange.headers)
            exchange.headers.append((b"X-User", self.found))


@pytest.mark.parametrize("found", [(b"", b""), (b"ann", b""), (b"", b"bob"), (b"ann", b"bob")])
def test_what_filters_vouch_for_is_never_the_clients(found: tuple[bytes, bytes]) -> None:
    first, second = Vouches(found[0]), Vouches(found[1])
    exchange = FakeExchange(headers=[(b"X_User", b"root"), (b"x-user", b"root"), (b"Accept", b"*/*")])
    FilterHarness(first, second).run(exchange)
    assert first.seen == [(b"Accept", b"*/*")]
    said = found[1] or found[0]
    assert exchange.headers == [(b"Accept", b"*/*"), *([(b"X-User", said)] if said else [])]
