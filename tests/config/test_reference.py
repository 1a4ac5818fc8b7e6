"""The reference says all that is declared. Whether the page is up to date: tests/commands/test_reference.py."""

from __future__ import annotations

from gwproxy.config.loader import NAMED, SINGLE
from gwproxy.config.options import declared_options
from gwproxy.config.reference import reference


def test_every_option_of_every_section(filter_types: dict[str, type]) -> None:
    text = reference(filter_types)
    for title, options_class in [
        *((f"## [{kind}]", each) for kind, each in SINGLE.items()),
        *((f"## [{kind}:NAME]", each) for kind, each in NAMED.items()),
        ("### type = sample", filter_types["sample"]),
    ]:
        section = text.partition(f"{title}\n")[2].partition("\n#")[0]
        assert options_class.__doc__
        assert options_class.__doc__.splitlines()[0] in section
        for key in declared_options(options_class):
            assert f"\n| `{key}` |" in section


def test_rows(filter_types: dict[str, type]) -> None:
    text = reference(filter_types)
    assert "| `rate` | rate | required | How many. |" in text
    assert "| `burst` | int | `100` | At once. |" in text
    assert "| `labels` | list of text | `a, b` | Labels. |" in text
    assert "| `reactor` | auto \\| uv \\| epoll | `auto` |" in text


def test_a_class_without_a_word_about_it(filter_types: dict[str, type]) -> None:
    assert "### type = strict\n\n| option |" in reference(filter_types)
