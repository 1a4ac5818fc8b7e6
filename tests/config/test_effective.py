"""`gwproxy check --show`: the configuration in force, as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from gwproxy.config import Config, show

Load = Callable[..., Config]

TEXT = """\
[gateway]
trusted_proxies = 10.0.0.0/8
[listen:a]
endpoint = tcp:${PORT}
idle_timeout = 1.5s
[upstream:u]
servers = http://[::1]:80 weight=3
    unix:u.sock
    builtin:echo
[route:one]
host = *.a.example
path = ~ /a{1,2}$${x}
methods = GET, foo
upstream = u
filters = f
max_body = none
[route:two]
path = = /two
respond = 200 first
    $${second}
[route:three]
path = /three/{id}
static = .
[route:four]
path = /four
redirect = 308 https://a.example$uri
[filter:f]
type = sample
rate = 5/m
class = x
labels =
"""


def comparable(config: Config) -> Config:
    return attrs.evolve(config, places={}, hidden={})


def test_loads_to_the_same(load_text: Load) -> None:
    config = load_text(TEXT, {"PORT": "8080"})
    shown = show(config)
    again = load_text(shown)
    assert comparable(again) == comparable(config)
    assert [server.weight for server in again.upstreams["u"].servers] == [3, 1, 1]
    assert show(again) == shown


def test_defaults_are_shown(load_text: Load) -> None:
    lines = show(load_text(TEXT, {"PORT": "8080"})).splitlines()
    for line in (
        "drain = 30s",
        "max_header_size = 32k",
        "endpoint = tcp:8080",
        "; static =",
        "burst = 100",
        "labels =",
    ):
        assert line in lines


def test_no_secret_is_shown(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    config = load_text(
        "[listen:a]\nendpoint = tcp:0\n[route:r]\nrespond = 200 ${file:secret}\n"
        "[filter:f]\ntype = sample\nrate = 1/s\npassword = hunter2\n"
        "[filter:g]\ntype = sample\nrate = 1/s\npassword = ${PASSWORD}\n"
        "[filter:h]\ntype = sample\nrate = 1/s\npassword = ${UNSET:-hunter2}\n"
        "[filter:i]\ntype = sample\nrate = 1/s\npassword = hunter2${EMPTY}\n"
        "[filter:j]\ntype = sample\nrate = 1/s\npassword = ${EMPTY}hunter2\n",
        {"PASSWORD": "hunter2", "EMPTY": ""},
    )
    assert {section.options.password for section in config.filters.values()} == {"hunter2"}
    assert "hunter2" not in repr(config.filters)
    shown = show(config)
    assert "hunter2" not in shown
    lines = shown.splitlines()
    assert "respond = 200 ${file:secret}" in lines
    assert lines.count("password = ***") == 4
    assert "password = ${PASSWORD}" in lines
    assert comparable(load_text(shown.replace("***", "hunter2"), {"PASSWORD": "hunter2"})) == comparable(config)
