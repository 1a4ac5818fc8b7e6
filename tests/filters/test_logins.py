"""Logins: verified once, few at a time, remembered for a while, forgotten when the file changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import bcrypt
import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from gwproxy.filters.logins import Limits, Logins, Overloaded
from gwproxy.filters.password_file import Passwords, read_passwords


def hashed(password: bytes) -> bytes:
    return bcrypt.hashpw(password, bcrypt.gensalt(4))


class File:
    """A file that changes when the test says so."""

    def __init__(self, **users: bytes) -> None:
        self.changes = 0
        self.value: Passwords
        self.set(**users)

    def set(self, **users: bytes) -> None:
        self.value = read_passwords(b"".join(b"%s:%s\n" % (user.encode(), each) for user, each in users.items()))
        self.changes += 1


class Threads:
    """Runs what threads should when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.begun = 0

    def run(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        self.begun += 1
        job = (lambda: function(*arguments)), Deferred[Any]()
        self.jobs.append(job)
        return job[1]

    def finish(self) -> None:
        function, done = self.jobs.pop(0)
        done.callback(function())


ANN, BOB = hashed(b"ann's"), hashed(b"bob's")


class Played:
    def __init__(self, size: int = 10, ttl: float = 60, parallel: int = 2, queue: int = 2) -> None:
        self.file = File(ann=ANN, bob=BOB)
        self.threads = Threads()
        self.clock = Clock()
        limits = Limits(size, ttl, parallel, queue)
        self.logins = Logins(cast(Any, self.file), limits, self.clock.seconds, self.threads.run)
        self.results: list[str | None] = []

    def ask(self, user: bytes, password: bytes) -> Deferred[None]:
        answer = self.logins.verify(self.mark(user, password), user, password)
        return answer.addCallback(lambda who: self.results.append(who.subject if who else None))

    def mark(self, user: bytes, password: bytes) -> bytes:
        return self.logins.mark(user + b":" + password)

    def known(self, user: bytes, password: bytes) -> bool:
        return self.logins.known(self.mark(user, password)) is not None


def test_right_is_remembered_and_wrong_is_not() -> None:
    played = Played()
    for password in (b"ann's", b"bob's"):
        played.ask(b"ann", password)
        played.threads.finish()
    assert played.results == ["ann", None]
    who = played.logins.known(played.mark(b"ann", b"ann's"))
    assert who is not None
    assert (who.subject, who.claims, who.method) == ("ann", {"sub": "ann"}, "basic_auth")
    assert not played.known(b"ann", b"bob's")
    assert not played.known(b"bob", b"ann's")


def test_nobody_is_verified_like_anybody() -> None:
    played = Played()
    played.ask(b"nobody", b"x")
    assert played.threads.begun == 1
    played.threads.finish()
    assert played.results == [None]


def test_remembered_for_a_while() -> None:
    played = Played(ttl=60)
    played.ask(b"ann", b"ann's")
    played.threads.finish()
    played.clock.advance(59)
    assert played.known(b"ann", b"ann's")
    played.clock.advance(1)
    assert not played.known(b"ann", b"ann's")


def test_so_many_are_remembered_the_newest() -> None:
    played = Played(size=2)
    played.file.set(**{f"u{number}": ANN for number in range(5)})
    for number in range(5):
        played.ask(b"u%d" % number, b"ann's")
        played.threads.finish()
    assert [played.known(b"u%d" % number, b"ann's") for number in range(5)] == [False, False, False, True, True]


def test_the_same_login_is_verified_once_at_a_time() -> None:
    played = Played(parallel=1, queue=0)
    for _ in range(5):
        played.ask(b"ann", b"ann's")
    assert played.threads.begun == 1
    played.threads.finish()
    assert played.results == ["ann"] * 5
    assert played.threads.jobs == []


def test_few_at_a_time_and_few_more_wait() -> None:
    played = Played(parallel=2, queue=2)
    for number in range(4):
        played.ask(b"ann", b"%d" % number)
    assert played.threads.begun == 2
    with pytest.raises(Overloaded):
        played.ask(b"ann", b"ann's")
    played.threads.finish()
    assert played.threads.begun == 3
    played.ask(b"ann", b"ann's")
    while played.threads.jobs:
        played.threads.finish()
    assert played.results == [None] * 4 + ["ann"]
    assert repr(played.logins) == "<Logins 1 remembered, 0 being verified>"


def test_who_goes_away_gives_up_the_place_in_the_queue() -> None:
    played = Played(parallel=1, queue=1)
    running = played.ask(b"ann", b"ann's")
    waiting, same = played.ask(b"bob", b"bob's"), played.ask(b"bob", b"bob's")
    failures: list[Failure] = []
    for each in (waiting, running, same):
        each.addErrback(failures.append)
    waiting.cancel()
    with pytest.raises(Overloaded):
        played.ask(b"ann", b"x")
    same.cancel()
    played.ask(b"ann", b"x")
    running.cancel()
    assert all(failure.check(CancelledError) for failure in failures)
    assert len(failures) == 3
    while played.threads.jobs:
        played.threads.finish()
    assert played.threads.begun == 2
    assert played.results == [None]
    assert played.known(b"ann", b"ann's"), "it was verified all the same"


def test_one_that_waits_may_be_cancelled_by_anothers_answer() -> None:
    played = Played()
    second: Deferred[None]
    first = played.ask(b"ann", b"ann's").addCallback(lambda _: second.cancel())
    second = played.ask(b"ann", b"ann's")
    second.addErrback(lambda failure: failure.trap(CancelledError))
    played.ask(b"ann", b"ann's")
    played.threads.finish()
    assert played.results == ["ann", "ann"]
    assert first.called


def test_a_change_of_the_file_forgets() -> None:
    played = Played()
    played.ask(b"ann", b"ann's")
    played.threads.finish()
    played.file.set(ann=BOB)
    assert not played.known(b"ann", b"ann's")


def test_a_password_that_changes_while_it_is_verified_is_verified_again() -> None:
    played = Played(parallel=1)
    played.ask(b"ann", b"ann's")
    played.file.set(ann=BOB)
    played.threads.finish()
    assert played.results == []
    played.threads.finish()
    assert played.results == [None]
    assert not played.known(b"ann", b"ann's")


def test_what_nobody_waits_for_and_changed_meanwhile_is_not_remembered() -> None:
    played = Played(parallel=1)
    gone = played.ask(b"ann", b"ann's").addErrback(lambda failure: failure.trap(CancelledError))
    gone.cancel()
    played.file.set(ann=BOB)
    played.threads.finish()
    assert played.threads.jobs == []
    assert not played.known(b"ann", b"ann's")


def test_another_users_change_is_no_reason_to_verify_again() -> None:
    played = Played(parallel=1)
    played.ask(b"ann", b"ann's")
    played.file.set(ann=ANN, bob=ANN)
    played.threads.finish()
    assert played.results == ["ann"]
    assert played.known(b"ann", b"ann's")


def test_a_failure_fails_all_who_wait_and_the_next_goes_on() -> None:
    played = Played(parallel=1)
    failures: list[Failure] = []
    for _ in range(2):
        played.ask(b"ann", b"ann's").addErrback(failures.append)
    played.ask(b"bob", b"bob's")
    played.threads.jobs.pop(0)[1].errback(Failure(RuntimeError("no thread")))
    assert [failure.type for failure in failures] == [RuntimeError, RuntimeError]
    played.threads.finish()
    assert played.results == ["bob"]


def test_no_password_is_kept_or_shown() -> None:
    played = Played()
    played.ask(b"ann", b"ann's")
    assert "ann's" not in repr(list(played.logins._checks.values()))
    played.threads.finish()
    assert b"ann's" not in repr(vars(played.logins)).encode()
    assert Played().mark(b"ann", b"ann's") != played.mark(b"ann", b"ann's"), "the key is another in each process"
