from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from gwproxy.config import ConfigMistake
from gwproxy.http.headers import get
from gwproxy.testing import FakeExchange, FilterHarness, UpstreamResponse, build_filter, run_filter


def asks_for(version: bytes) -> FakeExchange:
    return FakeExchange(headers=[(b"api-version", version)])


@pytest.fixture
def versions() -> Any:
    # By the name of its entry point, so this also tests that the package is installed as it should be.
    return build_filter("api_version", {"versions": "1, 2"})


def test_the_version_asked_for_goes_upstream_and_comes_back(versions: Any) -> None:
    played = run_filter(versions, asks_for(b"1"), UpstreamResponse(headers=[(b"ETag", b"x")]))
    assert played.sent[0].headers == [(b"Host", b"example.com"), (b"API-Version", b"1")]
    assert played.headers == [(b"ETag", b"x"), (b"API-Version", b"1")]


def test_without_one_it_is_the_newest(versions: Any) -> None:
    assert get(run_filter(versions).sent[0].headers, b"api-version") == b"2"


def test_a_version_that_does_not_exist_is_refused(versions: Any) -> None:
    played = run_filter(versions, asks_for(b"3"))
    assert played.status == 400
    assert played.reply is not None
    assert played.reply.detail == "unknown_version"
    assert played.sent == []


def test_the_counters_outlive_a_reload_and_are_told_in_time() -> None:
    clock = Clock()
    kept: dict[Any, Any] = {}
    options = {"versions": "1, 2", "report": "1m"}
    FilterHarness(build_filter("api_version", options, clock=clock, kept=kept)).run(asks_for(b"1"))
    [uses] = kept.values()
    assert uses.counts == {b"1": 1}

    reloaded = FilterHarness(build_filter("api_version", options, clock=clock, kept=kept))
    reloaded.run(asks_for(b"junk"))
    assert uses.counts == {b"1": 1, b"unknown": 1}
    clock.advance(60)
    reloaded.run()
    assert uses.counts == {}


def test_there_must_be_a_version() -> None:
    with pytest.raises(ConfigMistake):
        build_filter("api_version", {"versions": ""})
