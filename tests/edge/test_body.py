"""Bodies as they arrive: whose each byte is, what is held, when there is enough."""

from __future__ import annotations

import tracemalloc

import pytest

from gwproxy.edge.body import HELD, RequestBody
from gwproxy.errors import BadChunk
from gwproxy.http.headers import Headers


class Sink:
    def __init__(self) -> None:
        self.data = b""
        self.ends: list[Headers] = []

    def body_data(self, data: bytes) -> None:
        assert data and not self.ends
        self.data += data

    def body_end(self, trailers: Headers) -> None:
        self.ends.append(trailers)


class Pieces(Sink):
    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def body_data(self, data: bytes) -> None:
        self.sizes.append(len(data))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_counted_body_ends_where_it_says(size: int) -> None:
    body, sink, rest = RequestBody(5), Sink(), b""
    body.start(sink)
    wire = b"helloGET /"
    for at in range(0, len(wire), size):
        if body.complete:
            rest += wire[at : at + size]
        else:
            rest += body.feed(wire[at : at + size])
    assert sink.ends == []
    body.end()
    assert (sink.data, sink.ends, rest) == (b"hello", [[]], b"GET /")
    assert body.received == 5


def test_a_chunked_body_has_trailers_and_a_rest() -> None:
    body, sink = RequestBody(None), Sink()
    body.start(sink)
    assert body.feed(b"3\r\nabc\r\n2\r\n") == b""
    assert (sink.data, body.complete) == (b"abc", False)
    assert body.feed(b"de\r\n0\r\nX-A: 1\r\n\r\nGET /") == b"GET /"
    assert sink.ends == []
    body.end()
    assert (sink.data, sink.ends, body.received) == (b"abcde", [[(b"X-A", b"1")]], 5)


def test_a_bad_chunk() -> None:
    with pytest.raises(BadChunk):
        RequestBody(None).feed(b"zz\r\n")


def test_an_empty_body_is_complete_at_once() -> None:
    body, sink = RequestBody(0), Sink()
    assert body.complete
    body.start(sink)
    assert (sink.data, sink.ends) == (b"", [[]])


@pytest.mark.parametrize("length", [9, None])
def test_what_comes_before_its_sink_is_held(length: int | None) -> None:
    body, sink = RequestBody(length), Sink()
    for piece in (b"a", b"b") if length else (b"1\r\na\r\n", b"1\r\nb\r\n"):
        body.feed(piece)
    assert (body.received, body.full) == (2, False)
    body.start(sink)
    assert (sink.data, sink.ends) == (b"ab", [])
    body.feed(b"c" * 7 if length else b"7\r\nccccccc\r\n0\r\nX: 1\r\n\r\n")
    body.end()
    assert (sink.data, sink.ends) == (b"abccccccc", [[] if length else [(b"X", b"1")]])


def test_a_whole_body_is_held_with_its_end() -> None:
    body, sink = RequestBody(None), Sink()
    assert body.feed(b"1\r\na\r\n0\r\nX: 1\r\n\r\nrest") == b"rest"
    assert body.complete
    body.end()  # nobody wants it yet
    body.start(sink)
    assert (sink.data, sink.ends) == (b"a", [[(b"X", b"1")]])


def test_small_chunks_that_come_together_are_passed_on_together() -> None:
    """Else six bytes from a client would be a write, and a packet, to the server."""
    body, pieces = RequestBody(None), Pieces()
    body.start(pieces)
    body.feed(b"1\r\na\r\n" * 1000 + b"1\r\n")
    body.feed(b"b\r\n")
    assert pieces.sizes == [1000, 1]


def test_it_is_full_in_time_and_empty_again() -> None:
    body, sink = RequestBody(10 * HELD), Sink()
    body.feed(b"x" * (HELD - 1))
    assert not body.full
    body.feed(b"x")
    assert body.full
    body.start(sink)
    assert not body.full
    body.feed(b"x" * HELD)
    assert not body.full and len(sink.data) == 2 * HELD


def test_what_nobody_wants_is_dropped_and_counted_all_the_same() -> None:
    body = RequestBody(HELD + 5)
    body.feed(b"x" * HELD)
    body.discard()
    assert not body.full
    assert body.feed(b"xxxxxrest") == b"rest"
    assert body.complete and body.received == HELD + 5


def test_small_pieces_that_are_held_take_their_size() -> None:
    body = RequestBody(20_000)
    tracemalloc.start()
    for _ in range(10_000):
        body.feed(bytes(2))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 40_000
