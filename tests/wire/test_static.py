"""Routes with `static = DIR`: which files are served, which are not, and what is said of them.

Parts of files, and large ones, are in test_static_parts.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Framing
from tests.wire.kit.refusal import AccessLedger, check_reply

CONFIG = """
[log]
access = access.log
error = error.log

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[filter:marked]
type = headers
response_set = X-Marked: yes, Cache-Control: max-age=60

[filter:safe]
type = security_headers

[route:files]
path = /files/
static = files

[route:filtered]
path = /filtered/
static = files
filters = marked, safe

[route:root]
host = root.test
static = files
"""
TEXT = b"abcdefghijklmnopqrstuvwxyz"
LONG_AGO = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


def make_files(folder: Path) -> None:
    """A folder `files`, and what stands beside it."""
    files = folder / "files"
    for path, data in {
        "files/index.html": b"<h1>home</h1>",
        "files/text.txt": TEXT,
        "files/style.css": b"a{}",
        "files/empty.txt": b"",
        "files/no-ending": b"<script>",
        "files/odd.strange": b"<script>",
        "files/page.tar.gz": b"\x1f\x8b",
        "files/sub/index.html": b"<h1>sub</h1>",
        "files/sub/deep.txt": b"deep",
        "files/bare/file.txt": b"no index here",
        "files/a b%c.txt": b"odd name",
        "files/caf\u00e9.txt": b"accent",
        "files/...": b"three dots",
        "files/.hidden": b"secret",
        "files/.git/config": b"secret",
        "files/sub/.htpasswd": b"secret",
        "secret.txt": b"secret",
        "files-and-more/secret.txt": b"secret",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    os.utime(files / "text.txt", (LONG_AGO, LONG_AGO))
    (files / "inside.txt").symlink_to("text.txt")
    (files / "inside").symlink_to("sub")
    (files / "outside.txt").symlink_to("../secret.txt")
    (files / "outside").symlink_to(folder)
    (files / "beside").symlink_to(folder / "files-and-more")
    (files / "circle").symlink_to("circle")
    (files / "nowhere").symlink_to("none")
    os.mkfifo(files / "fifo")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("static")
    make_files(folder)
    with running(CONFIG, folder, {}) as process:
        yield process


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[RawClient]:
    with gateway.connect() as client:
        yield client


def etag_of(client: RawClient, target: bytes) -> bytes:
    etag = client.ask(request(target=target)).headers.get(b"etag")
    assert etag
    return etag


# What is there


def test_a_file(client: RawClient, ledger: AccessLedger) -> None:
    response = client.ask(request(target=b"/files/text.txt"))
    assert (response.status, response.body, response.framing) == (200, TEXT, Framing.LENGTH)
    headers = response.headers
    assert headers.get(b"content-type") == b"text/plain"
    assert headers.get(b"last-modified") == DATE
    assert headers.get(b"accept-ranges") == b"bytes"
    etag = headers.get(b"etag") or b""
    assert (etag[:1], etag[-1:], len(etag) > 2) == (b'"', b'"', True)
    assert headers.get(b"date")
    ledger.expect(response, "static", Reason.STATIC, by="gateway", route="files", bytes_out=len(TEXT))


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (b"/files/", b"<h1>home</h1>"),
        (b"/files/index.html", b"<h1>home</h1>"),
        (b"/files/sub/", b"<h1>sub</h1>"),
        (b"/files/sub/deep.txt", b"deep"),
        (b"/files/sub/../sub/./deep.txt", b"deep"),
        (b"/files//sub//deep.txt", b"deep"),
        (b"//files/text.txt?x=/../y", TEXT),
        (b"/files/empty.txt", b""),
        (b"/files/a%20b%25c.txt", b"odd name"),
        (b"/files/caf%C3%A9.txt", b"accent"),
        (b"/files/t%65xt.txt", TEXT),
        (b"/files/inside.txt", TEXT),
        (b"/files/inside/deep.txt", b"deep"),
        (b"http://a.test/files/text.txt", TEXT),
    ],
)
def test_files_and_indexes(client: RawClient, target: bytes, body: bytes) -> None:
    response = client.ask(request(target=target))
    assert (response.status, response.body) == (200, body)
    # and the connection goes on
    assert client.ask(request(target=b"/", host=b"root.test")).body == b"<h1>home</h1>"


@pytest.mark.parametrize(
    ("name", "kind", "coding"),
    [
        (b"style.css", b"text/css", None),
        (b"index.html", b"text/html", None),
        (b"page.tar.gz", b"application/x-tar", b"gzip"),
        # what it is, nobody said: no browser is to take it for a page
        (b"no-ending", b"application/octet-stream", None),
        (b"odd.strange", b"application/octet-stream", None),
    ],
)
def test_types(client: RawClient, name: bytes, kind: bytes, coding: bytes | None) -> None:
    headers = client.ask(request(target=b"/files/" + name)).headers
    assert (headers.get(b"content-type"), headers.get(b"content-encoding")) == (kind, coding)


@pytest.mark.parametrize(
    ("target", "location"),
    [
        (b"/files/sub", b"/files/sub/"),
        (b"/files/sub?a=1&b", b"/files/sub/?a=1&b"),
        (b"/files/bare", b"/files/bare/"),
        (b"/files/%73ub", b"/files/%73ub/"),
        (b"http://a.test/files/sub", b"/files/sub/"),
        (b"//files/sub", b"/files/sub/"),
        # N13: never another server
        (b"//evil.test/../files/sub", b"/files/sub/"),
        (b"//evil.test/..//files/sub", b"/files/sub/"),
        (b"http://evil.test//evil.test/../files/sub", b"/files/sub/"),
    ],
)
def test_a_folder_has_a_slash(client: RawClient, target: bytes, location: bytes) -> None:
    response = client.ask(request(target=target))
    assert response.status in (301, 302, 307, 308)
    got = response.headers.get(b"location") or b""
    assert got[1:2] != b"/"
    assert got.replace(b"//", b"/") == location


# What is not


ABSENT = [
    *[b"none", b"none/", b"none/none.txt", b"text.txt/", b"text.txt/none", b"bare/", b"TEXT.TXT", b"text"],
    *[b".hidden", b".git/config", b".git/", b".git", b"sub/.htpasswd", b"%2ehidden", b"%2Egit/config", b"..."],
    *[b"outside.txt", b"outside/secret.txt", b"outside/", b"outside", b"beside/secret.txt", b"circle", b"nowhere"],
    *[b"fifo", b"caf%E9.txt", b"%ff", b"%ff/text.txt", b"text.txt%20", b"text.txt%0a", b"%2Fetc/passwd"],
    *[b"sub%2Fdeep.txt", b"sub%5Cdeep.txt", b"%252e%252e/secret.txt", b"text.txt%3Fx", b"a" * 300, b"~", b"-"],
]


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_not_served_is_not_there(client: RawClient, ledger: AccessLedger, name: bytes) -> None:
    response = client.ask(request(target=b"/files/" + name))
    check_reply(response, 404, Reason.NO_FILE)
    assert b"secret" not in response.body
    assert b"x-marked" not in response.headers
    assert client.ask(request(target=b"/files/text.txt")).body == TEXT
    ledger.expect(response, f"static {name!r}", Reason.NO_FILE, by="gateway", route="files")


@pytest.mark.parametrize(
    "target",
    [
        *[b"/files/../secret.txt", b"/files/..", b"/files/%2e%2e/secret.txt", b"/files/.%2E/secret.txt"],
        *[b"/files/sub/../../secret.txt", b"/files/sub/%2e%2e/%2e%2e/secret.txt", b"/files//../secret.txt"],
        *[
            b"/files/..%2fsecret.txt",
            b"/files/%2e%2e%2fsecret.txt",
            b"/files/..%5csecret.txt",
            b"/files/..\\secret.txt",
        ],
        *[b"/files/..%252fsecret.txt", b"/files/..%c0%afsecret.txt", b"/files/%c0%ae%c0%ae/secret.txt"],
        *[b"/files/..;/secret.txt", b"/files/..%00/secret.txt", b"/files/secret.txt%00.txt", b"/../secret.txt"],
        *[b"/files/%uff0e%uff0e/secret.txt", b"/files/%ef%bc%8e%ef%bc%8e/secret.txt", b"/files/....//secret.txt"],
    ],
)
@pytest.mark.parametrize("host", [b"a.test", b"root.test"])
def test_no_way_out_of_the_folder(client: RawClient, target: bytes, host: bytes) -> None:
    if host == b"root.test":
        target = target.replace(b"/files/", b"/", 1)
    response = client.ask(request(target=target, host=host))
    assert response.status in (400, 404)
    assert b"secret" not in response.body


def test_a_page_for_who_prefers_it(client: RawClient) -> None:
    response = client.ask(request(b"Accept: text/html", target=b"/files/none"))
    assert response.status == 404
    assert response.headers.get(b"content-type") == b"text/html; charset=utf-8"


# Methods


@pytest.mark.parametrize(
    "target", [b"/files/text.txt", b"/files/", b"/files/empty.txt", b"/files/none", b"/files/sub", b"/files/.hidden"]
)
def test_head_is_get_without_the_body(client: RawClient, target: bytes) -> None:
    head = client.ask(request(method=b"HEAD", target=target), method=b"HEAD")
    got = client.ask(request(target=target))
    assert head.status == got.status
    for name in (b"content-type", b"content-length", b"etag", b"last-modified", b"location", b"accept-ranges"):
        assert head.headers.get(name) == got.headers.get(name), name


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PROPFIND", b"get"])
@pytest.mark.parametrize("target", [b"/files/text.txt", b"/files/", b"/files/sub"])
def test_files_are_only_read(client: RawClient, ledger: AccessLedger, method: bytes, target: bytes) -> None:
    raw = request(b"Content-Length: 3", method=method, target=target, body=b"abc")
    response = client.ask(raw)
    check_reply(response, 405, Reason.METHOD)
    assert response.headers.get(b"allow") == b"GET, HEAD"
    assert client.ask(request(target=b"/files/text.txt")).body == TEXT
    ledger.expect(response, f"static {method!r}", Reason.METHOD, by="gateway", route="files")


def test_an_old_client(client: RawClient) -> None:
    response = client.ask(request(target=b"/files/text.txt", version=b"1.0"))
    assert (response.body, response.headers.get(b"connection")) == (TEXT, b"close")


def test_pipelined(client: RawClient) -> None:
    names = [b"text.txt", b"none", b"style.css", b"empty.txt", b"sub/deep.txt"]
    client.send(b"".join(request(target=b"/files/" + name) for name in names))
    responses = [client.read_response() for _ in names]
    assert [response.status for response in responses] == [200, 404, 200, 200, 200]
    assert [responses[i].body for i in (0, 2, 3, 4)] == [TEXT, b"a{}", b"", b"deep"]


# Conditions (RFC 9110 section 13)


@pytest.mark.parametrize("form", [b"%b", b"W/%b", b'"x", %b', b'%b,"x"', b"*", b'W/"x",W/%b , "y"'])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_304_by_the_tag(client: RawClient, ledger: AccessLedger, form: bytes, method: bytes) -> None:
    etag = etag_of(client, b"/files/text.txt")
    value = form % etag if b"%b" in form else form
    response = client.ask(request(b"If-None-Match: " + value, method=method, target=b"/files/text.txt"), method=method)
    assert (response.status, response.headers.get(b"etag")) == (304, etag)
    # RFC 9110 section 8.6: the length of the file or none
    assert response.headers.get(b"content-length") in (None, b"26")
    assert client.ask(request(target=b"/files/sub/deep.txt")).body == b"deep"
    ledger.expect(response, "304", Reason.STATIC, by="gateway", bytes_out=0)


@pytest.mark.parametrize("date", [DATE, b"Mon, 07 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT"])
def test_304_by_the_date(client: RawClient, date: bytes) -> None:
    response = client.ask(request(b"If-Modified-Since: " + date, target=b"/files/text.txt"))
    assert response.status == 304
    assert response.headers.get(b"content-length") in (None, b"26")
    assert response.headers.get(b"etag")


@pytest.mark.parametrize(
    "lines",
    [
        [b'If-None-Match: "other"'],
        [b"If-None-Match: other"],
        [b'If-None-Match: W/"x", "y"'],
        [b"If-Modified-Since: Sat, 05 Nov 1994 08:49:37 GMT"],
        [b"If-Modified-Since: nonsense"],
        # the tag decides where there is one
        [b'If-None-Match: "other"', b"If-Modified-Since: " + DATE],
    ],
)
def test_200_when_the_condition_does_not_hold(client: RawClient, lines: list[bytes]) -> None:
    response = client.ask(request(*lines, target=b"/files/text.txt"))
    assert (response.status, response.body) == (200, TEXT)


def test_the_tag_changes_with_the_file(gateway: GatewayProcess, client: RawClient) -> None:
    file = gateway.folder / "files" / "changing.txt"
    file.write_bytes(b"one")
    os.utime(file, (LONG_AGO, LONG_AGO))
    before = etag_of(client, b"/files/changing.txt")
    file.write_bytes(b"two!")
    os.utime(file, (LONG_AGO, LONG_AGO))
    response = client.ask(request(b"If-None-Match: " + before, target=b"/files/changing.txt"))
    assert (response.status, response.body) == (200, b"two!")
    longer = etag_of(client, b"/files/changing.txt")
    os.utime(file, (LONG_AGO, LONG_AGO + 1))
    assert len({before, longer, etag_of(client, b"/files/changing.txt")}) == 3


# Filters


@pytest.mark.parametrize(
    ("name", "lines", "status"),
    [
        (b"text.txt", [], 200),
        (b"text.txt", [b"If-None-Match: *"], 304),
        (b"text.txt", [b"Range: bytes=0-1"], 206),
        (b"text.txt", [b"Range: bytes=99-"], 416),
        (b"none", [], 404),
        (b"sub", [], 302),
    ],
)
def test_filters_see_every_answer(client: RawClient, name: bytes, lines: list[bytes], status: int) -> None:
    response = client.ask(request(*lines, target=b"/filtered/" + name))
    assert response.status == status
    headers = response.headers
    assert (headers.get(b"x-marked"), headers.get(b"cache-control")) == (b"yes", b"max-age=60")
    assert headers.get(b"x-content-type-options") == b"nosniff"
    assert headers.get(b"x-request-id")
    if status >= 400:
        assert json.loads(response.body)["status"] == status
