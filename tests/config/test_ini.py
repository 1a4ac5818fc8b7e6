"""The syntax of the file, with line numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.config.ini import Section, read_sections


def read(text: str | bytes) -> list[Section]:
    sections, mistakes = read_sections(text.encode() if isinstance(text, str) else text, "gw.ini")
    assert not mistakes, mistakes
    return sections


def wrong(text: str | bytes) -> list[str]:
    _, mistakes = read_sections(text.encode() if isinstance(text, str) else text, "gw.ini")
    return [str(mistake) for mistake in mistakes]


def test_sections_keys_and_lines() -> None:
    gateway, listen = read("; a comment\n\n[gateway]\ndrain = 5s\n\n[listen:http]\n# another\nendpoint=tcp:80\n")
    assert (gateway.kind, gateway.name, gateway.line, gateway.title) == ("gateway", "", 3, "gateway")
    assert (listen.kind, listen.name, listen.line, listen.title) == ("listen", "http", 6, "listen:http")
    assert (gateway.entries["drain"].raw, gateway.entries["drain"].line) == ("5s", 4)
    assert (listen.entries["endpoint"].raw, listen.entries["endpoint"].line) == ("tcp:80", 8)


def test_no_comments_behind_a_value() -> None:
    (section,) = read("[filter:a]\ncsp = default-src 'self'; img-src *  # all\n")
    assert section.entries["csp"].raw == "default-src 'self'; img-src *  # all"


def test_only_the_first_equals_sign_separates() -> None:
    (section,) = read("[filter:a]\nhsts = max-age=1\n")
    assert section.entries["hsts"].raw == "max-age=1"


def test_indented_lines_continue_a_value() -> None:
    (section,) = read("[r:a]\nfilters =\n    one,\n    ; not this\n\ttwo\nlast = x\n  y\n")
    assert section.entries["filters"].raw == "one,\ntwo"
    assert section.entries["last"].raw == "x\ny"


def test_an_empty_line_ends_a_value() -> None:
    assert wrong("[r:a]\nfilters = one\n\n  two\n") == [
        "gw.ini:4: [r:a] an indented line continues the value above it, and here is none"
    ]


def test_an_indented_line_before_any_key() -> None:
    assert wrong("  x\n[r:a]\n  path = /\nk = v\n[r:b]\n  path = /\n") == [
        "gw.ini:1: an indented line continues the value above it, and here is none",
        "gw.ini:3: [r:a] an indented line continues the value above it, and here is none",
        "gw.ini:6: [r:b] an indented line continues the value above it, and here is none",
    ]


@pytest.mark.parametrize(
    "text", [b"\xef\xbb\xbf[a]\nk = v\n", b"[a]\r\nk = v\r\n", b"[a]\nk = v", b"[ a ]\n k = v".replace(b" k", b"k")]
)
def test_byte_order_mark_line_ends_and_spaces(text: bytes) -> None:
    (section,) = read(text)
    assert section.title == "a"
    assert section.entries["k"].raw == "v"


def test_an_empty_value_is_a_value() -> None:
    (section,) = read("[a]\nk =\n")
    assert section.entries["k"].raw == ""


def test_a_key_given_twice_names_the_first() -> None:
    assert wrong("[a:b]\nk = 1\nx = 2\nk = 3\n  4\n") == ["gw.ini:4: [a:b] k is given already, in line 2"]


def test_a_section_given_twice_names_the_first_and_its_keys_are_still_checked() -> None:
    assert wrong("[a:b]\nk = 1\n[a:c]\n[a:b]\nk = 1\nbroken\n") == [
        "gw.ini:4: [a:b] the section is there already, in line 1",
        "gw.ini:5: [a:b] k is given already, in line 2",
        "gw.ini:6: [a:b] is neither [section], nor key = value, nor a comment (; or # in front)",
    ]


def test_keys_before_the_first_section() -> None:
    assert wrong("drain = 5s\n") == ["gw.ini:1: drain stands before the first [section]"]


@pytest.mark.parametrize(
    "line", ["key", "= value", "two words = x", "1key = x", "k\N{LATIN SMALL LETTER E WITH ACUTE}y = x"]
)
def test_lines_that_are_nothing(line: str) -> None:
    (mistake,) = wrong(f"[a]\n{line}\n  and its continuation\n")
    assert mistake == "gw.ini:2: [a] is neither [section], nor key = value, nor a comment (; or # in front)"


@pytest.mark.parametrize(
    "title", ["[", "[]", "[a", "a]", "[a:]", "[a:b c]", "[a] ; comment", "[:a]", "[a:" + "x" * 65 + "]"]
)
def test_titles_that_are_none(title: str) -> None:
    assert len(wrong(f"{title}\n")) == 1


def test_what_follows_a_broken_title_is_not_reported_as_lost() -> None:
    (mistake,) = wrong("[a]\n[b\nk = 1\n")
    assert mistake.startswith("gw.ini:2: a section is [kind] or [kind:name]")


def test_bytes_that_are_not_text() -> None:
    assert wrong(b"[a]\nk = \xff\nl = a\x00b\nm = a\rb\n") == [
        "gw.ini:2: [a] is not UTF-8: byte 0xff in column 5",
        "gw.ini:3: [a] has a control character, 0x00, in column 6",
        "gw.ini:4: [a] has a control character, 0x0d, in column 6",
    ]


def test_other_line_separators_of_unicode_do_not_count() -> None:
    (section,) = read("[a]\nk = x\N{LINE SEPARATOR}y\nl = z\n")
    assert section.entries["l"].line == 3


ini_bytes = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"[a]", b"[a:b]", b"k = v", b"  more", b"; c", b"", b"\xef\xbb\xbf", b"\r", b"[", b"k", b"="]),
    ),
    max_size=12,
).map(b"\n".join)


@given(ini_bytes)
def test_never_raises_and_points_into_the_file(data: bytes) -> None:
    sections, mistakes = read_sections(data, "f")
    last = data.count(b"\n") + 1
    assert all(1 <= mistake.place.line <= last for mistake in mistakes)
    assert all(1 <= entry.line <= last for section in sections for entry in section.entries.values())
