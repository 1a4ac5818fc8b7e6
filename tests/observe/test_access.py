from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from gwproxy.errors import Reason
from gwproxy.filters.api import Principal
from gwproxy.observe import access
from gwproxy.observe.access import FIELDS, AccessLog

NOON = 1_700_000_000.0  # 2023-11-14T22:13:20Z
SECRET = "hunter2"


def log_of(written: Any, form: str = "json") -> AccessLog:
    return AccessLog(written.sink, form, wall=lambda: NOON)


def one(written: Any) -> dict[str, Any]:
    (line,) = written.lines()
    record: dict[str, Any] = json.loads(line)
    return record


def test_the_fields_in_their_order(written: Any, finished: Callable[..., Any]) -> None:
    log_of(written).log(finished())
    (line,) = written.lines()
    assert json.loads(line, object_pairs_hook=list) == [
        ("ts", "2023-11-14T22:13:19.750Z"),  # when it began
        ("id", "0123456789abcdef"),
        ("client", "192.0.2.7"),
        ("method", "GET"),
        ("host", "api.example.com"),
        ("path", "/users/17?page=2"),
        ("protocol", "HTTP/1.1"),
        ("route", "users"),
        ("upstream", "users"),
        ("server", "127.0.0.1:9001"),
        ("status", 200),
        ("by", "upstream"),
        ("reason", None),
        ("filter", None),
        ("ms", 250.0),
        ("upstream_ms", 200.0),
        ("bytes_in", 3),
        ("bytes_out", 1532),
        ("tries", 1),
        ("user", None),
        ("tls", None),
        ("ua", "curl/8.1"),
        ("trace", "4bf92f3577b34da6a3ce929d0e0e4736"),
    ]
    assert tuple(json.loads(line)) == FIELDS


def test_a_refused_request(written: Any, finished: Callable[..., Any]) -> None:
    exchange = finished(
        method=b"",
        host=b"",
        target=b"",
        version=b"",
        route=None,
        upstream_name=None,
        server_label=None,
        status=400,
        from_upstream=False,
        reason=Reason.BAD_REQUEST,
        detail="expected a token",
        upstream_seconds=None,
        tries=0,
        client_ip="",
        trace_id="",
        headers={},
    )
    log_of(written).log(exchange)
    record = one(written)
    assert [record[name] for name in ("status", "by", "reason", "tries")] == [400, "gateway", "bad_request", 0]
    nulls = [name for name in FIELDS if record[name] is None]
    assert nulls == ["client", "route", "upstream", "server", "filter", "upstream_ms", "user", "tls", "ua", "trace"]
    assert "expected a token" not in json.dumps(record)


def test_a_filters_answer(written: Any, finished: Callable[..., Any]) -> None:
    principal = Principal("alice", {"token": SECRET})
    exchange = finished(
        status=401,
        from_upstream=False,
        reason=Reason.FILTER,
        detail="token_expired",
        filter_name="jwt-main",
        principal=principal,
    )
    log_of(written).log(exchange)
    record = one(written)
    assert [record[name] for name in ("by", "reason", "filter", "user")] == [
        "gateway",
        "token_expired",
        "jwt-main",
        "alice",
    ]
    assert SECRET not in json.dumps(record)


@pytest.mark.parametrize(
    ("version", "shown"),
    [(b"1.0", "HTTP/1.0"), (b"1.1", "HTTP/1.1"), (b"2", "HTTP/2"), (b"9.9", "HTTP/9.9"), (b'"\n', 'HTTP/"\n')],
)
def test_the_protocol(written: Any, finished: Callable[..., Any], version: bytes, shown: str) -> None:
    log_of(written).log(finished(version=version))
    assert one(written)["protocol"] == shown


@pytest.mark.parametrize("form", ["json", "combined"])
def test_secrets_stay_out(written: Any, finished: Callable[..., Any], form: str) -> None:
    headers = {
        b"authorization": b"Bearer hunter2",
        b"cookie": b"session=hunter2",
        b"referer": b"https://a/?token=hunter2",
    }
    log_of(written, form).log(finished(target=b"/a?x=1&%41pi_key=hunter2&token=hunter2", headers=headers))
    (line,) = written.lines()
    assert SECRET.encode() not in line
    assert b"/a?x=1&%41pi_key=***&token=***" in line


@pytest.mark.parametrize("form", ["json", "combined"])
def test_what_clients_make_long_is_cut(written: Any, finished: Callable[..., Any], form: str) -> None:
    long = 1 << 20
    exchange = finished(
        target=b"/" + b"p" * long,
        method=b"M" * long,
        host=b"h" * long,
        version=b"v" * long,
        request_id="i" * long,
        principal=Principal("u" * long),
        headers={b"user-agent": b"a" * long, b"referer": b"r" * long},
    )
    log = log_of(written, form)
    log.log(exchange)
    (line,) = written.lines()
    assert len(line) < 16384
    assert b"p" * 8191 in line
    assert b"a" * 1024 in line
    assert b"a" * 1025 not in line
    # and nothing of it stays in memory
    assert sum(len(word or b"") for word in log._words) < 16384


def test_what_clients_vary_does_not_fill_the_memory(written: Any, finished: Callable[..., Any]) -> None:
    log = log_of(written)
    for number in range(3000):
        log.log(finished(host=b"h%d" % number, upstream_name=f"u{number}"))
    assert max(len(log._words), len(log._outcomes)) <= access._MAX_QUOTED
    assert [json.loads(line)["host"] for line in written.lines()] == [f"h{number}" for number in range(3000)]


@settings(max_examples=200)
@given(data=strategies.binary(max_size=40))
def test_hostile_bytes_give_one_line_that_parses(data: bytes) -> None:
    lines: list[bytes] = []
    text = data.decode("latin-1")
    exchange = _finished(data)
    log = AccessLog(_Collecting(lines), "json", wall=lambda: NOON)  # type: ignore[arg-type]  # only write() is used
    log.log(exchange)
    (line,) = lines
    assert line.count(b"\n") == 1
    record = json.loads(line)
    assert tuple(record) == FIELDS
    assert [record[name] for name in ("method", "host", "ua", "id", "user")] == [text] * 5
    AccessLog(_Collecting(lines), "combined", wall=lambda: NOON).log(exchange)  # type: ignore[arg-type]  # the same
    assert re.fullmatch(rb'\S+ - \S+ \[[^]]+\] "[ -~]*" \d+ \d+ "[ -~]*" "[ -~]*"\n', lines[1])
    assert lines[1].count(b'"') == 6


class _Collecting:
    def __init__(self, lines: list[bytes]) -> None:
        self.write = lines.append


class _Text:
    """Everything that a client can choose is `data`."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def header(self, name: bytes) -> bytes:
        return self.data


def _finished(data: bytes) -> Any:
    text = data.decode("latin-1")
    exchange: Any = _Text(data)
    exchange.method = exchange.host = exchange.target = exchange.version = data
    exchange.request_id = exchange.trace_id = exchange.client_ip = exchange.detail = text
    exchange.principal = Principal(text)
    exchange.route = exchange.reason = exchange.upstream_name = exchange.server_label = exchange.filter_name = None
    exchange.started = exchange.ended = 0.0
    exchange.upstream_seconds = None
    exchange.from_upstream = False
    exchange.status = exchange.bytes_in = exchange.bytes_out = exchange.tries = 0
    return exchange


def test_combined(written: Any, finished: Callable[..., Any]) -> None:
    log = log_of(written, "combined")
    log.log(finished(headers={b"user-agent": b'a"b\\c\n', b"referer": b"https://a/"}, principal=Principal("al ice")))
    log.log(finished(client_ip="", principal=None, headers={}))
    assert written.lines() == [
        b'192.0.2.7 - al\\x20ice [14/Nov/2023:22:13:19 +0000] "GET /users/17?page=2 HTTP/1.1" 200 1532 "https://a/" '
        b'"a\\x22b\\x5Cc\\x0A"',
        b'- - - [14/Nov/2023:22:13:19 +0000] "GET /users/17?page=2 HTTP/1.1" 200 1532 "-" "-"',
    ]


def test_an_unknown_format_is_refused(written: Any) -> None:
    with pytest.raises(KeyError):
        AccessLog(written.sink, "xml")


def _document() -> str:
    text = (Path(__file__).parents[2] / "docs/logs.md").read_text()
    return text.partition("\n## Access log\n")[2].partition("\n## ")[0]


def test_the_document_names_the_fields() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \|", _document(), re.MULTILINE)) == FIELDS


def test_the_document_names_every_reason() -> None:
    assert set(re.findall(r"`(\w+)`", _document().partition("\nReasons:")[2].partition("\n\n")[0])) == set(Reason)
