"""Which request fields an option may name: those that travel end to end."""

from __future__ import annotations

import pytest

from gwproxy.config.mistakes import BadValue
from gwproxy.filters.field_names import field_name, lower_field_name, parse_field_name


@pytest.mark.parametrize("name", ["X-User-Id", "Authorization", "Cookie", "x_user", "X!1", "Accept"])
def test_names_that_travel(name: str) -> None:
    assert parse_field_name(name) == field_name(name) == name.encode()
    assert parse_field_name(f"  {name} ") == name.encode()
    assert lower_field_name(name) == name.lower().encode()


@pytest.mark.parametrize("name", ["", " ", "X A", "X:", "(X)", "Über", "X,Y"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(BadValue, match="must be a header name"):
        parse_field_name(name)


@pytest.mark.parametrize(
    "name",
    ["Host", "content-length", "Transfer-Encoding", "Connection", "TE", "Upgrade", "X-Forwarded-For", "Forwarded"],
)
def test_what_is_not_for_filters(name: str) -> None:
    for parse in (parse_field_name, field_name, lower_field_name):
        with pytest.raises(BadValue, match="ends at this hop, frames the message, or is written by the gateway"):
            parse(name)


def test_it_is_written_as_it_is_read() -> None:
    assert field_name.write(field_name("X-User-Id")) == "X-User-Id"
