"""The filter `basic_auth`: who gets in, how credentials are read, what goes upstream."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import attrs
import bcrypt
import pytest
from twisted.internet.defer import Deferred

from gwproxy.config import ConfigMistake
from gwproxy.config.mistakes import BadValue
from gwproxy.filters import basic_auth
from gwproxy.filters.api import Header, Principal
from gwproxy.testing import FakeExchange, FilterHarness, Surroundings, parse_options, run_filter
from gwproxy.testing.harness import Played

ANN = bcrypt.hashpw(b"s3cret:\xc3\xa9", bcrypt.gensalt(4))


def basic(user: str = "ann", password: str = "s3cret:\u00e9", scheme: bytes = b"Basic ") -> Header:
    return (b"Authorization", scheme + b64encode(f"{user}:{password}".encode()))


class Users:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "users.htpasswd"
        self.write(b"ann:" + ANN)
        self.around = Surroundings()
        self.threads: list[Deferred[Any]] | None = None  # a list: nothing in a thread ends by itself

    def write(self, text: bytes) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_bytes(text)
        os.replace(fresh, self.file)

    def build(self, **given: str) -> Any:
        options = parse_options(basic_auth.Options, {"file": str(self.file), **given})

        context = self.around.context("test")
        if self.threads is not None:
            context = attrs.evolve(context, in_thread=self._in_thread)
        return basic_auth.factory(options, context)

    def _in_thread(self, function: Any, *arguments: Any) -> Deferred[Any]:
        assert self.threads is not None
        done: Deferred[Any] = Deferred()
        self.threads.append(done)
        return done

    def ask(self, *headers: Header, **options: str) -> Played:
        return run_filter(self.build(**options), FakeExchange(headers=headers))


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(tmp_path)


def check_denied(users: Users, played: Played, reason: str) -> None:
    assert played.status == 401
    assert played.header(b"www-authenticate") == b'Basic realm="restricted", charset="UTF-8"'
    assert played.reply is not None
    assert played.reply.detail == reason
    assert played.sent == []
    assert played.exchange.principal is None
    assert [event["reason"] for event in users.around.events] == [reason]
    assert users.around.events[0]["event"] == "auth_failed"
    assert users.around.decisions() == {("deny", "enforce"): 1}


@pytest.mark.parametrize("scheme", [b"Basic ", b"basic ", b"BASIC   "])
def test_a_password_lets_in_and_goes_no_further(users: Users, scheme: bytes) -> None:
    built = users.build()
    for _ in range(2):  # verified, then remembered
        played = run_filter(built, FakeExchange(headers=[basic(scheme=scheme), (b"Accept", b"*/*")]))
        assert played.status == 200
        assert played.exchange.principal == Principal("ann", {"sub": "ann"}, method="basic_auth")
        assert played.sent[0].headers[1:] == [(b"Accept", b"*/*")]
    assert users.around.decisions() == {("allow", "enforce"): 2}


def test_forward(users: Users) -> None:
    assert users.ask(basic(), forward="yes").sent[0].headers[1:] == [basic()]


@pytest.mark.parametrize(
    "headers",
    [[], [(b"Authorization", b"")], [(b"Authorization", b"Bearer x")], [(b"Authorization", b"Basics x")]],
)
def test_nothing_presented(users: Users, headers: list[Header]) -> None:
    check_denied(users, users.ask(*headers), "no_credentials")


@pytest.mark.parametrize(
    "header",
    [
        basic(password="wrong"),
        basic(user="nobody"),
        basic(user="Ann"),
        basic(password=""),
        basic(password="s3cret:\u00e9 "),
    ],
)
def test_a_wrong_user_or_password(users: Users, header: Header) -> None:
    check_denied(users, users.ask(header), "bad_password")


def test_a_password_longer_than_bcrypt_reads_is_wrong(users: Users) -> None:
    users.write(b"ann:" + bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)))
    assert users.ask(basic(password="x" * 72)).status == 200
    users.around = Surroundings()
    check_denied(users, users.ask(basic(password="x" * 73)), "bad_password")


@pytest.mark.parametrize(
    "credentials",
    [
        b"",
        b"!!!!",
        b"YW5u",  # no colon
        b"Y",
        b64encode(b":s3cret"),
        b64encode(b"ann:a\0b"),
        b64encode(b"ann\n:a"),
        b64encode(b"ann:a\x7f"),
        b64encode("ann:\u0085".encode()),
        b64encode(b"ann:\xff\xfe"),
        b64encode(b"ann:s3cret") + b" x",
        b64encode(b"ann:s3cret") + b"\xff",
        b64encode(b"ann:" + b"x" * 2000),
    ],
)
def test_malformed_credentials(users: Users, credentials: bytes) -> None:
    check_denied(users, users.ask((b"Authorization", b"Basic " + credentials)), "credentials_malformed")


@pytest.mark.parametrize("other", [basic(), basic(user="x"), (b"authorization", b"Bearer x")])
def test_several(users: Users, other: Header) -> None:
    check_denied(users, users.ask(basic(), other), "several_credentials")


# Optional, shadow


def test_optional_lets_nobody_in_and_no_wrong_password(users: Users) -> None:
    assert users.ask(optional="yes").exchange.principal is None
    token = (b"Authorization", b"Bearer x")
    assert users.ask(token, optional="yes").sent[0].headers[1:] == [token], "another filter's"
    assert users.ask(basic(password="wrong"), optional="yes").status == 401
    somebody = Principal("bob")
    played = run_filter(users.build(optional="yes"), FakeExchange(principal=somebody))
    assert played.exchange.principal is somebody


@pytest.mark.parametrize("headers", [[basic(password="wrong")], [basic(), basic()], [(b"Authorization", b"basic\tx")]])
def test_shadow_lets_pass_and_takes_away_all_the_same(users: Users, headers: list[Header]) -> None:
    played = users.ask(*headers, mode="shadow")
    assert played.status == 200
    assert played.sent[0].headers == [(b"Host", b"example.com")]
    assert played.exchange.principal is None
    assert [event["mode"] for event in users.around.events] == ["shadow"]
    assert users.around.decisions() == {("deny", "shadow"): 1}


# Waiting


def test_requests_wait_for_the_thread_and_too_many_are_turned_away(users: Users) -> None:
    users.threads = []
    harness = FilterHarness(users.build(parallel="1", queue="1"))

    def ask(password: str) -> Played:
        return harness.run(FakeExchange(headers=[basic(password=password)]))

    first, second, third = ask("s3cret:\u00e9"), ask("two"), ask("three")
    assert first.waiting
    assert second.waiting
    assert third.status == 503
    assert third.header(b"retry-after") == b"1"
    assert third.reply is not None
    assert third.reply.detail == "concurrency_limit"
    assert [event["event"] for event in users.around.events] == ["overloaded"]
    users.threads[0].callback(True)
    assert first.status == 200
    second.disconnect()
    users.threads[1].callback(False)
    assert users.around.decisions() == {("allow", "enforce"): 1, ("deny", "enforce"): 1}


def test_shadow_turns_nobody_away(users: Users) -> None:
    users.threads = []
    harness = FilterHarness(users.build(parallel="1", queue="0", mode="shadow"))
    waiting = harness.run(FakeExchange(headers=[basic()]))
    assert harness.run(FakeExchange(headers=[basic(password="x")])).status == 200
    users.threads[0].callback(False)
    assert waiting.status == 200


def test_what_is_remembered_outlives_a_reload(users: Users) -> None:
    assert users.ask(basic()).status == 200
    users.threads = []
    assert users.ask(basic(), realm="other").status == 200
    assert users.threads == []


def test_a_file_that_changes(users: Users) -> None:
    built = users.build()
    users.around.keeper.start()
    assert run_filter(built, FakeExchange(headers=[basic()])).status == 200
    users.write(b"ann:" + bcrypt.hashpw(b"new", bcrypt.gensalt(4)))
    users.around.clock.advance(1)
    assert run_filter(built, FakeExchange(headers=[basic()])).status == 401
    assert run_filter(built, FakeExchange(headers=[basic(password="new")])).status == 200
    users.around.keeper.stop()


# Options


def test_what_is_wrong_in_the_file_is_told_with_its_line(users: Users) -> None:
    users.write(b"\nann:{SHA}xxxx")
    with pytest.raises(ConfigMistake, match=r"users\.htpasswd: line 2: a SHA-1 hash; only bcrypt") as raised:
        users.build()
    assert raised.value.key == "file"


@pytest.mark.parametrize(
    "option", [{"realm": "\u00e9"}, {"cache_size": "0"}, {"cache_ttl": "0"}, {"parallel": "9"}, {"file": "x"}]
)
def test_options_that_are_refused(users: Users, option: dict[str, str]) -> None:
    with pytest.raises(BadValue):
        users.build(**option)


def test_traits(users: Users) -> None:
    traits = basic_auth.traits(parse_options(basic_auth.Options, {"file": str(users.file)}))
    assert traits.identifies
    assert traits.costly
