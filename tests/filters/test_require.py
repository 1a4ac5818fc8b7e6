"""Only who has the claims and scopes may pass."""

from __future__ import annotations

from typing import Any

import pytest

from gwproxy.config.mistakes import BadValue, ConfigMistake
from gwproxy.filters import require
from gwproxy.filters.api import Principal, Traits
from gwproxy.testing import FakeExchange, Played, Surroundings, build_filter, parse_options, run_filter

ROLES = {"claim": "realm_access.roles"}


def somebody(**claims: Any) -> Principal:
    return Principal("alice", claims, method="jwt")


def with_roles(*roles: Any) -> Principal:
    return somebody(realm_access={"roles": list(roles)})


def play(
    options: dict[str, str],
    principal: Principal | None,
    method: bytes = b"GET",
    target: bytes = b"/",
    around: Surroundings | None = None,
) -> Played:
    made = build_filter(require, options, around=around)
    return run_filter(made, FakeExchange(method, target, principal=principal))


def answer(played: Played) -> tuple[int | None, str]:
    return played.status, played.reply.detail if played.reply else ""


PASSES = (200, "")
CLAIM = (403, "claim_denied")
SCOPE = (403, "scope_denied")
NOBODY = (401, "not_logged_in")


@pytest.mark.parametrize(
    ("wanted", "roles", "expected"),
    [
        ({"any": "admin, ops"}, ["admin"], PASSES),
        ({"any": "admin, ops"}, ["x", "ops"], PASSES),
        ({"any": "admin, ops"}, [], CLAIM),
        ({"any": "admin"}, ["administrator"], CLAIM),
        ({"any": "administrator"}, ["admin"], CLAIM),
        ({"any": "admin"}, ["Admin"], CLAIM),
        ({"any": "admin"}, [" admin"], CLAIM),
        ({"any": "admin"}, ["admin "], CLAIM),
        ({"any": "admin"}, ["admin\x00"], CLAIM),
        ({"any": "admin"}, ["ops,admin"], CLAIM),
        ({"any": "admin"}, ["ops admin"], CLAIM),
        ({"any": "admin"}, [["admin"]], CLAIM),
        ({"any": "admin"}, [{"admin": True}], CLAIM),
        ({"any": "true"}, [True], PASSES),
        ({"any": "5"}, [5], PASSES),
        ({"all": "admin, ops"}, ["ops", "x", "admin"], PASSES),
        ({"all": "admin, ops"}, ["admin"], CLAIM),
        ({"all": "admin, ops"}, [], CLAIM),
        ({"all": "a", "any": "b, c"}, ["a", "c"], PASSES),
        ({"all": "a", "any": "b, c"}, ["a"], CLAIM),
        ({"all": "a", "any": "b, c"}, ["b", "c"], CLAIM),
    ],
)
def test_values_of_a_claim(wanted: dict[str, str], roles: list[Any], expected: tuple[int, str]) -> None:
    assert answer(play(ROLES | wanted, with_roles(*roles))) == expected


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"realm_access": None},
        {"realm_access": {}},
        {"realm_access": {"roles": None}},
        {"realm_access": {"roles": {"admin": 1}}},
        {"realm_access": "admin"},
        {"realm_access": ["admin"]},
        {"roles": ["admin"]},
    ],
)
def test_a_claim_that_is_missing_is_denied(claims: dict[str, Any]) -> None:
    assert answer(play(ROLES | {"any": "admin"}, somebody(**claims))) == CLAIM


def test_a_claim_that_is_no_list() -> None:
    assert answer(play(ROLES | {"any": "admin"}, somebody(realm_access={"roles": "admin"}))) == PASSES
    assert answer(play(ROLES | {"any": "adm"}, somebody(realm_access={"roles": "admin"}))) == CLAIM


def test_nobody_gets_401_and_a_challenge() -> None:
    played = play(ROLES | {"any": "admin"}, None)
    assert answer(played) == NOBODY
    assert played.headers == [(b"WWW-Authenticate", b"Bearer")]
    played = play({"scopes": "read, write"}, None)
    assert played.headers == [(b"WWW-Authenticate", b'Bearer scope="read write"')]


@pytest.mark.parametrize(
    ("options", "claims", "expected"),
    [
        ({"scopes": "read, write"}, {"scope": "write openid read"}, PASSES),
        ({"scopes": "read, write"}, {"scope": "read"}, SCOPE),
        ({"scopes": "read"}, {"scope": "readonly"}, SCOPE),
        ({"scopes": "read"}, {"scope": "Read"}, SCOPE),
        ({"scopes": "read"}, {"scope": "write\u00a0read"}, SCOPE),
        ({"scopes": "read"}, {"scope": "write,read"}, SCOPE),
        ({"scopes": "read"}, {"scope": ""}, SCOPE),
        ({"scopes": "read"}, {}, SCOPE),
        ({"scopes": "read"}, {"scope": ["write", "read"]}, PASSES),
        ({"scopes": "read"}, {"scope": ["write read"]}, SCOPE),
        ({"scopes": "read"}, {"scope": {"read": 1}}, SCOPE),
        ({"scopes": "read"}, {"scp": ["read"]}, PASSES),
        ({"scopes": "read"}, {"scp": "read write"}, PASSES),
        ({"scopes": "read"}, {"scopes": ["read"]}, PASSES),
        ({"scopes": "read"}, {"scope": "write", "scp": ["read"]}, SCOPE),
        ({"scopes": "read"}, {"scope": None, "scp": ["read"]}, PASSES),
        ({"scopes_any": "read, write"}, {"scope": "write"}, PASSES),
        ({"scopes_any": "read, write"}, {"scope": "openid"}, SCOPE),
        ({"scopes": "a", "scopes_any": "b, c"}, {"scope": "a c"}, PASSES),
        ({"scopes": "a", "scopes_any": "b, c"}, {"scope": "a"}, SCOPE),
        ({"scopes": "a", "scopes_any": "b, c"}, {"scope": "b c"}, SCOPE),
        ({"scopes": "read", "scope_claim": "grants.api"}, {"grants": {"api": ["read"]}}, PASSES),
        ({"scopes": "read", "scope_claim": "grants.api"}, {"scope": "read"}, SCOPE),
        ({"scopes": "read", "claim": "sub", "any": "bob"}, {"scope": "read", "sub": "bob"}, PASSES),
        ({"scopes": "read", "claim": "sub", "any": "bob"}, {"scope": "x", "sub": "bob"}, SCOPE),
        ({"scopes": "read", "claim": "sub", "any": "bob"}, {"scope": "read", "sub": "eve"}, CLAIM),
    ],
)
def test_scopes(options: dict[str, str], claims: dict[str, Any], expected: tuple[int, str]) -> None:
    assert answer(play(options, somebody(**claims))) == expected


def test_who_lacks_a_scope_is_told_which_ones_it_needs() -> None:
    played = play({"scopes": "read, write", "scopes_any": "eu, us"}, somebody())
    assert played.headers == [
        (b"WWW-Authenticate", b'Bearer error="insufficient_scope", scope="read write eu us"'),
    ]
    assert play(ROLES | {"any": "admin"}, somebody()).headers == []


PATHS = ROLES | {"any": "admin", "paths": "/admin, /a/b/, /caf\u00e9"}


@pytest.mark.parametrize(
    "target",
    [
        b"/admin",
        b"/admin/",
        b"/admin/x",
        b"/admin?x=1",
        b"//admin",
        b"/x/../admin/y",
        b"/%61dmin",
        b"/a/b",
        b"/a/b/",
        b"/a/b/c",
        b"/caf%C3%A9",
        b"/caf%c3%a9/x",
        # what some servers read as a path below
        b"/admin;v=1",
        b"/admin;v=1/x",
        b"/admin%2Fx",
        b"/admin%5cx",
        b"/%2fadmin",
        b"/;x/admin",
        b"/a;x/b;y",
        b"/a%2Fb",
    ],
)
def test_paths_that_are_looked_at(target: bytes) -> None:
    assert answer(play(PATHS, None, target=target)) == NOBODY


@pytest.mark.parametrize("target", [b"/", b"/administer", b"/admi", b"/x/admin", b"/a/bc", b"/admin.html", b"/ADMIN"])
def test_paths_that_are_not(target: bytes) -> None:
    around = Surroundings()
    assert answer(play(PATHS, None, target=target, around=around)) == PASSES
    assert around.decisions() == {}


def test_every_path() -> None:
    assert answer(play(PATHS | {"paths": "/"}, None, target=b"/x")) == NOBODY


@pytest.mark.parametrize(
    ("methods", "method", "expected"),
    [
        ("POST, DELETE", b"POST", NOBODY),
        ("POST, DELETE", b"GET", PASSES),
        ("POST", b"post", PASSES),
        ("GET", b"HEAD", NOBODY),
        ("HEAD", b"GET", PASSES),
    ],
)
def test_methods(methods: str, method: bytes, expected: tuple[int, str]) -> None:
    assert answer(play(ROLES | {"any": "admin", "methods": methods}, None, method)) == expected


def test_methods_and_paths_both_must_fit() -> None:
    options = PATHS | {"methods": "POST"}
    assert answer(play(options, None, b"POST", b"/admin")) == NOBODY
    assert answer(play(options, None, b"GET", b"/admin")) == PASSES
    assert answer(play(options, None, b"POST", b"/")) == PASSES


def test_decisions_are_counted_and_denials_logged() -> None:
    around = Surroundings()
    for principal in (with_roles("admin"), with_roles("x"), None):
        play(ROLES | {"any": "admin"}, principal, around=around)
    assert around.decisions() == {("allow", "enforce"): 1, ("deny", "enforce"): 2}
    assert [(event["event"], event["reason"]) for event in around.events] == [
        ("forbidden", "claim_denied"),
        ("forbidden", "not_logged_in"),
    ]


def test_in_shadow_mode_all_pass() -> None:
    around = Surroundings()
    options = {"scopes": "read", "mode": "shadow"}
    for principal in (somebody(scope="read"), somebody(), None):
        assert answer(play(options, principal, around=around)) == PASSES
    assert around.decisions() == {("allow", "shadow"): 1, ("deny", "shadow"): 2}
    assert [event["reason"] for event in around.events] == ["scope_denied", "not_logged_in"]


@pytest.mark.parametrize(
    ("options", "key", "words"),
    [
        ({}, "", "requires nothing"),
        ({"methods": "GET", "paths": "/admin"}, "", "requires nothing"),
        ({"claim": "role"}, "claim", "needs any or all"),
        ({"any": "x"}, "any", "any needs claim"),
        ({"all": "x", "scopes": "read"}, "all", "all needs claim"),
        ({"claim": "role", "any": "a, b", "all": "b"}, "any", "'b' is in all as well"),
        ({"scopes": "a", "scopes_any": "a, b"}, "scopes_any", "'a' is in scopes as well"),
        ({"claim": "role", "any": "a", "scope_claim": "x"}, "scope_claim", "goes with scopes"),
    ],
)
def test_options_that_do_not_fit_together(options: dict[str, str], key: str, words: str) -> None:
    with pytest.raises(ConfigMistake, match=words) as caught:
        parse_options(require.Options, options)
    assert caught.value.key == key


@pytest.mark.parametrize(
    "options",
    [
        {"claim": "a..b"},
        {"any": ""},
        {"scopes": ""},
        {"scopes": "read write"},
        {"scopes": 'a"b'},
        {"scopes_any": ","},
        {"methods": ""},
        {"methods": "get"},
        {"paths": "admin"},
        {"paths": "/a/../b"},
        {"paths": ""},
        {"mode": "off"},
    ],
)
def test_values_that_are_none(options: dict[str, str]) -> None:
    with pytest.raises(BadValue):
        parse_options(require.Options, options)


def test_what_others_of_the_chain_should_know() -> None:
    assert require.traits(parse_options(require.Options, {"scopes": "read"})) == Traits(needs_principal=True)
