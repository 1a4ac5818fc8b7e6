"""The chunked coding: any cut of a valid body gives the same, and what is not one is refused; h11 is the oracle."""

from __future__ import annotations

from collections.abc import Sequence

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.errors import BadChunk
from gwproxy.http.framing import ChunkedDecoder
from gwproxy.http.headers import Headers

RESTS = st.sampled_from([b"", b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"0\r\n\r\n"])
CUTS = st.lists(st.integers(1, 30), max_size=60)

BODY = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
EXTENSIONS = st.sampled_from([b"", b";", b";a", b';a="b;c"', b";a=\xff\t ", b";" + b"x" * 1024])
TRAILERS = st.lists(
    st.tuples(
        st.sampled_from([b"X-Sum", b"a", b"grpc-status", b"Content-Length-2"]), st.sampled_from([b"", b"1", b"a b\xff"])
    ),
    max_size=3,
)


@st.composite
def encodings(draw: st.DrawFn) -> tuple[bytes, bytes, Headers]:
    """A valid encoding, the body in it, and its trailers."""
    pieces, trailers = draw(BODY), draw(TRAILERS)
    encoded = bytearray()
    for piece in pieces:
        digits = b"%x" % len(piece)
        if draw(st.booleans()):
            digits = digits.upper().rjust(15, b"0")
        encoded += digits + draw(EXTENSIONS) + b"\r\n" + piece + b"\r\n"
    encoded += draw(st.sampled_from([b"0", b"000"])) + draw(EXTENSIONS) + b"\r\n"
    for name, value in trailers:
        encoded += name + b": " + value + b"\r\n"
    return bytes(encoded) + b"\r\n", b"".join(pieces), trailers


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        if size < len(data):
            pieces.append(data[:size])
            data = data[size:]
    return [*pieces, data]


Decoded = tuple[bytes, bool, bytes, Headers]


def decode(pieces: Sequence[bytes]) -> Decoded:
    """The body, whether it is done, what follows it, and the trailers."""
    decoder = ChunkedDecoder()
    body = b""
    for place, piece in enumerate(pieces):
        found = decoder.feed(piece)
        assert all(found)  # an empty piece would be the last chunk on its way out
        body += b"".join(found)
        if decoder.done:
            return body, True, decoder.rest + b"".join(pieces[place + 1 :]), decoder.trailers
    return body, False, b"", decoder.trailers


def oracle(data: bytes) -> tuple[bytes, bool, bytes, Headers]:
    """The same by h11. Raises RemoteProtocolError."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    body = b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            names = [bytes(name) for name, _ in event.headers.raw_items()] if event.headers else []
            values = [bytes(value) for _, value in event.headers]
            return body, True, connection.trailing_data[0], list(zip(names, values, strict=True))
        elif event is h11.NEED_DATA:
            return body, False, b"", []


@given(encodings(), RESTS, CUTS)
def test_f10_any_cut_gives_the_same_body_trailers_and_rest(
    encoding: tuple[bytes, bytes, Headers], rest: bytes, sizes: list[int]
) -> None:
    encoded, body, trailers = encoding
    assert decode(cut(encoded + rest, sizes)) == (body, True, rest, trailers)


@given(encodings())
def test_b8_no_beginning_of_a_body_is_a_whole_one(encoding: tuple[bytes, bytes, Headers]) -> None:
    encoded, body, _ = encoding
    for end in range(len(encoded)):
        begun, done, _, _ = decode([encoded[:end]])
        assert not done
        assert body.startswith(begun)


@given(encodings(), RESTS)
def test_h11_reads_the_same(encoding: tuple[bytes, bytes, Headers], rest: bytes) -> None:
    encoded, _, _ = encoding
    assert decode([encoded + rest]) == oracle(encoded + rest)


# What a body is made of, put together wrongly.
NOISE = st.sampled_from(
    [
        b"0",
        b"5",
        b"a",
        b"\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b";x",
        b"hello",
        b"5\r\nhello\r\n",
        b"0\r\n",
        b" ",
        b"-",
        b"+",
        b"X: y",
        b": ",
        b"\t",
        b"\0",
        b"0x5",
        b"_",
        b"f" * 15,
        b"f" * 16,
        b"0\r\n\r\n",
        b"Content-Length: 1\r\n",
    ]
)


@given(st.lists(NOISE, max_size=12).map(b"".join), CUTS)
def test_f8_noise_is_read_one_way_however_it_is_cut(data: bytes, sizes: list[int]) -> None:
    try:
        whole: Decoded | None = decode([data])
    except BadChunk:
        whole = None
    try:
        pieces: Decoded | None = decode(cut(data, sizes))
    except BadChunk:
        pieces = None
    assert whole == pieces


@given(st.lists(NOISE, max_size=12).map(b"".join))
def test_f8_nothing_is_a_body_that_h11_reads_otherwise(data: bytes) -> None:
    try:
        ours = decode([data])
    except BadChunk:
        return
    if ours[1]:
        assert ours == oracle(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b";\r\n",
        b"x\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello",
        b"-5\r\n",
        b" 5\r\nhello",
        b"5 \r\nhello",
        b"5_0\r\n",
        b"5;\n",
        b"5\nhello",
        b"5\rhello",
        b"5\r\nhellox",
        b"5\r\nhello\n",
        b"5\r\nhello\rx",
        b"5\r\nhello0\r\n\r\n",
        b"5;a\0\r\n",
        b"5;a\rb\r\n",
        b"8000000000000000\r\n",  # 2 to the 63rd
        b"10000000000000005\r\nhello",  # 5, if the size were cut to 64 bits
        b"0" * 16 + b"\r\n\r\n",
        b"5;" + b"x" * 1025,
        b"0\r\n\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\nX: y\r\n z\r\n\r\n",
        b"0\r\nX: \0\r\n\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\n: y\r\n\r\n",
    ],
)
def test_f8_what_is_no_chunked_body_is_refused_as_soon_as_it_is_seen(data: bytes) -> None:
    with pytest.raises(BadChunk):
        decode([data])
    with pytest.raises(BadChunk):
        decode(cut(data, [1] * len(data)))


@pytest.mark.parametrize("begun", [b"0\r\nX: y\n", b"0\r\nX: y\r\nZ\n"])
def test_f8_a_bare_line_feed_in_the_trailers_is_not_waited_on(begun: bytes) -> None:
    with pytest.raises(BadChunk, match="CR LF"):
        decode([begun])


def test_t3_trailers_are_bounded() -> None:
    room = ChunkedDecoder.MAX_TRAILERS
    begun = b"0\r\nX: "
    whole = begun + b"y" * (room - 3)
    assert decode([whole + b"\r\n\r\n"])[3] == [(b"X", b"y" * (room - 3))]
    for pieces in ([whole + b"y\r\n\r\n"], [whole + b"y"], [begun, b"y" * (room - 3), b"y"]):
        with pytest.raises(BadChunk, match="too large"):
            decode(pieces)


def test_u1_trailers_that_look_like_an_upgrade_are_only_fields() -> None:
    _, done, rest, trailers = decode([b"0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nrest"])
    assert (done, rest) == (True, b"rest")
    assert trailers == [(b"Connection", b"upgrade"), (b"Upgrade", b"x")]


def test_b1_a_large_chunk_passes_piece_by_piece() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"fffffffffffffff\r\n") == []
    for _ in range(3):
        assert decoder.feed(b"x" * 1000) == [b"x" * 1000]
    assert not decoder.done
