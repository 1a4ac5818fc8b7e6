"""Signed tokens in a whole gateway: what a client may not say of itself, however it says it."""

from __future__ import annotations

from typing import Any

import pytest

from gwproxy.filters import jwt
from gwproxy.testing import Surroundings, build_filter
from tests.flow.kit.fixtures import MakeFlow
from tests.tokens.kit.forge import CLAIMS, SECRET, token

GOOD = token("HS256")
EXPIRED = token("HS256", {**CLAIMS, "exp": 1})
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def login(**options: str) -> Any:
    return build_filter(
        jwt,
        {"algorithms": "HS256", "secret": SECRET.decode(), "claims_to_headers": "sub: X-User-Id", **options},
        around=Surroundings(),
    )


def get(*fields: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + b"\r\n".join([b"Host: a", *fields]) + b"\r\n\r\n"


@pytest.mark.parametrize(
    "forged",
    [
        [b"X-User-Id: admin"],
        [b"x-user-id: admin", b"X-USER-ID: root"],
        [b"X_User_Id: admin", b"x_user-id: root"],
        [b"Connection: X-User-Id"],
        [b"Connection: keep-alive, x-user-id", b"X-User-Id: admin"],
    ],
    ids=["plain", "twice", "twins", "connection", "both"],
)
def test_only_the_gateway_says_who_it_is(make_flow: MakeFlow, forged: list[bytes]) -> None:
    flow = make_flow(filters={"login": login()}, listen="underscores = keep")
    for _ in range(2):  # at first, and when the token is remembered
        flow.client >> get(b"Authorization: Bearer " + GOOD, *forged)
        flow.upstream << get(b"Authorization: Bearer " + GOOD, b"X-User-Id: user-1")
        flow.upstream >> OK
        flow.client << OK


@pytest.mark.parametrize("options", [{"mode": "shadow"}, {"optional": "yes"}], ids=["shadow", "optional"])
def test_nobody_is_nobody(make_flow: MakeFlow, options: dict[str, str]) -> None:
    flow = make_flow(filters={"login": login(**options)}, listen="underscores = keep")
    flow.client >> get(b"X-User-Id: admin", b"X_User_Id: admin", b"X.User.Id: admin")
    flow.upstream << get()
    flow.upstream >> OK
    flow.client << OK
    assert flow.last["user"] is None


def test_a_token_may_not_be_taken_out_on_the_way(make_flow: MakeFlow) -> None:
    """Named in Connection, Authorization ends here: the filter sees what the upstream would see."""
    flow = make_flow(filters={"login": login()})
    flow.client >> get(b"Authorization: Bearer " + GOOD, b"Connection: Authorization")
    flow.client.refused(401, "no_credentials")
    assert flow.dials == 0


def test_a_refusal_names_its_reason_and_no_token(make_flow: MakeFlow) -> None:
    flow = make_flow(filters={"login": login()})
    flow.client >> get(b"Authorization: Bearer " + EXPIRED)
    fields = flow.client.refused(401, "token_expired")
    assert fields[b"www-authenticate"] == (
        b'Bearer realm="api", error="invalid_token", error_description="the token expired"'
    )
    line = flow.logged(status=401, reason="token_expired", by="gateway")
    assert line["filter"] == "login"
    assert EXPIRED.decode() not in repr(flow.log) + repr(flow.security_log)


def test_a_body_is_not_asked_for_before_the_token_is_judged(make_flow: MakeFlow) -> None:
    flow = make_flow(filters={"login": login()})
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n"
    flow.client >> head + b"Authorization: Bearer " + EXPIRED + b"\r\n\r\n"
    flow.client.refused(401, "token_expired", closes=True)
    assert flow.dials == 0


@pytest.mark.parametrize("second", [{"optional": "yes"}, {"mode": "shadow"}], ids=["optional", "shadow"])
def test_who_finds_nobody_leaves_what_another_found(make_flow: MakeFlow, second: dict[str, str]) -> None:
    """Both vouch for the same field: what clients say goes, what the first filter said stays."""
    flow = make_flow(filters={"login": login(), "other": login(header="X-Other-Token", **second)})
    flow.client >> get(b"Authorization: Bearer " + GOOD, b"X-User-Id: admin")
    flow.upstream << get(b"Authorization: Bearer " + GOOD, b"X-User-Id: user-1")
    flow.upstream >> OK
    flow.client << OK


def test_the_last_who_finds_somebody_says_who(make_flow: MakeFlow) -> None:
    flow = make_flow(filters={"login": login(), "other": login(header="X-Other-Token")})
    later = token("HS256", {**CLAIMS, "sub": "user-2"})
    for _ in range(2):  # at first, and when the tokens are remembered
        flow.client >> get(b"Authorization: Bearer " + GOOD, b"X-Other-Token: " + later, b"X-User-Id: admin")
        flow.upstream << get(b"Authorization: Bearer " + GOOD, b"X-Other-Token: " + later, b"X-User-Id: user-2")
        flow.upstream >> OK
        flow.client << OK
