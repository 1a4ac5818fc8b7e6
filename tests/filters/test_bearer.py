"""The one bearer token of a request, and what a 401 says."""

from __future__ import annotations

import pytest

from gwproxy.filters.bearer import Challenges, bearer_token, challenge, well_formed
from gwproxy.filters.decision import Denial


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"Bearer abc", b"abc"),
        (b"bearer abc", b"abc"),
        (b"BEARER   abc", b"abc"),
        (b"Bearer abc.def-_~+/==", b"abc.def-_~+/=="),
        (b"Bearer", Denial.TOKEN_MALFORMED),
        (b"Bearer ", Denial.TOKEN_MALFORMED),
        (b"bearer\tabc", Denial.TOKEN_MALFORMED),
        (b"Bearer,abc", Denial.TOKEN_MALFORMED),
        (b"Basic YTpi", None),
        (b"BearerX abc", None),
        (b"Bearer-Token abc", None),
        (b"", None),
    ],
)
def test_the_token_of_a_request(value: bytes, wanted: bytes | Denial | None) -> None:
    assert bearer_token([(b"Accept", b"*/*"), (b"Authorization", value), (b"X-Authorization", b"Bearer x")]) == wanted


def test_a_request_without_the_field_has_none() -> None:
    assert bearer_token([(b"Accept", b"*/*"), (b"Proxy-Authorization", b"Bearer abc")]) is None


@pytest.mark.parametrize("second", [b"Bearer abc", b"Bearer def", b"Basic YTpi", b""])
def test_two_fields_are_several_credentials(second: bytes) -> None:
    headers = [(b"authorization", b"Bearer abc"), (b"AUTHORIZATION", second)]
    assert bearer_token(headers) is Denial.SEVERAL_CREDENTIALS
    assert bearer_token(headers[::-1]) is Denial.SEVERAL_CREDENTIALS


@pytest.mark.parametrize(
    ("token", "wanted"),
    [
        (b"abc.def-_~+/0", True),
        (b"abc==", True),
        (b"a=b", False),
        (b"=", False),
        (b"", False),
        (b"a b", False),
        (b"a,b", False),
        (b'a"b', False),
        (b"a\n", False),
        ("ä".encode(), False),
    ],
)
def test_the_characters_of_a_token(token: bytes, wanted: bool) -> None:
    assert well_formed(token) is wanted


def test_without_credentials_there_is_no_error() -> None:
    """RFC 6750 section 3.1."""
    assert Challenges()[Denial.NO_CREDENTIALS] == [(b"WWW-Authenticate", b"Bearer")]
    assert Challenges("api")[Denial.NO_CREDENTIALS] == [(b"WWW-Authenticate", b'Bearer realm="api"')]


def test_what_is_wrong_is_said() -> None:
    challenges = Challenges("api")
    expired = b'Bearer realm="api", error="invalid_token", error_description="the token expired"'
    assert challenges[Denial.TOKEN_EXPIRED] == [(b"WWW-Authenticate", expired)]
    assert challenges[Denial.TOKEN_EXPIRED] is challenges[Denial.TOKEN_EXPIRED]
    several = b'Bearer realm="api", error="invalid_request", error_description="more than one Authorization field"'
    assert challenges[Denial.SEVERAL_CREDENTIALS] == [(b"WWW-Authenticate", several)]
    assert challenges[Denial.TOKEN_SIGNATURE] == [(b"WWW-Authenticate", b'Bearer realm="api", error="invalid_token"')]


def test_a_scope_that_is_missing_is_named() -> None:
    name, value = challenge(error="insufficient_scope", scope="read write")
    assert (name, value) == (b"WWW-Authenticate", b'Bearer error="insufficient_scope", scope="read write"')


def test_a_realm_cannot_end_its_quotes() -> None:
    assert challenge('a"b\\')[1] == b'Bearer realm="a\\"b\\\\"'
