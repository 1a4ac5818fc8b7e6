from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gwproxy.errors import Reason
from gwproxy.observe.finished import CLIENT_FAULTS
from gwproxy.observe.security import FIELDS, SecurityLog

NOON = 1_700_000_000.0


def log_of(written: Any) -> SecurityLog:
    return SecurityLog(written.sink, wall=lambda: NOON)


def test_the_fields_in_their_order(written: Any, finished: Callable[..., Any]) -> None:
    log_of(written).event(finished(), "auth_failed", reason="token_expired", filter="jwt-main", mode="shadow")
    (line,) = written.lines()
    assert json.loads(line, object_pairs_hook=list) == [
        ("ts", "2023-11-14T22:13:20.000Z"),
        ("id", "0123456789abcdef"),
        ("client", "192.0.2.7"),
        ("event", "auth_failed"),
        ("filter", "jwt-main"),
        ("reason", "token_expired"),
        ("route", "users"),
        ("mode", "shadow"),
    ]
    assert tuple(json.loads(line)) == FIELDS


def test_an_event_without_an_exchange(written: Any) -> None:
    log_of(written).event(None, "tls_refused", reason="no_certificate", client="192.0.2.9")
    (line,) = written.lines()
    record = json.loads(line)
    assert record["client"] == "192.0.2.9"
    assert [name for name in FIELDS if record[name] is None] == ["id", "filter", "route", "mode"]


@pytest.mark.parametrize("reason", sorted(CLIENT_FAULTS))
def test_a_request_refused_as_it_is_written_is_an_event(
    written: Any, finished: Callable[..., Any], reason: Reason
) -> None:
    log_of(written).exchange_finished(finished(reason=reason, route=None))
    (line,) = written.lines()
    record = json.loads(line)
    assert [record[name] for name in ("event", "reason", "route")] == ["bad_request", reason.value, None]


@pytest.mark.parametrize("reason", [None, *sorted(set(Reason) - CLIENT_FAULTS)])
def test_other_ends_are_none(written: Any, finished: Callable[..., Any], reason: Reason | None) -> None:
    log_of(written).exchange_finished(finished(reason=reason))
    assert written.lines() == []


def test_hostile_text_gives_one_line(written: Any, finished: Callable[..., Any]) -> None:
    log_of(written).event(finished(request_id='a"\n\u2028\udcff' * 9999), "forbidden", reason="\r\n" * 9999)
    (line,) = written.lines()
    assert line.isascii()
    assert len(line) < 4096
    json.loads(line)


def test_the_document_names_the_fields() -> None:
    text = (Path(__file__).parents[2] / "docs/logs.md").read_text()
    section = text.partition("\n## Security log\n")[2].partition("<!-- events: begin -->")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == FIELDS
