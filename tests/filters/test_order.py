"""Warnings of chains in a harmful order, from what filters say of themselves."""

from __future__ import annotations

import pytest

from gwproxy.filters.api import Traits
from gwproxy.filters.order import Chain, Step, order_warnings, warnings

LOGIN = Step("login", "jwt", Traits(identifies=True, costly=True, vouches_for=(b"X-User-Id",)))
KEYS = Step("keys", "api_key", Traits(identifies=True))
OFFICE = Step("office", "ip", Traits(cheap_guard=True))
SIZE = Step("size", "body_limit", Traits(cheap_guard=True))
CORS = Step("cors", "cors", Traits(cors=True, cheap_guard=True))
ADMINS = Step("admins", "require", Traits(needs_principal=True))
PER_USER = Step("per-user", "rate_limit", Traits(needs_principal=True))
COOKIE = Step("cookie", "cookie_to_header", Traits(credentials_from_cookie=True))
CSRF = Step("csrf", "csrf", Traits(checks_origin=True))
BODY = Step("body", "json_body", Traits(costly=True))
PLAIN = Step("plain", "headers")
FOREIGN = Step("foreign", "somebody's", known=False)


def names(*steps: Step, methods: frozenset[bytes] = frozenset()) -> list[str]:
    return [name for name, _ in order_warnings(steps, methods)]


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (PLAIN,),
        (OFFICE, SIZE, CORS, CSRF, COOKIE, LOGIN, ADMINS, PER_USER, BODY, PLAIN),
        (KEYS, ADMINS),
        (CORS, OFFICE, LOGIN),
        (OFFICE, CORS, LOGIN),
        (FOREIGN, ADMINS),
        (ADMINS, FOREIGN),
        (PLAIN, CSRF, COOKIE),
        (KEYS, OFFICE),
    ],
)
def test_a_good_order_is_not_talked_about(steps: tuple[Step, ...]) -> None:
    assert list(order_warnings(steps)) == []


@pytest.mark.parametrize(
    ("steps", "warned"),
    [
        ((LOGIN, OFFICE), ["office"]),
        ((LOGIN, SIZE, OFFICE), ["size", "office"]),
        ((LOGIN, CORS), ["cors"]),
        ((KEYS, CORS), ["cors"]),
        ((BODY, SIZE), ["size"]),
        ((BODY, CORS), ["cors"]),
        ((FOREIGN, LOGIN, OFFICE), ["office"]),
        ((ADMINS, LOGIN), ["admins"]),
        ((PER_USER, LOGIN, ADMINS), ["per-user"]),
        ((ADMINS,), ["admins"]),
        ((PLAIN, ADMINS, PLAIN), ["admins"]),
        ((LOGIN, KEYS), ["keys"]),
        ((KEYS, LOGIN), ["login"]),
        ((COOKIE, LOGIN), ["cookie"]),
        ((COOKIE, CSRF, LOGIN), ["csrf"]),
        ((ADMINS, CORS, LOGIN), ["admins", "cors"]),
    ],
)
def test_a_harmful_order(steps: tuple[Step, ...], warned: list[str]) -> None:
    assert names(*steps) == warned


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((LOGIN, OFFICE), "office (ip) keeps much out for little and stands behind login (jwt)"),
        ((LOGIN, CORS), "cors (cors) stands behind login (jwt), which refuses the browsers' preflights"),
        ((ADMINS, LOGIN), "admins (require) stands before login (jwt), which finds out who it is"),
        ((ADMINS,), "admins (require) asks who it is, and no filter of this route finds out"),
        ((LOGIN, KEYS), "keys (api_key) overwrites what login (jwt) found out"),
        ((COOKIE,), "cookie (cookie_to_header) takes credentials from a cookie"),
        ((COOKIE, CSRF), "csrf (csrf) stands behind cookie (cookie_to_header)"),
    ],
)
def test_what_is_said(steps: tuple[Step, ...], words: str) -> None:
    [(_, said)] = order_warnings(steps)
    assert said.startswith(words)


def test_a_cookie_needs_no_check_where_nothing_can_be_changed() -> None:
    assert names(COOKIE, methods=frozenset({b"GET", b"HEAD"})) == []
    assert names(COOKIE, methods=frozenset({b"GET", b"POST"})) == ["cookie"]


USERS = frozenset({"127.0.0.1:9001", "127.0.0.1:9002"})
REMOVES = Step("tidy", "headers", Traits(removes=(b"x_user_id",)))


@pytest.mark.parametrize(
    ("steps", "servers", "warned"),
    [
        ((), USERS, True),
        ((PLAIN,), USERS, True),
        ((), frozenset({"127.0.0.1:9002", "127.0.0.1:9003"}), True),
        ((FOREIGN,), USERS, True),
        ((LOGIN,), USERS, False),
        ((REMOVES,), USERS, False),
        ((), frozenset({"127.0.0.1:9003"}), False),
        ((), frozenset(), False),
    ],
)
def test_a_field_without_its_remover(steps: tuple[Step, ...], servers: frozenset[str], warned: bool) -> None:
    """What one route vouches for, a client could send to the same servers by another."""
    chains = [Chain("private", (LOGIN,), USERS), Chain("public", steps, servers)]
    said = list(warnings(chains))
    assert [route for route, _ in said] == (["public"] if warned else [])
    if warned:
        assert "X-User-Id" in said[0][1] and "login (jwt) of [route:private]" in said[0][1]


def test_each_field_is_said_once() -> None:
    chains = [Chain("a", (LOGIN,), USERS), Chain("b", (LOGIN,), USERS), Chain("public", (), USERS)]
    assert [route for route, _ in warnings(chains)] == ["public"]


def test_warnings_of_all_routes() -> None:
    chains = [Chain("one", (LOGIN, OFFICE)), Chain("two", ()), Chain("three", (ADMINS,))]
    assert [route for route, _ in warnings(chains)] == ["one", "three"]
