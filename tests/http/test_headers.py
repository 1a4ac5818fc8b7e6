"""Header fields: what each means to this hop, and how lists of them are read and edited."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gwproxy.http import headers as h
from gwproxy.http.headers import REQUEST_KINDS, RESPONSE_KINDS, Headers, Kind, KindTable

MIXED: Headers = [(b"A", b"1"), (b"X-Two", b"2"), (b"a", b"3"), (b"B", b"4"), (b"x-tWO", b"5")]


@pytest.mark.parametrize(
    "name",
    [
        b"Proxy-Connection",
        b"Keep-Alive",
        b"Proxy-Authenticate",
        b"Proxy-Authorization",
        b"HTTP2-Settings",
    ],
)
def test_h1_hop_by_hop_fields_end_here_both_ways(name: bytes) -> None:
    for spelling in (name, name.lower(), name.upper()):
        assert REQUEST_KINDS[spelling] == RESPONSE_KINDS[spelling] == Kind.HOP


@pytest.mark.parametrize("name", [b"Connection", b"TE", b"Trailer", b"Transfer-Encoding", b"Content-Length"])
def test_h1_f11_fields_that_this_hop_reads_are_never_plain(name: bytes) -> None:
    assert REQUEST_KINDS[name] != Kind.PLAIN
    assert RESPONSE_KINDS[name] != Kind.PLAIN


@pytest.mark.parametrize(
    "name",
    [
        b"X-Forwarded-For",
        b"X-Forwarded-Host",
        b"X-Forwarded-Port",
        b"X-Forwarded-Prefix",
        b"X-Forwarded-Proto",
        b"X-Forwarded-Server",
        b"X-Forwarded-Uri",
        b"X-Forwarded-Method",
        b"X-Forwarded-Tls-Client-Cert-Info",
        b"X-Forwarded-Client-Cert",
        b"X-Forwarded-Anything",
        b"Forwarded",
        b"X-Real-IP",
        b"X-Original-URL",
        b"X-Rewrite-URL",
    ],
)
def test_x1_forwarding_fields_are_set_apart(name: bytes) -> None:
    assert REQUEST_KINDS[name] == REQUEST_KINDS[name.lower()] == Kind.FORWARDING
    assert RESPONSE_KINDS[name] == Kind.PLAIN


@pytest.mark.parametrize("name", [b"host", b"x-forward", b"x-forwarded", b"forwarded-for", b"via", b"x-request-id"])
def test_x1_other_fields_are_no_forwarding_fields(name: bytes) -> None:
    assert REQUEST_KINDS[name] != Kind.FORWARDING


@pytest.mark.parametrize(
    "name",
    [
        b"X_Forwarded_For",
        b"x-forwarded_For",
        b"x-forwarded_proto",
        b"Content_Length",
        b"X_Real-IP",
        b"x_real_ip",
        b"x_original_url",
        b"transfer_encoding",
    ],
)
def test_f7_the_twin_of_a_special_field_is_no_ordinary_underscore(name: bytes) -> None:
    assert REQUEST_KINDS[name] == Kind.FORWARDING


def test_f7_other_underscores_are_for_the_policy() -> None:
    assert REQUEST_KINDS[b"X_User"] == Kind.UNDERSCORE
    assert RESPONSE_KINDS[b"X_User"] == Kind.PLAIN


@pytest.mark.parametrize("name", [b"X-Accel-Redirect", b"x-accel-buffering", b"X-Sendfile", b"X-Lighttpd-Send-File"])
def test_h9_internal_control_fields_of_responses(name: bytes) -> None:
    assert RESPONSE_KINDS[name] == Kind.INTERNAL


@pytest.mark.parametrize("name", [b"Accept", b"Cookie", b"X-Forwarded", b"Set-Cookie", b"", b"Te-"])
def test_what_is_not_special_is_plain(name: bytes) -> None:
    assert REQUEST_KINDS[name] == RESPONSE_KINDS[name] == Kind.PLAIN


def counting() -> tuple[list[bytes], Callable[[bytes], int]]:
    asked: list[bytes] = []

    def classify(name: bytes) -> int:
        asked.append(name)
        return Kind.VIA

    return asked, classify


def test_a_spelling_is_worked_out_once() -> None:
    asked, classify = counting()
    table = KindTable(classify)
    assert [table[b"Via"], table[b"Via"], table[b"via"]] == [Kind.VIA] * 3
    assert asked == [b"Via", b"via"]


def test_the_table_is_bounded_in_names_and_in_their_length() -> None:
    asked, classify = counting()
    table = KindTable(classify)
    for number in range(10_000):
        assert table[b"X-%d" % number] == Kind.VIA
        assert len(table) <= 4096
    size = len(table)
    assert table[b"x" * 65] == Kind.VIA
    assert len(table) == size
    assert table[b"x" * 64] == Kind.VIA
    assert len(table) == size + 1
    assert len(asked) == 10_002


def test_get_gives_the_first_and_get_all_all() -> None:
    assert h.get(MIXED, b"a") == b"1"
    assert h.get(MIXED, b"x-two") == b"2"
    assert h.get(MIXED, b"c") is None
    assert h.get_all(MIXED, b"a") == [b"1", b"3"]
    assert h.get_all(MIXED, b"c") == []


def test_remove_takes_out_every_spelling_in_place() -> None:
    headers = MIXED.copy()
    h.remove(headers, b"a")
    assert headers == [(b"X-Two", b"2"), (b"B", b"4"), (b"x-tWO", b"5")]
    h.remove(headers, b"a")
    assert len(headers) == 3


def test_h5_add_header_leaves_others_of_the_name() -> None:
    headers = MIXED.copy()
    h.add_header(headers, b"a", b"6")
    assert headers == [*MIXED, (b"a", b"6")]


def test_set_header_stands_once_in_the_place_of_the_first() -> None:
    headers = MIXED.copy()
    h.set_header(headers, b"X-TWO", b"new")
    assert headers == [(b"A", b"1"), (b"X-TWO", b"new"), (b"a", b"3"), (b"B", b"4")]
    h.set_header(headers, b"C", b"last")
    assert headers[-1] == (b"C", b"last")


def test_list_items_are_lower_case_without_blanks_and_empty_ones() -> None:
    assert list(h.list_items(b" Close,\tTE ,,, x ,")) == [b"close", b"te", b"x"]
    assert list(h.list_items(b"")) == []


def test_t1_only_what_may_stand_in_trailers_is_announced() -> None:
    assert h.trailer_names(None) == frozenset()
    assert h.trailer_names(b"X-Sum, Content-Length, Host, grpc-status") == {b"x-sum", b"grpc-status"}


@pytest.mark.parametrize(
    "name",
    [
        b"Content-Length",
        b"Transfer-Encoding",
        b"Host",
        b"Authorization",
        b"Set-Cookie",
        b"Connection",
        b"X-Forwarded-For",
        b"Forwarded",
        b"X-Real-IP",
        b"Content_Length",
        b"X_Forwarded_For",
    ],
)
def test_t2_framing_routing_and_authentication_are_no_trailers(name: bytes) -> None:
    kept = [(b"X-Sum", b"1"), (b"my_key", b"2")]
    for spelling in (name, name.lower(), name.upper()):
        assert h.allowed_trailers([kept[0], (spelling, b"x"), kept[1]]) == kept
