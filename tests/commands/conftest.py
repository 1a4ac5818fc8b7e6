"""A configuration that commands are tried with."""

from __future__ import annotations

from pathlib import Path

import pytest

TEXT = """\
[listen:http]
endpoint = tcp:0
[upstream:users]
servers = http://127.0.0.1:9001, unix:/run/users.sock
[route:users]
host = api.example.com
path = /user/
methods = GET, POST
upstream = users
strip_prefix = /user
add_prefix = /v1
filters = headers, more
encoded_slashes = reject
[route:hello]
path = = /hello
respond = 200 hello
[route:old]
path = /old/
redirect = 308 https://example.com$uri
[route:files]
path = /files/
static = .
[filter:headers]
type = headers
response_set = X-A: 1
[filter:more]
type = security_headers
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "gw.ini"
    path.write_text(TEXT)
    return str(path)
