"""What goes to an introspection endpoint, and which answers are any."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs

import pytest

from gwproxy.calls import Answer, CallFailed
from gwproxy.testing import FakeCalls
from gwproxy.tokens.introspection import Authority, CannotTell, ClientAuth, read_answer

URL = "https://idp.example.com/introspect"


def asked(auth: ClientAuth = ClientAuth.BASIC, client_id: str = "gateway", secret: str = "hunter2") -> Any:
    calls = FakeCalls()
    Authority(calls, URL, client_id, secret, auth=auth).ask(b"abc+/=")
    return calls.asked[0]


def test_the_question() -> None:
    """RFC 7662 section 2.1."""
    question = asked()
    assert (question.method, question.url) == ("POST", URL)
    assert question.body == b"token=abc%2B%2F%3D&token_type_hint=access_token"
    headers = dict(question.headers)
    assert headers[b"Content-Type"] == b"application/x-www-form-urlencoded"
    assert headers[b"Authorization"] == b"Basic " + base64.b64encode(b"gateway:hunter2")


def test_credentials_are_form_encoded_before_they_are_joined() -> None:
    """RFC 6749 section 2.3.1."""
    value = dict(asked(client_id="a:b", secret="p w%ä").headers)[b"Authorization"]
    assert base64.b64decode(value.removeprefix(b"Basic ")) == b"a%3Ab:p+w%25%C3%A4"


def test_credentials_in_the_form() -> None:
    question = asked(ClientAuth.POST, "a:b", "p w")
    assert b"Authorization" not in dict(question.headers)
    assert parse_qs(question.body.decode()) == {
        "token": ["abc+/="],
        "token_type_hint": ["access_token"],
        "client_id": ["a:b"],
        "client_secret": ["p w"],
    }


def test_an_active_token_has_claims_and_another_has_none() -> None:
    claims = {"active": True, "sub": "alice"}
    assert read_answer(Answer(200, [], b'{"active": true, "sub": "alice"}')) == claims
    assert read_answer(Answer(200, [], b'{"active": false, "sub": "alice"}')) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"true",
        b"null",
        b'{"active": "true"}',
        b'{"active": 1}',
        b'{"active": null}',
        b'{"active": [true]}',
        b'{"Active": true}',
        b'{"active": true, "active": false}',
        b'{"active": true',
        b'{"active": true, "exp": NaN}',
        b"\xff\xfe",
        b"<html>active: true</html>",
        b"[" * 60_000,
    ],
)
def test_e4_what_does_not_say_so_tells_nothing(body: bytes) -> None:
    with pytest.raises(CannotTell):
        read_answer(Answer(200, [], body))


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403, 404, 429, 500, 503])
def test_e4_only_a_200_tells(status: int) -> None:
    with pytest.raises(CannotTell, match=str(status)):
        read_answer(Answer(status, [], b'{"active": true}'))


def test_e4_no_answer_tells_nothing() -> None:
    calls = FakeCalls({URL: [CallFailed("timeout")]})
    failures: list[Any] = []
    Authority(calls, URL, "gateway", "hunter2").ask(b"abc").addErrback(failures.append)
    assert [type(failure.value) for failure in failures] == [CannotTell]
    assert "abc" not in str(failures[0].value) and "hunter2" not in str(failures[0].value)
