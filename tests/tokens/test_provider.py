"""Where keys are asked for: at a URL, or where the discovery document of an issuer says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.task import Clock

from gwproxy.calls import Answer, CallFailed
from gwproxy.testing import FakeCalls
from gwproxy.tokens.provider import DISCOVERY_AGE, Fetched, FetchFailed, Provider

ISSUER = "https://idp.example.com/realm"
CONFIGURATION = f"{ISSUER}/.well-known/openid-configuration"
KEYS = "https://keys.example.com/jwks"


def discovery(**members: Any) -> Answer:
    return Answer(200, [], json.dumps({"issuer": ISSUER, "jwks_uri": KEYS, **members}).encode())


def provider(calls: FakeCalls, clock: Clock | None = None, issuer: str = ISSUER) -> Provider:
    return Provider(calls, (clock or Clock()).seconds, issuer=issuer, timeout=5.0)


def result(fetching: Any) -> Any:
    """What came of it: a Fetched, or a FetchFailed."""
    results: list[Any] = []
    fetching.addBoth(results.append)
    assert results, "still waiting"
    return getattr(results[0], "value", results[0])


def test_the_issuer_says_where_its_keys_are() -> None:
    calls = FakeCalls({CONFIGURATION: [discovery()], KEYS: [Answer(200, [(b"cache-control", b"max-age=9")], b"{}")]})
    assert result(provider(calls).fetch()) == Fetched({}, 9.0)
    assert [asked.url for asked in calls.asked] == [CONFIGURATION, KEYS]


def test_a_slash_at_the_end_of_an_issuer_belongs_to_it_and_not_to_the_address() -> None:
    """OpenID Connect Discovery section 4.1."""
    calls = FakeCalls({CONFIGURATION: [discovery(issuer=f"{ISSUER}/")], KEYS: [Answer(200, [], b"{}")]})
    assert result(provider(calls, issuer=f"{ISSUER}/").fetch()) == Fetched({}, None)


def test_where_they_are_is_asked_again_after_an_hour_or_a_failure() -> None:
    clock = Clock()
    good = Answer(200, [], b"{}")
    calls = FakeCalls({CONFIGURATION: [discovery()] * 3, KEYS: [good, good, good, Answer(404, [], b""), good]})
    asking = provider(calls, clock)

    def discoveries() -> int:
        return [asked.url for asked in calls.asked].count(CONFIGURATION)

    result(asking.fetch())
    clock.advance(DISCOVERY_AGE - 1)
    result(asking.fetch())
    assert discoveries() == 1
    clock.advance(1)
    result(asking.fetch())
    assert discoveries() == 2
    assert isinstance(result(asking.fetch()), FetchFailed)
    assert discoveries() == 2
    assert isinstance(result(asking.fetch()), Fetched)
    assert discoveries() == 3


@pytest.mark.parametrize(
    "members",
    [
        {"issuer": "https://idp.example.com"},
        {"issuer": f"{ISSUER}/"},
        {"issuer": ISSUER.upper()},
        {"issuer": None},
        {"issuer": [ISSUER]},
        {"jwks_uri": None},
        {"jwks_uri": ""},
        {"jwks_uri": ["https://keys.example.com/jwks"]},
        {"jwks_uri": "http://keys.example.com/jwks"},
        {"jwks_uri": "http://127.0.0.1:8500/jwks"},
        {"jwks_uri": "http://localhost/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "/jwks"},
        {"jwks_uri": "https://a:b@keys.example.com/jwks"},
    ],
)
def test_a_document_that_may_be_anothers_is_not_followed(members: dict[str, Any]) -> None:
    calls = FakeCalls({CONFIGURATION: [discovery(**members)], KEYS: [Answer(200, [], b"{}")]})
    failed = result(provider(calls).fetch())
    assert isinstance(failed, FetchFailed) and failed.outcome == "discovery"
    assert len(calls.asked) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"<html>", b"[" * 100_000, b'{"issuer"'])
def test_what_is_no_document(body: bytes) -> None:
    failed = result(provider(FakeCalls({CONFIGURATION: [Answer(200, [], body)]})).fetch())
    assert isinstance(failed, FetchFailed) and failed.outcome == "discovery"


@pytest.mark.parametrize("status", [204, 301, 302, 404, 500])
def test_only_a_200_has_keys(status: int) -> None:
    calls = FakeCalls({CONFIGURATION: [Answer(status, [(b"Location", KEYS.encode())], discovery().body)]})
    failed = result(provider(calls).fetch())
    assert isinstance(failed, FetchFailed) and failed.outcome == "status"
    assert len(calls.asked) == 1


@pytest.mark.parametrize("why", ["timeout", "connect", "broken", "too_large"])
def test_a_call_that_fails(why: str) -> None:
    failed = result(provider(FakeCalls({CONFIGURATION: [CallFailed(why)]})).fetch())
    assert isinstance(failed, FetchFailed) and failed.outcome == why


class Recording(FakeCalls):
    """Also takes down how each call may go about it."""

    def __init__(self) -> None:
        super().__init__()
        self.options: list[dict[str, Any]] = []

    def request(self, method: str, url: str, **options: Any) -> Any:
        self.options.append(options)
        return super().request(method, url, **options)


def test_both_calls_share_one_deadline_and_each_has_a_bound() -> None:
    clock, calls = Clock(), Recording()
    fetching = provider(calls, clock).fetch()
    clock.advance(3)
    calls.asked[0].answered.callback(discovery())
    assert [options["timeout"] for options in calls.options] == [5.0, 2.0]
    assert [options["max_size"] for options in calls.options] == [256 << 10] * 2
    calls.asked[1].answered.callback(Answer(200, [], b"{}"))
    assert isinstance(result(fetching), Fetched)


def test_a_document_that_took_all_the_time_leaves_none_for_the_keys() -> None:
    clock, calls = Clock(), Recording()
    fetching = provider(calls, clock).fetch()
    clock.advance(5)
    calls.asked[0].answered.callback(discovery())
    failed = result(fetching)
    assert isinstance(failed, FetchFailed) and failed.outcome == "timeout"
    assert len(calls.asked) == 1
