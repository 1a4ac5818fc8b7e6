"""The filter `api_key`: who gets in, what goes no further, what the operator is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent

from gwproxy.config import ConfigMistake
from gwproxy.config.mistakes import BadValue
from gwproxy.filters import api_key
from gwproxy.filters.api import Header, Principal
from gwproxy.filters.key_file import make_key, written
from gwproxy.testing import FakeExchange, FilterHarness, Surroundings, build_filter, parse_options, run_filter
from gwproxy.testing.harness import Played

ROOT = Path(__file__).parents[2]


class Keys:
    """A file with two keys, a live one and one that expired; and a filter that reads it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys.ini"
        self.around = Surroundings()
        claims: dict[str, str | list[str]] = {"plan": "gold", "role": ["reader", "writer"]}
        self.key, self.live = make_key("acme", self.around.epoch + 60, claims)
        self.old_key, self.expired = make_key("gone", self.around.epoch)
        self.write(written(self.live) + written(self.expired))

    def write(self, text: str) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, self.file)

    def build(self, **options: str) -> Any:
        return build_filter(api_key, {"file": str(self.file), **options}, around=self.around)

    def ask(self, *headers: Header, target: bytes = b"/", attempts: int = 1, **options: str) -> Played:
        return run_filter(self.build(**options), FakeExchange(target=target, headers=headers), attempts=attempts)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def check_denied(keys: Keys, played: Played, reason: str) -> None:
    """401 with a challenge, told and counted, and nothing went upstream."""
    assert played.status == 401
    assert played.header(b"www-authenticate") == b'ApiKey realm="api"'
    assert played.reply is not None
    assert played.reply.detail == reason
    assert played.sent == []
    assert played.exchange.principal is None
    assert [event["reason"] for event in keys.around.events] == [reason]
    assert keys.around.events[0]["event"] == "auth_failed"
    assert keys.around.decisions() == {("deny", "enforce"): 1}


def test_a_key_lets_in_and_goes_no_further(keys: Keys) -> None:
    played = keys.ask((b"x-api-KEY", keys.key.encode()), (b"Accept", b"*/*"), (b"X_Api_Key", b"twin"))
    assert played.status == 200
    assert played.sent[0].headers == [(b"Host", b"example.com"), (b"Accept", b"*/*")]
    claims = {"sub": "acme", "key_id": keys.live.id, "plan": "gold", "role": ["reader", "writer"]}
    assert played.exchange.principal == Principal("acme", claims, method="api_key")
    assert keys.around.decisions() == {("allow", "enforce"): 1}
    assert keys.around.events == []


def test_no_key(keys: Keys) -> None:
    check_denied(keys, keys.ask((b"X_API_KEY", keys.key.encode())), "no_credentials")


@pytest.mark.parametrize("value", [b"", b"nonsense", b"gw_", b"\xff\xfe", b"x" * 10_000, b"Bearer x"])
def test_an_unknown_key(keys: Keys, value: bytes) -> None:
    check_denied(keys, keys.ask((b"X-API-Key", value)), "key_unknown")


def test_the_id_alone_is_no_key(keys: Keys) -> None:
    check_denied(keys, keys.ask((b"X-API-Key", keys.key[:-1].encode())), "key_unknown")


def test_an_expired_key(keys: Keys) -> None:
    check_denied(keys, keys.ask((b"X-API-Key", keys.old_key.encode())), "key_expired")


def test_a_key_expires_while_the_gateway_runs(keys: Keys) -> None:
    built = keys.build()
    headers = [(b"X-API-Key", keys.key.encode())]
    assert run_filter(built, FakeExchange(headers=headers)).status == 200
    keys.around.clock.advance(59.5)
    assert run_filter(built, FakeExchange(headers=headers)).status == 200
    keys.around.clock.advance(0.5)
    assert run_filter(built, FakeExchange(headers=headers)).status == 401


def test_of_an_expired_key_strangers_hear_nothing(keys: Keys) -> None:
    check_denied(keys, keys.ask((b"X-API-Key", keys.old_key[:-1].encode())), "key_unknown")


def test_several_keys(keys: Keys) -> None:
    header = (b"X-API-Key", keys.key.encode())
    check_denied(keys, keys.ask(header, header), "several_credentials")


@pytest.mark.parametrize("target", [b"/?key=%s&key=%s", b"/?k%%65y=%s&key=%s"])
def test_several_keys_in_the_query(keys: Keys, target: bytes) -> None:
    key = keys.key.encode()
    check_denied(keys, keys.ask(target=target % (key, key), query="key"), "several_credentials")


def test_one_in_the_header_and_one_in_the_query(keys: Keys) -> None:
    key = keys.key.encode()
    check_denied(keys, keys.ask((b"X-API-Key", key), target=b"/?key=" + key, query="key"), "several_credentials")


# In the query


def test_the_query_counts_only_where_the_options_say_so(keys: Keys) -> None:
    check_denied(keys, keys.ask(target=b"/?key=" + keys.key.encode()), "no_credentials")


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"/a%%2fb?key=%s", b"/a%2fb"),
        (b"/a?%%6bey=%s", b"/a"),
        (b"/a?x=%%7e&key=%s&y=+&", b"/a?x=%7e&y=+&"),
        (b"/a?Key=1&key=%s", b"/a?Key=1"),
    ],
)
def test_a_key_in_the_query_is_cut_out(keys: Keys, target: bytes, sent: bytes) -> None:
    played = keys.ask(target=target % keys.key.encode(), query="key", attempts=2)
    assert played.status == 200
    assert [head.target for head in played.sent] == [sent, sent]
    assert played.exchange.principal is not None


def test_it_is_cut_out_of_what_the_route_made_of_the_target(keys: Keys) -> None:
    class Rewrites:
        def on_attempt(self, exchange: Any) -> None:
            exchange.outgoing.target = b"/v1" + exchange.target

    harness = FilterHarness(Rewrites(), keys.build(query="key"))
    played = harness.run(FakeExchange(target=b"/a?key=" + keys.key.encode()))
    assert played.sent[0].target == b"/v1/a"


def test_a_referer_does_not_carry_it(keys: Keys) -> None:
    referer = b"https://example.com/page?a=1&key=" + keys.key.encode()
    played = keys.ask((b"X-API-Key", keys.key.encode()), (b"Referer", referer), query="key")
    assert (b"Referer", b"https://example.com/page?a=1") in played.sent[0].headers


# Optional, shadow, claims


def test_optional_lets_nobody_in_and_no_wrong_key(keys: Keys) -> None:
    played = keys.ask(optional="yes")
    assert played.status == 200
    assert played.exchange.principal is None
    assert keys.ask((b"X-API-Key", b"wrong"), optional="yes").status == 401
    assert keys.ask((b"X-API-Key", keys.key.encode()), optional="yes").exchange.principal is not None


def test_optional_leaves_who_is_known_already(keys: Keys) -> None:
    somebody = Principal("bob")
    exchange = FakeExchange(principal=somebody)
    run_filter(keys.build(optional="yes"), exchange)
    assert exchange.principal is somebody


def test_shadow_lets_pass_and_takes_the_key_away_all_the_same(keys: Keys) -> None:
    played = keys.ask((b"X-API-Key", b"wrong"), target=b"/?key=x", query="key", mode="shadow")
    assert played.status == 200
    assert played.sent[0].headers == [(b"Host", b"example.com")]
    assert played.sent[0].target == b"/"
    assert [event["mode"] for event in keys.around.events] == ["shadow"]
    assert keys.around.decisions() == {("deny", "shadow"): 1}


def test_claims_go_upstream_as_headers(keys: Keys) -> None:
    wanted = "sub: X-Client, role: X-Roles, missing: X-Missing"
    forged = [(b"X-Client", b"root"), (b"x_roles", b"admin"), (b"X-Missing", b"1")]
    for _ in range(2):
        played = keys.ask((b"X-API-Key", keys.key.encode()), *forged, claims_to_headers=wanted)
        assert played.sent[0].headers[1:] == [(b"X-Client", b"acme"), (b"X-Roles", b"reader,writer")]


@pytest.mark.parametrize("option", ["optional", "mode"])
def test_nobodys_claims_are_taken_away(keys: Keys, option: str) -> None:
    given = {"claims_to_headers": "sub: X-Client", option: "yes" if option == "optional" else "shadow"}
    played = run_filter(keys.build(**given), FakeExchange(headers=[(b"X-Client", b"root")]))
    assert played.sent[0].headers == [(b"Host", b"example.com")]


# The file


def test_a_key_is_revoked_and_another_comes_while_the_gateway_runs(keys: Keys) -> None:
    built = keys.build(claims_to_headers="plan: X-Plan")
    keys.around.keeper.start()

    def ask(key: str) -> Played:
        return run_filter(built, FakeExchange(headers=[(b"X-API-Key", key.encode())]))

    assert ask(keys.key).sent[0].headers[1:] == [(b"X-Plan", b"gold")]
    key, made = make_key("new")
    keys.write(written(made) + written(keys.live).replace("gold", "lead"))
    keys.around.clock.advance(1)
    assert ask(key).status == 200
    assert ask(keys.key).sent[0].headers[1:] == [(b"X-Plan", b"lead")]
    keys.write(written(made))
    keys.around.clock.advance(1)
    assert ask(keys.key).status == 401
    keys.around.keeper.stop()


def test_a_file_that_is_spoilt_changes_nothing(keys: Keys, logged_errors: list[LogEvent]) -> None:
    built = keys.build()
    keys.around.keeper.start()
    keys.write("[key:x]\nnonsense\n")
    keys.around.clock.advance(1)
    assert run_filter(built, FakeExchange(headers=[(b"X-API-Key", keys.key.encode())])).status == 200
    keys.around.keeper.stop()
    assert [event["error"][:7] for event in logged_errors] == ["line 1:"]
    logged_errors.clear()


def test_a_reload_goes_on_with_the_same_file(keys: Keys) -> None:
    assert keys.build()._file is keys.build(realm="other")._file


def test_what_is_wrong_in_the_file_is_told_with_its_line(keys: Keys) -> None:
    keys.write(written(keys.live) + "\n[key:x]\n")
    with pytest.raises(ConfigMistake, match=r"keys\.ini: line \d+: a section must be") as raised:
        keys.build()
    assert raised.value.key == "file"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file": "missing.ini"}, "is no file"),
        ({"header": "Host"}, "ends at this hop"),
        ({"header": "Authorization"}, "for other credentials"),
        ({"header": "Cookie"}, "for other credentials"),
        ({"header": "X-Forwarded-For"}, "written by the gateway"),
        ({"header": "two words"}, "must be a header name"),
        ({"query": "a b"}, "must be none, or the name of a parameter"),
        ({"query": "k%65y"}, "must be none, or the name of a parameter"),
        ({"claims_to_headers": "sub"}, "must be claim: Header-Name"),
        ({"claims_to_headers": "sub: X-A, plan: x-a"}, "stands twice"),
        ({"claims_to_headers": "sub: Host"}, "ends at this hop"),
        ({"realm": "\u00e9"}, "must be printable ASCII"),
    ],
)
def test_options_that_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        parse_options(api_key.Options, {"file": str(ROOT / "setup.cfg"), **options})


def test_traits() -> None:
    options = {"file": str(ROOT / "setup.cfg"), "claims_to_headers": "sub: X-Client", "query": "k"}
    traits = api_key.traits(parse_options(api_key.Options, options))
    assert traits.identifies
    assert traits.vouches_for == (b"X-Client",)
    assert traits.removes == (b"X-API-Key",)
    assert traits.secret_parameters == ("k",)


def test_a_realm_is_quoted(keys: Keys) -> None:
    assert keys.ask(realm='a "b" \\').header(b"www-authenticate") == rb'ApiKey realm="a \"b\" \\"'
