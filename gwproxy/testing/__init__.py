"""For authors of filters: an exchange without sockets, and a harness that plays it through filters.

    def test_a_version_that_does_not_exist_is_refused():
        versions = build_filter("api_version", {"versions": "1, 2"})
        played = run_filter(versions, FakeExchange(headers=[(b"API-Version", b"3")]))
        assert played.status == 400

The filters run in the gateway's own chain, so that order, replies and waiting are the real ones. What lies around the
chain is played: there is one attempt after another with nothing on the wire, and error pages have no body.
"""

from __future__ import annotations

from gwproxy.testing.exchange import FakeExchange
from gwproxy.testing.harness import FilterHarness, Played, UpstreamResponse, run_filter
from gwproxy.testing.surroundings import FakeCalls, Surroundings, build_filter, parse_options

__all__ = [
    "FakeCalls",
    "FakeExchange",
    "FilterHarness",
    "Played",
    "Surroundings",
    "UpstreamResponse",
    "build_filter",
    "parse_options",
    "run_filter",
]
