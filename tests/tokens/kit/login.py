"""The filter `jwt`, and requests with tokens."""

from __future__ import annotations

from typing import Any

from gwproxy.filters import jwt
from gwproxy.filters.api import Header
from gwproxy.testing import FakeExchange, FilterHarness, Surroundings, build_filter
from gwproxy.testing.harness import Played
from tests.tokens.kit.forge import SECRET


def build(around: Surroundings, **options: str) -> Any:
    """The filter; of HS256, unless `options` say otherwise."""
    if "algorithms" not in options:
        options = {"algorithms": "HS256", "secret": SECRET.decode(), **options}
    return build_filter(jwt, options, around=around)


def ask(filter_object: Any, given: bytes | None, *headers: Header) -> Played:
    """A request with this bearer token, and more headers."""
    fields = [] if given is None else [(b"Authorization", b"Bearer " + given)]
    played = FilterHarness(filter_object).run(FakeExchange(headers=[*fields, *headers]))
    assert played.failure is None
    return played


def verdict(played: Played) -> str:
    """`allowed`, or the reason of a denial."""
    assert not played.waiting
    return "allowed" if played.reply is None else played.reply.detail
