"""CORRECTNESS N, SCORECARD A4: one reading of a target by router, filters and upstream. One test an id at least.

The gateway of this module guards /admin/: it has an upstream of its own. N13, about redirects, is in
test_routes.py; other programs' readings (A5) are in test_path_readings.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gwproxy.errors import Reason
from tests.wire.kit.client import FIN, RawClient, request
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.refusal import AccessLedger, Refusals, check_reply
from tests.wire.kit.upstream import ScriptedUpstream

CONFIG = """
[log]
access = access.log
error = error.log

[listen:http]
endpoint = tcp:@PORT@:interface=127.0.0.1
max_target = 1k

[upstream:main]
servers = http://127.0.0.1:@MAIN@

[upstream:guarded]
servers = http://127.0.0.1:@OTHER@

[filter:seen]
type = headers
request_set = X-Path: $path

[route:main]
path = /up/
upstream = main
filters = seen

[route:guarded]
path = /admin
upstream = guarded
filters = seen

[route:home]
path = /~home/
upstream = main
filters = seen

[route:accent]
path = /caf\u00e9/
upstream = main

[route:no-slashes]
path = /strict/
encoded_slashes = reject
upstream = main

[route:strip]
path = /strip/
strip_prefix = /strip
upstream = main

[route:add]
path = /add/
add_prefix = /base/
upstream = main

[route:swap]
path = /a/b
strip_prefix = /a/b/
add_prefix = /base
upstream = main

[route:partly]
path = /partly
strip_prefix = /partly/there
upstream = main
"""


@pytest.fixture(scope="module")
def gateway(
    upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    ports = {name: server.port for name, server in upstreams.items()}
    with running(CONFIG, tmp_path_factory.mktemp("targets"), ports) as process:
        yield process


def forwarded(client: RawClient, upstream: ScriptedUpstream, target: bytes) -> bytes:
    """What `upstream` gets of a target."""
    response = client.ask(request(target=target))
    assert response.status == 200, response
    return upstream.only_request().target


# N1, N2, N3: dots


@pytest.mark.parametrize(
    ("target", "path", "sent"),
    [
        (b"/up/./x", b"/up/x", b"/up/x"),
        (b"/up/y/../x", b"/up/x", b"/up/x"),
        (b"/none/../up/x/.", b"/up/x/", b"/up/x/"),
        (b"/up/x/y/..", b"/up/x/", b"/up/x/"),
        (b"/up/%2e/x", b"/up/x", b"/up/x"),
        (b"/none/%2E./up/%41%2f%c3%a9", b"/up/A%2F%C3%A9", b"/up/%41%2f%c3%a9"),
        (b"/up/...", b"/up/...", b"/up/..."),
        (b"/up/.x/..x", b"/up/.x/..x", b"/up/.x/..x"),
        (b"/up//x", b"/up/x", b"/up//x"),
        (b"/up/%7E%20x", b"/up/~ x", b"/up/%7E%20x"),
    ],
)
@pytest.mark.parametrize("query", [b"", b"?a=/../b"])
def test_n1_n2_filters_see_what_the_route_matched_and_the_upstream_gets_nothing_else(
    client: RawClient, upstream: ScriptedUpstream, target: bytes, path: bytes, sent: bytes, query: bytes
) -> None:
    assert client.ask(request(target=target + query)).status == 200
    got = upstream.only_request()
    assert got.target == sent + query
    assert got.headers.get(b"x-path") == path


@pytest.mark.parametrize(
    "target",
    [b"/..", b"/../up/x", b"/up/../../up/x", b"/./../up/x", b"/%2e%2e/up/x", b"/up/%2E%2e/.%2e/up/x", b"//../../up/x"],
)
def test_n2_above_the_root(refused: Refusals, target: bytes) -> None:
    refused(request(target=target), status=400, reason=Reason.BAD_TARGET)


@pytest.mark.parametrize("dots", [b"..", b"%2e%2e", b"%2E%2E", b".%2e", b"%2E."])
def test_n3_encoded_dots_are_dots(client: RawClient, other_upstream: ScriptedUpstream, dots: bytes) -> None:
    assert forwarded(client, other_upstream, b"/up/" + dots + b"/admin") == b"/admin"


@pytest.mark.parametrize(
    "tail",
    [
        b"..;/admin",
        b".;/admin",
        b"..;x=1/admin",
        b"..;",
        b"%2e%2e;/admin",
        b"..%3b/admin",
        b"\\..\\admin",
        b"..\\admin",
        b"..%2fadmin",
        b"%2e%2e%2Fadmin",
        b"..%5cadmin",
        b"x%2f..%2f..%2fadmin",
        b"x%5c..%5c..%5cadmin",
        b"x%2f../admin",
    ],
)
def test_n3_what_others_may_read_as_dots(refused: Refusals, tail: bytes) -> None:
    refused(request(target=b"/up/" + tail), status=400, reason=Reason.BAD_TARGET)


# N4, N5, N6, N7: escapes


@pytest.mark.parametrize("path", [b"/up/a%2Fb", b"/up/a%2fb", b"/up/a%5Cb", b"/up/a%252Fb", b"/up/a%25252e%25252e/b"])
def test_n4_escaped_slashes_are_kept_and_never_decoded(
    client: RawClient, upstream: ScriptedUpstream, path: bytes
) -> None:
    assert forwarded(client, upstream, path) == path


@pytest.mark.parametrize("target", [b"/up%2Fx", b"/up%2fx", b"/up%5cx", b"/up%252Fx", b"%2fup/x"])
def test_n4_an_escaped_slash_is_no_segment_boundary(client: RawClient, target: bytes) -> None:
    assert client.ask(request(target=target)).status == (404 if target[:1] == b"/" else 400)


@pytest.mark.parametrize("path", [b"a%2Fb", b"a%2fb", b"a%5Cb", b"%5c", b"x/../a%2fb"])
def test_n4_a_route_may_refuse_escaped_slashes(
    client: RawClient, upstream: ScriptedUpstream, ledger: AccessLedger, path: bytes
) -> None:
    response = client.ask(request(target=b"/strict/" + path))
    check_reply(response, 400, Reason.BAD_TARGET)
    upstream.wait_quiet()
    assert not upstream.requests
    ledger.expect(response, "n4", Reason.BAD_TARGET, by="gateway", route="no-slashes")


@pytest.mark.parametrize("path", [b"/strict/a%252Fb", b"/strict/a%255Cb", b"/strict/a?x=%2F%5C", b"/strict/%41"])
def test_n4_and_nothing_else(client: RawClient, upstream: ScriptedUpstream, path: bytes) -> None:
    assert forwarded(client, upstream, path) == path


@pytest.mark.parametrize("target", [b"//admin/x", b"///admin//x", b"/.//admin/x", b"//up/..//admin/x"])
def test_n5_slashes_are_merged_for_matching(client: RawClient, other_upstream: ScriptedUpstream, target: bytes) -> None:
    """And forwarded as received."""
    sent = forwarded(client, other_upstream, target)
    assert sent == {b"/.//admin/x": b"//admin/x", b"//up/..//admin/x": b"///admin/x"}.get(target, target)


@pytest.mark.parametrize(
    "tail", [b"%00", b"a%00b", b"%zz", b"%", b"%4", b"%4g", b"%-1", b"%u0041", b"\x01", b"\x1f", b"\x7f", b"\x00"]
)
def test_n6_escapes_and_bytes_that_are_none(client: RawClient, ledger: AccessLedger, tail: bytes) -> None:
    response = client.ask(request(target=b"/up/" + tail))
    reason = Reason.BAD_REQUEST if tail < b" " or tail == b"\x7f" else Reason.BAD_TARGET
    check_reply(response, 400, reason)
    assert client.ending() == FIN
    ledger.expect(response, f"n6 {tail!r}", reason, by="gateway")


@pytest.mark.parametrize("target", [b"/~home/x", b"/%7ehome/x", b"/%7Ehome/x", b"/%7e%68ome/x"])
def test_n7_how_it_is_escaped_does_not_matter(client: RawClient, upstream: ScriptedUpstream, target: bytes) -> None:
    assert forwarded(client, upstream, target) == target


@pytest.mark.parametrize("target", [b"/caf%C3%A9/x", b"/caf%c3%a9/x", b"/%63af%C3%a9/x"])
def test_n7_a_pattern_beyond_ascii(client: RawClient, upstream: ScriptedUpstream, target: bytes) -> None:
    assert forwarded(client, upstream, target) == target


# N8, N9: prefixes


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"/strip/", b"/"),
        (b"/strip/x/", b"/x/"),
        (b"/strip//x", b"/x"),
        (b"/%73trip/%78", b"/%78"),
        (b"//strip//evil.test/x", b"/evil.test/x"),
        (b"/strip/a%2Fb?q=%2f", b"/a%2Fb?q=%2f"),
        (b"/strip/%2Fevil.test", b"/%2Fevil.test"),
        (b"/strip/?", b"/?"),
        (b"/add/", b"/base/add/"),
        (b"/add/x%20?q", b"/base/add/x%20?q"),
        (b"//add/x", b"/base/add/x"),
        (b"/a/b", b"/base/"),
        (b"/a/b/", b"/base/"),
        (b"/a/b/c//d", b"/base/c//d"),
        (b"/a//b//c", b"/base/c"),
        (b"/a/%62/%63", b"/base/%63"),
        (b"/partly/there/x", b"/x"),
        (b"/partly/thereabout", b"/partly/thereabout"),
        (b"/partly", b"/partly"),
    ],
)
def test_n8_prefixes_are_taken_off_and_put_on_with_one_slash(
    client: RawClient, upstream: ScriptedUpstream, target: bytes, sent: bytes
) -> None:
    assert forwarded(client, upstream, target) == sent


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/admin", 200),
        (b"/admin/", 200),
        (b"/admin/x", 200),
        (b"/admin?x", 200),
        (b"/adminx", 404),
        (b"/admin.x", 404),
        (b"/admin;x", 404),
        (b"/admi", 404),
        (b"/Admin", 404),
        (b"/x/admin", 404),
        (b"/up", 404),
        (b"/upx", 404),
        (b"/up/", 200),
    ],
)
def test_n9_a_prefix_ends_at_a_segment(client: RawClient, target: bytes, status: int) -> None:
    assert client.ask(request(target=target)).status == status


# N10, N11, N12: what is behind the path, and how much


@pytest.mark.parametrize(
    "query",
    [
        b"?",
        b"??",
        b"?a=1&a=2&b",
        b"?b=2&a=1",
        b"?a=1;b=2",
        b"?;&=&&",
        b"?a=%zz&b=%",
        b"?a=%2F%2f%00",
        b"?a=+%20&b='\"<>[]{}|\\^`",
        b"?a=/../..//x",
        b"?http://evil.test/",
    ],
)
def test_n10_the_query_is_forwarded_as_it_is(client: RawClient, upstream: ScriptedUpstream, query: bytes) -> None:
    assert forwarded(client, upstream, b"/up/x" + query) == b"/up/x" + query


@pytest.mark.parametrize("target", [b"/up/x#f", b"/up/x?q#f", b"/up/#", b"/#/../up/x", b"http://a.test/up/x#f"])
def test_n11_fragments_are_refused(refused: Refusals, target: bytes) -> None:
    refused(request(target=target), status=400, reason=Reason.BAD_TARGET)


@pytest.mark.parametrize("target", [b"/up/" + b"a" * 1021, b"/up/?" + b"a" * 5000, b"/up/" + b"%41" * 20_000])
def test_n12_targets_that_are_too_long(refused: Refusals, target: bytes) -> None:
    refused(request(target=target), status=414, reason=Reason.TARGET_TOO_LONG)


def test_n12_a_target_of_the_length_allowed(client: RawClient, upstream: ScriptedUpstream) -> None:
    target = b"/up/" + b"a" * 1020
    assert forwarded(client, upstream, target) == target


@pytest.mark.parametrize("target", [b"/up/\xc3\xa9", b"/up/\xff", b"/up/x?\xfc"])
def test_n12_raw_high_bytes_are_refused(refused: Refusals, target: bytes) -> None:
    refused(request(target=target), status=400, reason=Reason.BAD_TARGET)


# A4: targets that are none


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize(
    "target",
    [
        b"@127.0.0.1:%d/",
        b".127.0.0.1:%d/",
        b"\\@127.0.0.1:%d/",
        b":%d/",
        b"127.0.0.1:%d",
        b"127.0.0.1:%d/up/x",
        b"up/x",
        b"x",
        b"?x",
        b"*",
        b"*/up/x",
        b"\\up\\x",
        b"file:///etc/passwd",
        b"ftp://127.0.0.1:%d/up/x",
        b"http:/up/x",
        b"http:up/x",
        b"http://",
        b"http:///up/x",
        b"http://user@127.0.0.1:%d/up/x",
        b"http://127.0.0.1:%d@a.test/up/x",
        b"http://a.test\\@127.0.0.1:%d/up/x",
        b"javascript:alert(1)",
    ],
)
def test_a4_targets_that_are_none(
    refused: Refusals, other_upstream: ScriptedUpstream, method: bytes, target: bytes
) -> None:
    """Another host that is named is one that listens: the upstream of /admin, which sees nothing."""
    raw = request(method=method, target=target.replace(b"%d", b"%d" % other_upstream.port))
    refused(raw, status=400, reason=Reason.BAD_TARGET)
    assert not other_upstream.requests


@pytest.mark.parametrize("target", [b"/up/x", b"127.0.0.1:%d", b"*", b"http://127.0.0.1:%d/"])
def test_a4_no_tunnels(refused: Refusals, other_upstream: ScriptedUpstream, target: bytes) -> None:
    raw = request(method=b"CONNECT", target=target.replace(b"%d", b"%d" % other_upstream.port))
    refused(raw, status=405, reason=Reason.METHOD)


def test_a4_an_absolute_form_names_no_server(
    client: RawClient, upstream: ScriptedUpstream, other_upstream: ScriptedUpstream
) -> None:
    assert forwarded(client, upstream, b"http://127.0.0.1:%d/up/x?q" % other_upstream.port) == b"/up/x?q"
    assert not other_upstream.requests
