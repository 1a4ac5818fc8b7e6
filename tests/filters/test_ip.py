"""Who may come in, by address."""

from __future__ import annotations

from pathlib import Path

import pytest

from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.filters import ip as ip_filter
from gwproxy.filters.api import Traits
from gwproxy.runtime.watched import INTERVAL
from gwproxy.testing import FakeExchange, Surroundings, build_filter, parse_options, run_filter


def passes(made: object, ip: str) -> bool:
    """Judged twice: the second time from memory."""
    first = run_filter(made, FakeExchange(client_ip=ip))
    second = run_filter(made, FakeExchange(client_ip=ip))
    assert first.status == second.status
    if first.status != 200:
        assert first.status == 403
        assert first.reply is not None and first.reply.detail == "ip_denied"
    return first.status == 200


@pytest.mark.parametrize(
    ("options", "inside", "outside"),
    [
        ({"allow": "10.0.0.0/8, 2001:db8::/32"}, ["10.1.2.3", "2001:db8::1"], ["11.0.0.1", "2001:db9::1", "", "x"]),
        ({"deny": "10.0.0.0/8, 2001:db8::/32"}, ["11.0.0.1", "2001:db9::1", ""], ["10.1.2.3", "2001:db8::1"]),
        ({"allow": "10.0.0.0/8", "deny": "10.1.0.0/16"}, ["10.2.0.1"], ["10.1.0.1", "11.0.0.1", ""]),
        ({"allow": "10.1.0.0/16", "deny": "10.0.0.0/8"}, [], ["10.1.0.1", "10.2.0.1", "11.0.0.1"]),
        ({"allow": "10.0.0.0/8"}, ["::ffff:10.0.0.1"], ["::ffff:11.0.0.1"]),
        ({"allow": "::ffff:10.0.0.0/104"}, ["10.0.0.1"], ["11.0.0.1"]),
        ({"deny": "::ffff:10.0.0.1"}, ["10.0.0.2"], ["10.0.0.1"]),
        ({"deny": "0.0.0.0/0"}, ["::1", ""], ["127.0.0.1"]),
    ],
)
def test_lists_of_the_configuration(options: dict[str, str], inside: list[str], outside: list[str]) -> None:
    made = build_filter(ip_filter, options)
    assert [ip for ip in inside if not passes(made, ip)] == []
    assert [ip for ip in outside if passes(made, ip)] == []


def test_it_is_the_client_that_counts_and_not_the_peer() -> None:
    made = build_filter(ip_filter, {"allow": "10.0.0.0/8"})
    assert run_filter(made, FakeExchange(peer_ip="10.0.0.1", client_ip="192.0.2.1")).status == 403
    assert run_filter(made, FakeExchange(peer_ip="192.0.2.1", client_ip="10.0.0.1")).status == 200


def test_files_count_like_the_configuration(tmp_path: Path) -> None:
    allow, deny = tmp_path / "allow", tmp_path / "deny"
    allow.write_text("192.0.2.0/24 # guests\n")
    deny.write_text("192.0.2.9\n")
    made = build_filter(
        ip_filter, {"allow": "10.0.0.0/8", "allow_file": str(allow), "deny_file": str(deny), "deny": "10.0.0.9"}
    )
    assert passes(made, "10.0.0.1") and passes(made, "192.0.2.1")
    assert not passes(made, "10.0.0.9") and not passes(made, "192.0.2.9") and not passes(made, "198.51.100.1")


def test_an_empty_allow_file_lets_nobody_in(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("# nobody yet\n")
    assert not passes(build_filter(ip_filter, {"allow_file": str(file)}), "10.0.0.1")
    assert passes(build_filter(ip_filter, {"deny_file": str(file)}), "10.0.0.1")


@pytest.mark.parametrize("key", ["allow_file", "deny_file"])
def test_a_file_that_changes_is_obeyed(tmp_path: Path, key: str) -> None:
    file = tmp_path / "list"
    file.write_text("10.0.0.1\n")
    around = Surroundings()
    made = build_filter(ip_filter, {key: str(file)}, around=around)
    around.keeper.start()
    listed = key == "allow_file"
    assert passes(made, "10.0.0.1") is listed and passes(made, "10.0.0.2") is not listed
    file.write_text("10.0.0.2\n")
    around.clock.advance(INTERVAL)
    assert passes(made, "10.0.0.1") is not listed and passes(made, "10.0.0.2") is listed
    around.keeper.stop()


def test_filters_and_reloads_share_a_file(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("10.0.0.1\n")
    around = Surroundings()
    allow = build_filter(ip_filter, {"allow_file": str(file)}, around=around)
    file.write_text("10.0.0.2\n")
    around.keeper.start()
    around.clock.advance(INTERVAL)
    deny = build_filter(ip_filter, {"deny_file": str(file)}, name="other", around=around)
    assert passes(allow, "10.0.0.2") and not passes(deny, "10.0.0.2")
    assert len(around.clock.getDelayedCalls()) == 1
    around.keeper.stop()


@pytest.mark.parametrize("key", ["allow_file", "deny_file"])
def test_a_file_with_a_mistake_is_told_with_its_line(tmp_path: Path, key: str) -> None:
    file = tmp_path / "list"
    file.write_text("10.0.0.0/8\n10.0.0.0/x\n")
    with pytest.raises(ConfigMistake, match=r"list: line 2: '10.0.0.0/x' must be") as caught:
        build_filter(ip_filter, {key: str(file)})
    assert caught.value.key == key
    with pytest.raises(BadValue, match="is no file"):
        parse_options(ip_filter.Options, {key: str(tmp_path / "none")})


def test_a_flood_of_addresses_is_remembered_up_to_a_bound() -> None:
    made = build_filter(ip_filter, {"allow": "10.0.0.0/8"})
    for number in range(ip_filter.MOST_KNOWN * 2 + 10):
        made.on_request(FakeExchange(client_ip=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
        assert len(made._known) <= ip_filter.MOST_KNOWN


def test_decisions_are_counted_and_denials_logged() -> None:
    around = Surroundings()
    made = build_filter(ip_filter, {"allow": "10.0.0.0/8"}, around=around)
    run_filter(made, FakeExchange(client_ip="10.0.0.1"))
    run_filter(made, FakeExchange(client_ip="192.0.2.1"))
    assert around.decisions() == {("allow", "enforce"): 1, ("deny", "enforce"): 1}
    assert [(each["event"], each["reason"], each["client"]) for each in around.events] == [
        ("ip_denied", "ip_denied", "192.0.2.1")
    ]


def test_in_shadow_mode_all_pass() -> None:
    around = Surroundings()
    made = build_filter(ip_filter, {"deny": "10.0.0.0/8", "mode": "shadow"}, around=around)
    assert passes(made, "10.0.0.1")
    assert around.decisions() == {("deny", "shadow"): 2}
    assert {each["mode"] for each in around.events} == {"shadow"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs at least one of allow, deny, allow_file, deny_file"),
        ({"allow": "10.0.0.0/8, 10.1.0.0/16", "deny": "10.1.0.0/16"}, "10.1.0.0/16 is in allow as well"),
    ],
)
def test_options_that_do_not_fit_together(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigMistake, match=words):
        parse_options(ip_filter.Options, options)


@pytest.mark.parametrize(
    "options", [{"allow": "10.0.0.1/8"}, {"deny": "example.com"}, {"allow": ""}, {"allow": "10.0.0.1, 10.0.0.1"}]
)
def test_values_that_are_none(options: dict[str, str]) -> None:
    with pytest.raises(BadValue):
        parse_options(ip_filter.Options, options)


def test_what_others_of_the_chain_should_know() -> None:
    assert ip_filter.traits(parse_options(ip_filter.Options, {"deny": "10.0.0.1"})) == Traits(cheap_guard=True)
