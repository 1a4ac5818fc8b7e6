"""The option `realm`, and the challenge that has it."""

from __future__ import annotations

import pytest

from gwproxy.config.mistakes import BadValue
from gwproxy.filters.realm import realm, realm_challenge


@pytest.mark.parametrize("text", ["api", "", "the inner rooms", 'the "inner" rooms', "a\\b"])
def test_a_realm_is_one_line(text: str) -> None:
    assert realm(text) == text


@pytest.mark.parametrize("text", ["a\r\nX-A: 1", "a\tb", "\x00", "\x7f", "Zürich"])
def test_what_it_may_not_be(text: str) -> None:
    with pytest.raises(BadValue, match="must be printable ASCII"):
        realm(text)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("api", b'Basic realm="api", charset="UTF-8"'),
        ('the "inner" rooms', b'Basic realm="the \\"inner\\" rooms", charset="UTF-8"'),
        ("a\\", b'Basic realm="a\\\\", charset="UTF-8"'),
    ],
)
def test_nothing_in_a_realm_ends_it(given: str, value: bytes) -> None:
    assert realm_challenge("Basic", given, charset="UTF-8") == (b"WWW-Authenticate", value)
