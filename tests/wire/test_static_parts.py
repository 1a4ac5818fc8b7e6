"""Routes with `static = DIR`: parts of files (RFC 9110 section 14), and files larger than any buffer."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.messages import Response
from tests.wire.kit.reader import PATIENCE
from tests.wire.kit.refusal import AccessLedger, check_reply

CONFIG = """
[log]
access = access.log
error = error.log

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1

[route:files]
path = /files/
static = files
"""
TEXT = b"abcdefghijklmnopqrstuvwxyz"
LONG_AGO = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
LARGE = 200 << 20
# Where the large file, which has no blocks otherwise, is not zero.
MARKS = {0: b"begin", LARGE // 2 - 3: b"middle", LARGE - 3: b"end"}
# What a gateway may grow by while it serves a large file: buffers, and the slack of its allocator.
SLACK = 8 << 20


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("static")
    files = folder / "files"
    files.mkdir()
    (files / "text.txt").write_bytes(TEXT)
    os.utime(files / "text.txt", (LONG_AGO, LONG_AGO))
    (files / "empty.txt").touch()
    make_large(files / "large.bin")
    with running(CONFIG, folder, {}) as process:
        yield process


def make_large(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(LARGE)
        for place, mark in MARKS.items():
            out.seek(place)
            out.write(mark)


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[RawClient]:
    with gateway.connect() as client:
        yield client


def get(client: RawClient, *lines: bytes, name: bytes = b"text.txt", method: bytes = b"GET") -> Response:
    return client.ask(request(*lines, method=method, target=b"/files/" + name), method=method)


# One part


@pytest.mark.parametrize(
    ("value", "part", "place"),
    [
        (b"bytes=0-4", b"abcde", b"0-4"),
        (b"bytes=0-0", b"a", b"0-0"),
        (b"bytes=20-", b"uvwxyz", b"20-25"),
        (b"bytes=-3", b"xyz", b"23-25"),
        (b"bytes=-99", TEXT, b"0-25"),
        (b"bytes=20-99", b"uvwxyz", b"20-25"),
        (b"bytes=0-25", TEXT, b"0-25"),
        (b"BYTES=1-1", b"b", b"1-1"),
        (b"bytes=99-,1-1", b"b", b"1-1"),
    ],
)
def test_a_part(client: RawClient, ledger: AccessLedger, value: bytes, part: bytes, place: bytes) -> None:
    response = get(client, b"Range: " + value)
    assert (response.status, response.body) == (206, part)
    assert response.headers.get(b"content-range") == b"bytes %b/26" % place
    assert response.headers.get(b"content-length") == b"%d" % len(part)
    assert response.headers.get(b"content-type") == b"text/plain"
    assert response.headers.get(b"etag")
    assert get(client).body == TEXT
    ledger.expect(response, f"206 {value!r}", Reason.STATIC, by="gateway", bytes_out=len(part))


@pytest.mark.parametrize(
    "lines",
    [
        [b"Range: bytes=4-0"],
        [b"Range: lines=0-4"],
        [b"Range: nonsense"],
        [b"Range: bytes="],
        [b"Range: bytes=0-4;5-6"],
        [b"Range: bytes=-"],
        [b"Range: bytes=0-1", b"Range: bytes=2-3"],
        # would be more than the file
        [b"Range: bytes=0-,0-"],
        [b"Range: bytes=" + b"0-," * 5000],
        [b"Range: bytes=" + b",".join([b"0-0"] * 200)],
    ],
)
def test_ranges_that_are_ignored(client: RawClient, lines: list[bytes]) -> None:
    response = get(client, *lines)
    assert (response.status, response.body) == (200, TEXT)
    assert b"content-range" not in response.headers


@pytest.mark.parametrize("value", [b"bytes=26-", b"bytes=100-200", b"bytes=-0", b"bytes=26-,30-40", b"bytes=99-,-0"])
def test_416_for_what_is_not_there(client: RawClient, ledger: AccessLedger, value: bytes) -> None:
    response = get(client, b"Range: " + value)
    check_reply(response, 416, Reason.NO_FILE)
    assert response.headers.get(b"content-range") == b"bytes */26"
    assert get(client).body == TEXT
    ledger.expect(response, f"416 {value!r}", Reason.NO_FILE, by="gateway", route="files")


def test_416_for_any_part_of_an_empty_file(client: RawClient) -> None:
    response = get(client, b"Range: bytes=0-", name=b"empty.txt")
    check_reply(response, 416, Reason.NO_FILE)
    assert response.headers.get(b"content-range") == b"bytes */0"


@pytest.mark.parametrize("value", [b"bytes=0-4", b"bytes=0-1,4-5", b"bytes=99-"])
def test_a_range_means_nothing_to_head(client: RawClient, value: bytes) -> None:
    response = get(client, b"Range: " + value, method=b"HEAD")
    assert (response.status, response.headers.get(b"content-length")) == (200, b"26")
    assert get(client).body == TEXT


def test_304_comes_before_the_range(client: RawClient) -> None:
    assert get(client, b"If-None-Match: *", b"Range: bytes=0-4").status == 304


@pytest.mark.parametrize("form", ["etag", "other", "weak", "date", "later", "nonsense"])
def test_if_range(client: RawClient, form: str) -> None:
    """The part for who has the same file, the whole for who has not, or cannot prove it (section 13.1.5)."""
    headers = get(client).headers
    etag = headers.get(b"etag") or b""
    values = {
        "etag": etag,
        "other": b'"other"',
        "weak": b"W/" + etag,
        "date": headers.get(b"last-modified") or b"",
        "later": b"Mon, 07 Nov 1994 08:49:37 GMT",
        "nonsense": b"nonsense",
    }
    response = get(client, b"If-Range: " + values[form], b"Range: bytes=0-4")
    if form == "etag":
        assert (response.status, response.body) == (206, b"abcde")
    elif form == "date":  # both are right: a date may be held for too weak a proof
        assert (response.status, response.body) in [(200, TEXT), (206, b"abcde")]
    else:
        assert (response.status, response.body) == (200, TEXT)


# Several parts


def parts_of(response: Response) -> list[tuple[bytes, bytes]]:
    """Content-Range and content of each part of a multipart/byteranges body."""
    kind = re.fullmatch(rb'multipart/byteranges; *boundary="?([^"]+)"?', response.headers.get(b"content-type") or b"")
    assert kind, response.headers
    first, *middle, last = (b"\r\n" + response.body.removeprefix(b"\r\n")).split(b"\r\n--" + kind[1])
    assert (first, last.strip()) == (b"", b"--")
    parts: list[tuple[bytes, bytes]] = []
    for part in middle:
        head, _, content = part.partition(b"\r\n\r\n")
        fields = {
            name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
        }
        assert fields[b"content-type"] == b"text/plain"
        parts.append((fields[b"content-range"], content))
    return parts


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (b"bytes=0-1,4-5", [(b"0-1", b"ab"), (b"4-5", b"ef")]),
        (b"bytes=-2 , 0-0", [(b"24-25", b"yz"), (b"0-0", b"a")]),
        (b"bytes=0-0,99-,2-2,25-", [(b"0-0", b"a"), (b"2-2", b"c"), (b"25-25", b"z")]),
    ],
)
def test_several_parts(client: RawClient, value: bytes, parts: list[tuple[bytes, bytes]]) -> None:
    response = get(client, b"Range: " + value)
    assert response.status == 206
    assert b"content-range" not in response.headers
    assert parts_of(response) == [(b"bytes %b/26" % place, content) for place, content in parts]
    assert get(client).body == TEXT


def test_a_hundred_parts(client: RawClient) -> None:
    wanted = [(n * 1000, n * 1000 + 1) for n in range(100)]
    value = b",".join(b"%d-%d" % each for each in wanted)
    response = get(client, b"Range: bytes=" + value, name=b"large.bin")
    assert response.status == 206
    assert (
        response.body.count(b"\r\nContent-range: bytes ".lower()) + response.body.count(b"\r\nContent-range: ") == 100
    )


# Large files


def read_large(client: RawClient, gateway: GatewayProcess) -> int:
    """Reads the large file and compares it; the most memory that the gateway had meanwhile."""
    most = 0
    place = 0
    marks = dict(MARKS)
    tail = b""  # marks may lie across two pieces
    while place < LARGE:
        piece = client.socket.recv(1 << 20)
        assert piece, f"closed after {place} bytes"
        seen, begin = tail + piece, place - len(tail)
        place += len(piece)
        for at, mark in list(marks.items()):
            if begin <= at and at + len(mark) <= place:
                assert seen[at - begin : at - begin + len(mark)] == mark
                del marks[at]
        tail = seen[-10:]
        most = max(most, gateway.rss_bytes())
    assert not marks
    return most


def read_head_only(client: RawClient) -> bytes:
    """A response head; nothing of the body is read."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.socket.recv(1)
    return head


def wait_for_descriptors(gateway: GatewayProcess, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while gateway.descriptors() > count:
        assert time.monotonic() < deadline, f"{gateway.descriptors()} open files, {count} before"
        time.sleep(0.01)  # the kernel tells nobody


def test_a_large_file_in_little_memory(gateway: GatewayProcess, client: RawClient) -> None:
    get(client)
    before = gateway.rss_bytes()
    client.send(request(target=b"/files/large.bin"))
    head = read_head_only(client)
    assert b"\r\nContent-Length: %d\r\n" % LARGE in head
    assert read_large(client, gateway) - before < SLACK
    assert get(client).body == TEXT


def test_a_large_file_to_a_slow_client(gateway: GatewayProcess, client: RawClient) -> None:
    """The file waits for who does not read; others do not; and who leaves takes the open file along."""
    get(client)
    for log in ("access.log", "error.log"):
        gateway.wait_for_log(lambda record: True, log)  # they are opened when there is something to write
    before, files = gateway.rss_bytes(), gateway.descriptors()
    slow_socket = socket.socket()
    slow_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow_socket.settimeout(PATIENCE)
    slow_socket.connect(("127.0.0.1", gateway.ports["PORT"]))
    with RawClient(slow_socket) as slow:
        slow.send(request(target=b"/files/large.bin"))
        assert read_head_only(slow).startswith(b"HTTP/1.1 200 ")
        for _ in range(200):
            assert get(client).body == TEXT
        for _ in range(200):
            assert slow.socket.recv(4096)
        assert gateway.rss_bytes() - before < SLACK
        wait_for_descriptors(gateway, files + 2)  # its connection and its file
        slow.reset()
    wait_for_descriptors(gateway, files)
    assert get(client).body == TEXT


def test_a_large_part(gateway: GatewayProcess, client: RawClient) -> None:
    before = gateway.rss_bytes()
    size = 2 << 20
    response = get(client, b"Range: bytes=%d-%d" % (LARGE // 2 - 3, LARGE // 2 - 4 + size), name=b"large.bin")
    assert (response.status, len(response.body), response.body[:6]) == (206, size, b"middle")
    assert gateway.rss_bytes() - before < SLACK
