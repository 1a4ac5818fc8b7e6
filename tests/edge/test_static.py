"""Routes that serve a folder: what is shown of it, what never is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.kit.fixtures import MakeFlow
from tests.flow.kit.flow import Flow
from tests.flow.kit.wire import BUFFER

LARGE = bytes(range(256)) * 2048


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that is served; beside it a secret."""
    served = tmp_path / "served"
    (served / "sub").mkdir(parents=True)
    (served / "page.html").write_bytes(b"<p>page</p>")
    (served / "sub/index.html").write_bytes(b"index")
    (served / "a b.txt").write_bytes(b"blank")
    (served / "large.bin").write_bytes(LARGE)
    (served / ".hidden").write_bytes(b"secret")
    (served / ".git").mkdir()
    (served / ".git/config").write_bytes(b"secret")
    (served / "empty").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "served-too").mkdir()
    (tmp_path / "served-too/secret").write_bytes(b"secret")
    (served / "out").symlink_to(tmp_path / "secret")
    (served / "out-folder").symlink_to(tmp_path)
    (served / "twin").symlink_to(tmp_path / "served-too")
    (served / "in").symlink_to(served / "page.html")
    return served


@pytest.fixture
def flow(folder: Path, make_flow: MakeFlow) -> Flow:
    return make_flow(more=f"[route:files]\npath = /files/\nstatic = {folder}\n")


def ask(flow: Flow, path: bytes, *fields: bytes, method: bytes = b"GET") -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Status line, fields in lower case and body of the answer."""
    lines = b"".join(field + b"\r\n" for field in fields)
    flow.client >> b"%b /files/%b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (method, path, lines)
    head, _, body = flow.client.take_raw().partition(b"\r\n\r\n")
    line, *rest = head.split(b"\r\n")
    headers = dict(field.lower().split(b": ", 1) for field in rest)
    return line.removeprefix(b"HTTP/1.1 "), headers, body


@pytest.mark.parametrize(
    ("path", "kind", "content"),
    [
        (b"page.html", b"text/html", b"<p>page</p>"),
        (b"a%20b.txt", b"text/plain", b"blank"),
        (b"sub/", b"text/html", b"index"),
        (b"sub/index.html", b"text/html", b"index"),
        (b"in", b"text/html", b"<p>page</p>"),
        (b"sub/../page.html", b"text/html", b"<p>page</p>"),
    ],
)
def test_files(path: bytes, kind: bytes, content: bytes, flow: Flow) -> None:
    status, headers, body = ask(flow, path)
    assert (status, body) == (b"200 OK", content)
    assert headers[b"content-length"] == b"%d" % len(content)
    if path != b"in":
        assert headers[b"content-type"].startswith(kind)
    assert (flow.last["reason"], flow.last["by"]) == ("static", "gateway")


@pytest.mark.parametrize(
    "path",
    [
        b"none",
        b".hidden",
        b"%2ehidden",
        b".git/config",
        b"sub/../.hidden",
        b"empty/",
        b"out",
        b"out-folder/secret",
        b"out-folder/served/page.html",
        b"twin/secret",
        b"page.html/more",
        b"..%2fsecret",
        b"sub%2f..%2f..%2fsecret",
        b"%5c..%5csecret",
        b"a%00b",
        b"page.html%00",
        b"//page.html/..%2f..",
    ],
)
def test_what_is_not_shown_is_not_there(path: bytes, flow: Flow) -> None:
    status, headers, body = ask(flow, path)
    assert status in (b"404 Not Found", b"400 Bad Request"), body
    assert b"secret" not in body
    assert headers[b"content-type"] == b"application/problem+json"
    assert flow.last["reason"] in ("no_file", "bad_target")


@pytest.mark.parametrize("path", [b"../secret", b"%2e%2e/secret", b"sub/../../secret"])
def test_no_path_leads_out(path: bytes, flow: Flow) -> None:
    """It is normalised before it is matched: then no route of files has it any more, or it is above the root."""
    flow.client >> b"GET /files/%b HTTP/1.1\r\nHost: a\r\n\r\n" % path
    if flow.dials:
        flow.upstream >> b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert b"secret" not in flow.client.take_raw()


def test_a_folder_without_its_slash(flow: Flow) -> None:
    status, headers, _ = ask(flow, b"sub?a=1")
    assert status.startswith(b"302")
    assert headers[b"location"].endswith(b"/files/sub/?a=1")


def test_head(flow: Flow) -> None:
    status, headers, body = ask(flow, b"page.html", method=b"HEAD")
    assert (status, headers[b"content-length"], body) == (b"200 OK", b"11", b"")


@pytest.mark.parametrize("method", [b"POST", b"DELETE"])
def test_other_methods(method: bytes, flow: Flow) -> None:
    status, headers, _ = ask(flow, b"page.html", method=method)
    assert status.startswith(b"405")
    assert headers[b"allow"] == b"get, head"


def test_what_the_client_has_is_not_sent_again(flow: Flow) -> None:
    _, headers, _ = ask(flow, b"page.html")
    etag, modified = headers[b"etag"], headers[b"last-modified"].title().replace(b"Gmt", b"GMT")
    for condition in (
        b"If-None-Match: " + etag,
        b'If-None-Match: "x", W/' + etag,
        b"If-None-Match: *",
        b"If-Modified-Since: " + modified,
    ):
        status, headers, body = ask(flow, b"page.html", condition)
        assert (status, body) == (b"304 Not Modified", b""), condition
        assert headers[b"etag"] == etag
    # A tag that does not match counts for more than a date that does (RFC 9110 section 13.2.2).
    status, _, body = ask(flow, b"page.html", b'If-None-Match: "other"', b"If-Modified-Since: " + modified)
    assert (status, body) == (b"200 OK", b"<p>page</p>")


def test_parts(flow: Flow) -> None:
    _, headers, _ = ask(flow, b"page.html")
    etag = headers[b"etag"]
    status, headers, body = ask(flow, b"page.html", b"Range: bytes=3-6")
    assert (status, headers[b"content-range"], body) == (b"206 Partial Content", b"bytes 3-6/11", b"page")
    status, _, body = ask(flow, b"page.html", b"Range: bytes=-4")
    assert (status, body) == (b"206 Partial Content", b"</p>")
    status, headers, _ = ask(flow, b"page.html", b"Range: bytes=100-")
    assert (status[:3], headers[b"content-range"]) == (b"416", b"bytes */11")
    # If-Range: a part of what the client has, or all of what it has not (RFC 9110 section 13.1.5).
    assert ask(flow, b"page.html", b"Range: bytes=3-6", b"If-Range: " + etag)[2] == b"page"
    assert ask(flow, b"page.html", b"Range: bytes=3-6", b'If-Range: "other"')[2] == b"<p>page</p>"


def test_a_large_file_is_read_as_fast_as_the_client_reads(flow: Flow) -> None:
    flow.client.stops_reading()
    flow.client >> b"GET /files/large.bin HTTP/1.1\r\nHost: a\r\n\r\n"
    for _ in range(20):
        flow.clock.advance(0)
    held = len(flow.client.wire.unsent)
    assert BUFFER < held < 3 * BUFFER, "two buffers, whatever the file's size"
    flow.client.reads_on()
    assert flow.client.take_raw().partition(b"\r\n\r\n")[2] == LARGE
    assert flow.last["bytes_out"] == len(LARGE)


def test_a_client_that_goes_while_a_file_is_sent(flow: Flow) -> None:
    flow.client.stops_reading()
    flow.client >> b"GET /files/large.bin HTTP/1.1\r\nHost: a\r\n\r\n"
    flow.client.resets()
    flow.logged(status=499, reason="client_gone")
