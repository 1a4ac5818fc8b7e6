"""${...} in values."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.config.expand import MAX_FILE_SIZE, escape, expand
from gwproxy.config.mistakes import BadValue

HERE = Path("/nowhere")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("plain", "plain"),
        ("${A}", "1"),
        ("x${A}y${B}z", "x1y${A}z"),  # what was expanded is not expanded again
        ("${A:-other}", "1"),
        ("${UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a:-b}", "a:-b"),
        ("${EMPTY}", ""),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A $ $$ }", "$A $ $$ }"),
    ],
)
def test_variables(raw: str, text: str) -> None:
    found = expand(raw, {"A": "1", "B": "${A}", "EMPTY": ""}, HERE)
    assert found.text == text
    assert found.raw == raw
    assert not found.secret
    assert found.changed == (text != raw and not raw.startswith("$$"))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("${UNSET}", "the environment has no UNSET"),
        ("${}", "must be ${NAME}, ${NAME:-default} or ${file:PATH}"),
        ("${a-b}", "must be ${NAME}, ${NAME:-default} or ${file:PATH}"),
        ("${A", "has ${ without }; write $${ for the characters themselves"),
        ("${BYTES}", "BYTES is not UTF-8"),
    ],
)
def test_mistakes_show_the_variable_and_never_its_value(raw: str, message: str) -> None:
    with pytest.raises(BadValue) as caught:
        expand(f"a {raw}", {"BYTES": "\udcff"}, HERE)
    assert caught.value.message == message
    assert raw.startswith(caught.value.piece)


def test_files_lose_one_newline_and_are_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"s3cret \n\n")
    found = expand("a${file:key}", {}, tmp_path)
    assert found.text == "as3cret \n"
    assert found.secret
    assert "s3cret" not in repr(found)
    (tmp_path / "key").write_bytes(b"s3cret\r\n")
    assert expand(f"${{file:{tmp_path}/key}}", {}, HERE).text == "s3cret"


def test_files_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE_SIZE + 1))
    for name, message in (
        ("missing", "the file cannot be read: No such file or directory"),
        (".", "the file cannot be read: Is a directory"),
        ("binary", "the file is not UTF-8"),
        ("large", "the file is larger than 1 MiB"),
    ):
        with pytest.raises(BadValue, match=message):
            expand(f"${{file:{name}}}", {}, tmp_path)


@given(st.text(alphabet="${}Aa:-"))
def test_escape_is_undone(text: str) -> None:
    assert expand(escape(text), {}, HERE).text == text
