"""What a context gives beside plain values: stores by name, and files that are watched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from gwproxy.config.mistakes import ConfigMistake
from gwproxy.store.redis import Store
from gwproxy.testing import Surroundings


def number(data: bytes) -> int:
    return int(data)


def other_number(data: bytes) -> int:
    return -int(data)


def test_a_store_is_found_by_name_and_a_misspelt_one_is_told() -> None:
    shared = cast(Store, object())
    context = Surroundings(stores={"shared": shared}).context()
    assert context.store("shared") is shared
    with pytest.raises(ConfigMistake, match=r"there is no such \[store:NAME\].*shared") as raised:
        context.store("shard")
    assert raised.value.key == "store"


def test_a_file_is_shared_by_who_reads_it_the_same_way_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    around = Surroundings()
    watched = around.context("a").watched_file(path, number)
    assert around.context("b").watched_file(path, number) is watched
    other: Any = around.context("b").watched_file(path, other_number)
    assert (watched.value, other.value) == (1, -1)
    around.keeper.start()
    path.write_text("22")
    around.clock.advance(1)
    assert (watched.value, other.value) == (22, -22)
    around.keeper.stop()


@pytest.mark.parametrize(("content", "wrong"), [(None, "cannot be read"), ("x", "invalid literal")])
def test_a_file_that_is_wrong_is_a_mistake_of_its_option(tmp_path: Path, content: str | None, wrong: str) -> None:
    path = tmp_path / "number"
    if content is not None:
        path.write_text(content)
    around = Surroundings()
    with pytest.raises(ConfigMistake, match=wrong) as raised:
        around.context().watched_file(path, number, "list_file")
    assert raised.value.key == "list_file"
    assert str(path) in str(raised.value)
    path.write_text("1")
    assert around.context().watched_file(path, number).value == 1
