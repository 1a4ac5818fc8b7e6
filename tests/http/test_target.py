"""Request targets: one reading of a path for router, policies and upstream, and none for what has two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.errors import BadTarget
from gwproxy.http.target import (
    Target,
    has_encoded_slash,
    normal_escapes,
    parse_target,
    rewrite_path,
    safe_location,
)

# Pieces from which hostile paths are made.
PIECES = st.sampled_from(
    "a B ~ ; : @ . .. ... / // %2e %2E %2f %2F %5c %5C %252e %252F %3b".split()
    + "%7e %41 %20 %c3%A9 %0a %23 %3F %25 \\ % %zz".split()
)
PATHS = st.lists(PIECES, max_size=12).map(lambda pieces: b"/" + "".join(pieces).encode())


def get(target: bytes) -> Target:
    return parse_target(b"GET", target)


@pytest.mark.parametrize("path", [b"/", b"/a", b"/a/b/", b"/a.b/c..d/...", b"/!$&'()*+,;=:@-._~", b'/[x]|{y}^`"<>'])
def test_a_usual_path_is_its_own_normal_form(path: bytes) -> None:
    assert get(path) == Target(path, path, b"", False)
    assert get(path + b"?q=1") == Target(path, path, b"q=1", True)


@pytest.mark.parametrize(
    ("received", "path", "forwarded"),
    [
        (b"/a/./b", b"/a/b", b"/a/b"),
        (b"/a/../b", b"/b", b"/b"),
        (b"/a/b/..", b"/a/", b"/a/"),
        (b"/a/b/.", b"/a/b/", b"/a/b/"),
        (b"/a/b/%2e%2e", b"/a/", b"/a/"),
        (b"/a/b/%2e", b"/a/b/", b"/a/b/"),
        (b"/.", b"/", b"/"),
        (b"/a/..", b"/", b"/"),
        (b"/a/b/../../c", b"/c", b"/c"),
        (b"/%7ea/../%7eb/./%c3%a9", b"/~b/%C3%A9", b"/%7eb/%c3%a9"),
        (b"/a//../b", b"/a/b", b"/a/b"),  # as RFC 3986 and browsers: the empty segment goes
        (b"/.well-known/x", b"/.well-known/x", b"/.well-known/x"),
        (b"/...", b"/...", b"/..."),
        (b"/a/..b/.c", b"/a/..b/.c", b"/a/..b/.c"),
    ],
)
def test_n2_dot_segments_are_resolved_for_routing_and_gone_upstream(
    received: bytes, path: bytes, forwarded: bytes
) -> None:
    target = get(received + b"?x=/../y")
    assert (target.path, target.raw_path, target.query) == (path, forwarded, b"x=/../y")


@pytest.mark.parametrize("received", [b"/..", b"/../a", b"/a/../../b", b"/./..", b"/%2e%2e/a", b"/a/%2E./.%2e/b"])
def test_n2_above_the_root_is_refused(received: bytes) -> None:
    with pytest.raises(BadTarget):
        get(received)


@pytest.mark.parametrize("dots", [b"..", b"%2e%2e", b"%2E%2E", b".%2e", b"%2E."])
def test_n3_encoded_dots_are_dots(dots: bytes) -> None:
    target = get(b"/public/" + dots + b"/admin")
    assert (target.path, target.raw_path) == (b"/admin", b"/admin")


@pytest.mark.parametrize(
    "received",
    [
        b"/a/..;/admin",
        b"/a/..;x=1/admin",
        b"/a/.;/admin",
        b"/a/..;",
        b"/..;/admin",
        b"/a/%2e%2e;/admin",
        b"/a/..%3b/admin",
        b"/a/..%3Bx/admin",
        b"/a\\..\\admin",
        b"/a\\b",
        b"\\@h",
        b"/\\@h",
        b"/a/..%2fadmin",
        b"/a/..%2F..%2Fadmin",
        b"/a/%2e%2e%2Fadmin",
        b"/a/..%5cadmin",
        b"/a/.%2fadmin",
        b"/a%2f../admin",
        b"/a%2f..%2fadmin",
        b"/a%2f..",
        b"/a%5C..%5Cadmin",
        b"/a%5c.",
        b"/a%2f..;/admin",
        b"/x/..%2f/../admin",
    ],
)
def test_n3_what_others_read_as_a_dot_segment_is_refused(received: bytes) -> None:
    with pytest.raises(BadTarget):
        get(received)


@pytest.mark.parametrize(
    ("received", "path"),
    [
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a%5cb", b"/a%5Cb"),
        (b"/a%252Fb", b"/a%252Fb"),
        (b"/a%252e%252e/b", b"/a%252e%252e/b"),
        (b"/%252e%252e/b", b"/%252e%252e/b"),
        (b"/a%3Fb%23c", b"/a%3Fb%23c"),
    ],
)
def test_n4_nothing_is_decoded_into_a_separator_or_twice(received: bytes, path: bytes) -> None:
    target = get(received)
    assert (target.path, target.raw_path) == (path, received)


@pytest.mark.parametrize("received", [b"/a%2fb", b"/a%2Fb", b"/a%5cb", b"/a%5Cb"])
def test_n4_escaped_slashes_are_found_in_both_forms(received: bytes) -> None:
    target = get(received)
    assert has_encoded_slash(target.path)
    assert has_encoded_slash(target.raw_path)


@pytest.mark.parametrize("received", [b"/a/b", b"/a%252Fb", b"/a%255cb", b"/a%2e%3b"])
def test_n4_other_escapes_are_no_slashes(received: bytes) -> None:
    target = get(received)
    assert not has_encoded_slash(target.path)
    assert not has_encoded_slash(target.raw_path)


@pytest.mark.parametrize(
    ("received", "path"), [(b"//admin", b"/admin"), (b"/a///b//", b"/a/b/"), (b"//", b"/"), (b"/a/..//b", b"/b")]
)
def test_n5_duplicate_slashes_are_one_for_policies_only(received: bytes, path: bytes) -> None:
    target = get(received)
    assert target.path == path
    assert target.raw_path == received.replace(b"/a/..", b"")


@pytest.mark.parametrize(
    "received",
    [b"/a%00", b"/%zz", b"/a%", b"/a%4", b"/%4g", b"/%%41"]
    + [b"/a%bb" % bytes([code]) for code in (*range(0x21), 0x7F, 0x80, 0xE9, 0xFF)]
    + [b"/?a%bb" % bytes([code]) for code in (*range(0x21), 0x7F, 0x80, 0xE9, 0xFF)],
)
def test_n6_n12_control_bytes_and_malformed_escapes_are_refused(received: bytes) -> None:
    with pytest.raises(BadTarget):
        get(received)


def test_n7_escapes_are_equal_to_what_they_stand_for() -> None:
    target = get(b"/%7Euser/%41%2d%c3%a9%20x%0a%01%7f%ff")
    assert target.path == b"/~user/A-%C3%A9 x%0A%01%7F%FF"
    assert target.raw_path == b"/%7Euser/%41%2d%c3%a9%20x%0a%01%7f%ff"
    assert get(b"/~user/A-%C3%A9%20x%0A%01%7F%fF").path == target.path


@pytest.mark.parametrize("query", [b"", b"a=1&b=2", b"%zz&%", b"a;b=c", b"?", b'q=//../\\&[]{}|^`"<>', b"u=http://h/"])
def test_n10_a_query_is_kept_byte_for_byte(query: bytes) -> None:
    for path in (b"/x", b"/a/../x", b"//x"):
        target = get(path + b"?" + query)
        assert (target.query, target.has_query) == (query, True)
    assert not get(b"/x").has_query


@pytest.mark.parametrize("received", [b"/a#b", b"/#", b"/a?b#c", b"http://h/#", b"http://h#f"])
def test_n11_a_fragment_is_refused(received: bytes) -> None:
    with pytest.raises(BadTarget):
        get(received)


@pytest.mark.parametrize(
    ("received", "authority", "scheme", "path", "query"),
    [
        (b"http://h/p?q", b"h", b"http", b"/p", b"q"),
        (b"HTTPS://H.example:8443/a/../b", b"H.example:8443", b"https", b"/b", b""),
        (b"http://h", b"h", b"http", b"/", b""),
        (b"http://h?q", b"h", b"http", b"/", b"q"),
        (b"http://[::1]:80//x", b"[::1]:80", b"http", b"/x", b""),
    ],
)
def test_f13_absolute_form(received: bytes, authority: bytes, scheme: bytes, path: bytes, query: bytes) -> None:
    target = get(received)
    assert (target.authority, target.scheme, target.path, target.query) == (authority, scheme, path, query)
    assert not target.asterisk


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"@h",
        b".h",
        b"h",
        b"h:80",
        b"?q",
        b"*/",
        b"**",
        b"http:/h/p",
        b"http:h",
        b"http://",
        b"http:///p",
        b"http://u@h/",
        b"http://u:p@h/",
        b"http://h:x/",
        b"http://a..b/",
        b"http://h\\@evil/",
        b"http://h%2f/",
        b"http://h /",
        b"http://h/../x",
        b"http://h\n/",
        b"ftp://h/",
        b"ws://h/",
        b"javascript:x",
        b"\x00",
        b"\xff",
    ],
)
def test_a4_what_is_neither_a_path_nor_an_http_url_is_refused(received: bytes) -> None:
    for method in (b"GET", b"OPTIONS", b"CONNECT"):
        with pytest.raises(BadTarget):
            parse_target(method, received)


def test_f14_asterisk_is_for_options() -> None:
    assert parse_target(b"OPTIONS", b"*") == Target(b"*", b"*", b"", False, asterisk=True)
    for method in (b"GET", b"options", b"POST"):
        with pytest.raises(BadTarget):
            parse_target(method, b"*")


def test_f14_options_for_a_url_without_path_is_for_the_server() -> None:
    target = parse_target(b"OPTIONS", b"HTTP://h:80")
    assert target == Target(b"*", b"*", b"", False, b"h:80", b"http", asterisk=True)
    assert not parse_target(b"OPTIONS", b"http://h/").asterisk
    assert not parse_target(b"OPTIONS", b"http://h?q").asterisk


@given(PATHS)
def test_a5_what_is_forwarded_is_read_as_what_was_matched(path: bytes) -> None:
    try:
        target = get(path)
    except BadTarget:
        return
    again = get(target.raw_path)
    assert (again.path, again.raw_path) == (target.path, target.raw_path)


@given(PATHS)
def test_a5_no_reading_of_what_is_forwarded_has_a_dot_segment(path: bytes) -> None:
    try:
        target = get(path)
    except BadTarget:
        return
    assert b"//" not in target.path
    assert b"\\" not in target.path + target.raw_path
    for form in (target.path, normal_escapes(target.raw_path)):
        segments = form.replace(b"%2F", b"/").replace(b"%5C", b"/").split(b"/")
        assert not {segment.partition(b";")[0] for segment in segments} & {b".", b".."}


@given(st.binary(max_size=30), st.sampled_from([b"", b"/", b"http://h", b"http://h/"]))
def test_whatever_comes_is_a_target_or_refused(rest: bytes, start: bytes) -> None:
    try:
        target = get(start + rest)
    except BadTarget:
        return
    assert target.path.startswith(b"/")
    assert target.raw_path.startswith(b"/")
    assert all(0x20 < byte < 0x7F for byte in target.raw_path + target.query)


def rewritten(received: bytes, strip: bytes, add: bytes = b"") -> bytes:
    target = get(received)
    return rewrite_path(target.raw_path, target.path, strip, add)


@pytest.mark.parametrize(
    ("received", "strip", "add", "forwarded"),
    [
        (b"/user/x", b"/user", b"", b"/x"),
        (b"/user/x", b"/user", b"/v1", b"/v1/x"),
        (b"/user/x", b"/user/", b"/v1/", b"/v1/x"),
        (b"/x", b"", b"/v1", b"/v1/x"),
        (b"/", b"", b"/base", b"/base/"),
        (b"/user", b"/user", b"", b"/"),
        (b"/user/", b"/user", b"", b"/"),
        (b"/user", b"/user", b"/v1", b"/v1/"),
        (b"/user/a//b/%2F%7e", b"/user", b"", b"/a//b/%2F%7e"),
        (b"/%75ser/%78", b"/user", b"", b"/%78"),
        (b"//user/x", b"/user", b"", b"/x"),
        (b"//api///%75ser//x/", b"/api/user", b"/v%31", b"/v%31/x/"),
        (b"/a/../user/x%20", b"/user", b"", b"/x%20"),
        (b"/user//evil.example/x", b"/user", b"", b"/evil.example/x"),
        (b"//evil.example", b"", b"", b"/evil.example"),
    ],
)
def test_n8_prefixes_join_with_one_slash(received: bytes, strip: bytes, add: bytes, forwarded: bytes) -> None:
    assert rewritten(received, strip, add) == forwarded


@pytest.mark.parametrize("received", [b"/userx", b"/users/user", b"/", b"/user%2Fx", b"/User/x"])
def test_n9_a_prefix_that_does_not_cover_the_path_stays(received: bytes) -> None:
    assert rewritten(received, b"/user") == received
    assert rewritten(received, b"/user", b"/v1") == b"/v1" + received


@given(PATHS, st.sampled_from([b"", b"/", b"/a", b"/a/B", b"/a/"]), st.sampled_from([b"", b"/", b"/v1", b"/v/1/"]))
def test_n8_a_rewritten_path_is_never_an_authority(path: bytes, strip: bytes, add: bytes) -> None:
    try:
        forwarded = rewritten(path, strip, add)
    except BadTarget:
        return
    assert forwarded[:1] == b"/"
    assert forwarded[:2] != b"//"
    assert get(forwarded).path.startswith(add.rstrip(b"/"))


@pytest.mark.parametrize(
    ("target", "location"),
    [
        (b"/a/b?c=d", b"/a/b?c=d"),
        (b"//evil.example/x", b"/evil.example/x"),
        (b"///evil.example", b"/evil.example"),
        (b"/\\evil.example", b"/evil.example"),
        (b"\\\\evil.example", b"/evil.example"),
        (b"/\t/evil.example", b"/%09/evil.example"),
        (b"/a\r\nSet-Cookie: x", b"/a%0D%0ASet-Cookie:%20x"),
        (b"/caf\xc3\xa9", b"/caf%C3%A9"),
        (b"http://evil.example", b"/http://evil.example"),
        (b"", b"/"),
    ],
)
def test_n13_a_redirect_stays_on_this_server(target: bytes, location: bytes) -> None:
    assert safe_location(target) == location
