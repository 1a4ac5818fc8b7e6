"""SCORECARD E6: what a real browser lets pages of other origins do, with the gateway between them and the upstream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wire.kit.browser import Pages, Seen, browsing, find_chromium, page_of_calls
from tests.wire.kit.dead_ports import RefusingPort
from tests.wire.kit.gateway import GatewayProcess, running
from tests.wire.kit.upstream import ScriptedUpstream, respond

CONFIG = Path(__file__).with_name("browser.ini")

ANSWER = (
    b"HTTP/1.1 200 OK\r\nX-Total: 7\r\nX-Hidden: 1\r\nAccess-Control-Allow-Origin: *\r\n"
    b"Access-Control-Allow-Methods: PATCH\r\nContent-Length: 5\r\n\r\nhello"
)


@pytest.fixture(scope="module")
def chromium() -> str:
    return find_chromium()


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    served = Pages()
    yield served
    served.close()


@pytest.fixture(scope="module")
def gateway(
    chromium: str, pages: Pages, upstreams: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    refusing = RefusingPort()
    values = {"MAIN": upstreams["MAIN"].port, "PAGES": pages.port, "REFUSING": refusing.port}
    try:
        with running(CONFIG.read_text(), tmp_path_factory.mktemp("gateway"), values) as process:
            yield process
    finally:
        refusing.close()


@pytest.fixture
def upstream(gateway: GatewayProcess, upstreams: dict[str, ScriptedUpstream]) -> Iterator[ScriptedUpstream]:
    """Says on all its answers what the gateway must not pass on."""
    server = upstreams["MAIN"]
    server.forget()
    server.handler = respond(ANSWER)
    yield server
    server.raise_failures()


def api(gateway: GatewayProcess, path: str, domain: str = "example.localhost") -> str:
    return f"http://api.{domain}:{gateway.ports['PORT']}{path}"


def asked(upstream: ScriptedUpstream) -> list[str]:
    """What reached the upstream, in order."""
    upstream.wait_quiet()
    return [f"{request.method.decode()} {request.target.decode()}" for request in upstream.requests]


COOKIE = "<script>document.cookie = 'session=abc; path=/'</script>"

Calls = list[tuple[str, str, dict[str, Any]]]


class Visit:
    """A browser that shows a page, and what the page saw."""

    def __init__(self, chromium: str, pages: Pages, profile: Path) -> None:
        self._chromium = chromium
        self._pages = pages
        self._profile = profile

    def calls(self, host: str, calls: Calls) -> Seen:
        """What a page of `host` sees of its calls. The visitor is logged in at the whole site."""
        here = f"http://{host}:{self._pages.port}"
        cookie = f"<script>document.cookie = 'session=abc; domain={host.partition('.')[2]}'</script>"
        self._pages.put("/page", page_of_calls(calls, f"{here}/seen/page", cookie))
        with browsing(self._chromium, f"{here}/page", self._profile):
            return self._pages.seen("page")

    def frames(self, calls: dict[str, Calls]) -> dict[str, Seen]:
        """What pages of several hosts see, each in a frame of one page. Host `null`: in a frame that has no origin."""
        frames = []
        for host, those in calls.items():
            sandbox = "sandbox='allow-scripts'" if host == "null" else ""
            here = f"http://{'frame.localhost' if host == 'null' else host}:{self._pages.port}"
            self._pages.put(f"/{host}", page_of_calls(those, f"{here}/seen/{host}"))
            frames.append(f"<iframe {sandbox} src='{here}/{host}'></iframe>")
        self._pages.put("/frames", "<!doctype html>" + "".join(frames))
        with browsing(self._chromium, f"http://frames.localhost:{self._pages.port}/frames", self._profile):
            return {host: self._pages.seen(host) for host in calls}


@pytest.fixture
def visit(chromium: str, pages: Pages, tmp_path: Path) -> Visit:
    profile = tmp_path / "profile"
    profile.mkdir()
    return Visit(chromium, pages, profile)


ALLOWED = "app.example.localhost"


def test_a_page_that_is_allowed(visit: Visit, gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    url = api(gateway, "/cors/")
    seen = visit.calls(
        ALLOWED,
        [
            ("simple", f"{url}simple", {}),
            ("put", f"{url}put", {"method": "PUT", "headers": {"X-One": "1"}, "body": "x"}),
            ("delete", f"{url}delete", {"method": "DELETE", "headers": {"Authorization": "Bearer x"}}),
            ("with cookie", f"{url}cookie", {"credentials": "include"}),
            ("patch", f"{url}patch", {"method": "PATCH"}),
            ("post", f"{url}post", {"method": "POST", "headers": {"X-One": "1"}}),
            ("other header", f"{url}other", {"headers": {"X-Two": "1"}}),
            ("json", f"{url}json", {"method": "PUT", "headers": {"Content-Type": "application/json"}, "body": "{}"}),
            ("no cors", api(gateway, "/no-cors/options"), {"method": "PUT"}),
        ],
    )
    answer = {"status": 200, "body": "hello"}
    for name in ("simple", "put", "delete", "with cookie"):
        assert {"status": seen[name]["status"], "body": seen[name]["body"]} == answer, name
        assert seen[name]["headers"]["x-total"] == "7"
        assert "x-hidden" not in seen[name]["headers"]
    # Refused by the answers to their preflights.
    assert [name for name in seen if seen[name] is None] == ["patch", "post", "other header", "json", "no cors"]
    # None of the preflights went upstream but the one of the route without a filter.
    assert asked(upstream) == [
        "GET /cors/simple",
        "PUT /cors/put",
        "DELETE /cors/delete",
        "GET /cors/cookie",
        "OPTIONS /no-cors/options",
    ]
    simple, _, _, with_cookie, _ = upstream.requests
    assert (simple.headers.all(b"cookie"), with_cookie.headers.all(b"cookie")) == ([], [b"session=abc"])
    metrics = gateway.metrics()
    preflights = {
        result: metrics.value("gateway_cors_preflights_total", filter="browsers", result=result)
        for result in ("allowed", "origin", "method", "header")
    }
    assert preflights == {"allowed": 2, "origin": 0, "method": 2, "header": 2}


def test_errors_of_the_gateway_are_for_the_page_to_read(
    visit: Visit, gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    seen = visit.calls(
        ALLOWED,
        [
            ("401", api(gateway, "/error/401"), {}),
            ("403", api(gateway, "/error/403"), {"method": "PUT"}),
            ("404", api(gateway, "/error/files/none"), {}),
            ("502", api(gateway, "/error/502"), {"credentials": "include"}),
            ("no route", api(gateway, "/nowhere"), {}),
        ],
    )
    assert {name: each and each["status"] for name, each in seen.items()} == {
        "401": 401,
        "403": 403,
        "404": 404,
        "502": 502,
        "no route": None,  # no route, so nobody who could allow it
    }
    assert seen["401"]["body"] == "who are you"
    assert '"reason": "origin_denied"' in seen["403"]["body"] or '"reason":"origin_denied"' in seen["403"]["body"]
    assert asked(upstream) == []


def test_without_credentials(visit: Visit, gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    put = {"method": "PUT", "headers": {"Authorization": "Bearer x", "X-Any": "1"}}
    seen = visit.calls(
        ALLOWED,
        [
            ("without", api(gateway, "/no-credentials/1"), {}),
            ("with", api(gateway, "/no-credentials/2"), {"credentials": "include"}),
            ("all", api(gateway, "/all/1"), put),
            ("all with", api(gateway, "/all/2"), {"credentials": "include"}),
            ("all preflighted with", api(gateway, "/all/3"), {**put, "credentials": "include"}),
        ],
    )
    assert {name: each and each["status"] for name, each in seen.items()} == {
        "without": 200,
        "with": None,
        "all": 200,
        "all with": None,
        "all preflighted with": None,
    }
    # A simple request is made all the same; a preflighted one is not.
    assert asked(upstream) == ["GET /no-credentials/1", "GET /no-credentials/2", "PUT /all/1", "GET /all/2"]


LOOK_ALIKES = [
    "evil.localhost",
    "evilapps.localhost",
    "apps.localhost",
    "app.example.localhost.evil.localhost",
    "xapp.example.localhost",
    "a.app.example.localhost",
    "appxexample.localhost",
    "app.example.localhost.",
    "null",
]


def test_pages_that_are_not_allowed(visit: Visit, gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    def calls(host: str) -> Calls:
        return [
            ("simple", api(gateway, f"/cors/simple/{host}"), {}),
            ("put", api(gateway, f"/cors/put/{host}"), {"method": "PUT"}),
            ("header", api(gateway, f"/cors/header/{host}"), {"headers": {"X-One": "1"}}),
            ("with cookie", api(gateway, f"/cors/cookie/{host}"), {"method": "DELETE", "credentials": "include"}),
            ("blocked", api(gateway, f"/blocked/simple/{host}"), {}),
            ("blocked put", api(gateway, f"/blocked/put/{host}"), {"method": "PUT"}),
            ("all", api(gateway, f"/all/{host}"), {}),
        ]

    seen = visit.frames({host: calls(host) for host in LOOK_ALIKES})
    for host in LOOK_ALIKES:
        assert [name for name, each in seen[host].items() if each is not None] == ["all"], host
    # What needs no preflight is made, and its answer kept from the page; not where `block` is on.
    made = [f"GET /{path}/{host}" for host in LOOK_ALIKES for path in ("cors/simple", "all")]
    assert sorted(asked(upstream)) == sorted(made)
    gateway.wait_for_log(lambda line: line["event"] == "cors_denied" and line["route"] == "blocked", "security.log")
    denied = gateway.metrics().value("gateway_filter_decisions_total", filter="only-listed", decision="deny")
    assert denied == 2 * len(LOOK_ALIKES)


def test_a_page_that_a_wildcard_allows(visit: Visit, gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    host = "a.b.apps.localhost"
    seen = visit.frames({host: [("put", api(gateway, "/cors/1"), {"method": "PUT"})]})
    assert seen[host]["put"]["status"] == 200
    assert asked(upstream) == ["PUT /cors/1"]


@pytest.mark.parametrize("domain", ["localhost", "test"])  # browsers send Sec-Fetch-Site to the first only
@pytest.mark.parametrize("route", ["no-cors", "csrf"])
def test_a_form_of_another_site(
    domain: str,
    route: str,
    chromium: str,
    pages: Pages,
    tmp_path: Path,
    gateway: GatewayProcess,
    upstream: ScriptedUpstream,
) -> None:
    """The visitor is logged in at our site and then opens a page that posts a form there."""
    target = api(gateway, f"/{route}/{domain}", f"example.{domain}")
    pages.put(
        "/login",
        f"<!doctype html><script>location = 'http://evil.{domain}:{pages.port}/forge'</script>",
        Set_Cookie=f"session=abc; Domain=example.{domain}",
    )
    pages.put(
        "/forge",
        f"<!doctype html><form method=post action='{target}'><input name=to value=evil></form>"
        "<script>document.forms[0].submit()</script>",
    )
    with browsing(chromium, f"http://app.example.{domain}:{pages.port}/login", tmp_path):
        pages.wait_shown("/forge")
        line = gateway.wait_for_log(lambda line: line["path"] == f"/{route}/{domain}")
    assert line["method"] == "POST"
    if route == "no-cors":
        # The cookie went with it: this is what there is to keep out.
        assert line["status"] == 200
        assert upstream.only_request().headers.all(b"cookie") == [b"session=abc"]
    else:
        assert (line["status"], line["reason"], line["filter"]) == (403, "origin_denied", "forgery")
        assert asked(upstream) == []
        denied = gateway.wait_for_log(lambda each: each["id"] == line["id"] and each["filter"], "security.log")
        assert (denied["event"], denied["mode"]) == ("csrf_denied", "enforce")


@pytest.mark.parametrize("domain", ["localhost", "test"])
def test_a_page_of_the_site_itself(
    domain: str,
    chromium: str,
    pages: Pages,
    tmp_path: Path,
    gateway: GatewayProcess,
    upstream: ScriptedUpstream,
) -> None:
    calls: Calls = [("post", "/csrf/1", {"method": "POST"}), ("put", "/csrf/2", {"method": "PUT"})]
    pages.put("/pages/own", page_of_calls(calls, "/pages/seen/own", COOKIE))
    with browsing(chromium, api(gateway, "/pages/own", f"example.{domain}"), tmp_path):
        seen = pages.seen("own")
    assert {name: each["status"] for name, each in seen.items()} == {"post": 200, "put": 200}
    assert asked(upstream) == ["POST /csrf/1", "PUT /csrf/2"]
    assert [request.headers.all(b"cookie") for request in upstream.requests] == [[b"session=abc"]] * 2


def test_a_page_of_the_site_that_hides_where_it_is(
    chromium: str, pages: Pages, tmp_path: Path, gateway: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    """Its Origin is null; Sec-Fetch-Site, which no page can suppress, says that it is ours."""
    pages.put(
        "/pages/hides",
        f"<!doctype html><meta name=referrer content=no-referrer>{COOKIE}"
        "<form method=post action='/csrf/hides'></form><script>document.forms[0].submit()</script>",
    )
    with browsing(chromium, api(gateway, "/pages/hides"), tmp_path):
        pages.wait_shown("/pages/hides")
        line = gateway.wait_for_log(lambda line: line["path"] == "/csrf/hides")
    assert line["status"] == 200
    request = upstream.only_request()
    assert (request.headers.get(b"origin"), request.headers.get(b"sec-fetch-site")) == (b"null", b"same-origin")
    assert request.headers.all(b"cookie") == [b"session=abc"]
