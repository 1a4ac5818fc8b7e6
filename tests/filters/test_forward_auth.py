"""The filter `forward_auth`: what the other service is told, what goes upstream, what the client gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent

from gwproxy.calls import Answer, CallFailed
from gwproxy.config.mistakes import BadValue
from gwproxy.filters import forward_auth
from gwproxy.filters.api import Header, Principal
from gwproxy.testing import (
    FakeCalls,
    FakeExchange,
    FilterHarness,
    Surroundings,
    build_filter,
    parse_options,
    run_filter,
)
from gwproxy.testing.harness import Played

URL = "http://auth.test/check"
OK = Answer(200, [(b"X-User", b"ann"), (b"X-Roles", b"a"), (b"X-Roles", b"b"), (b"Set-Cookie", b"s=1")], b"hello")
FORGED = [(b"X-User", b"root"), (b"x_user", b"root"), (b"X_Roles", b"admin")]


class Service:
    def __init__(self, *answers: Answer | CallFailed) -> None:
        self.calls = FakeCalls({URL: list(answers)})
        self.around = Surroundings(calls=self.calls)

    def build(self, **options: str) -> Any:
        return build_filter(forward_auth, {"url": URL, **options}, around=self.around)

    def ask(self, exchange: FakeExchange | None = None, **options: str) -> Played:
        return run_filter(self.build(**options), exchange)

    @property
    def told(self) -> list[Header]:
        return self.calls.asked[-1].headers


def test_what_the_service_is_told() -> None:
    service = Service(OK)
    headers = [(b"Host", b"Example.com:8080"), (b"cookie", b"a=b"), (b"Cookie", b"c=d"), (b"Authorization", b"x")]
    headers += [(b"X-Secret", b"1"), (b"X-Forwarded-Uri", b"/forged"), (b"X_Forwarded_Uri", b"/forged")]
    exchange = FakeExchange(b"PUT", b"/a%2f%61?b=%20", headers, scheme=b"https", client_ip="2001:db8::1", body=b"x")
    service.ask(exchange)
    assert service.told == [
        (b"cookie", b"a=b"),
        (b"Cookie", b"c=d"),
        (b"Authorization", b"x"),
        (b"X-Forwarded-Method", b"PUT"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"Example.com:8080"),
        (b"X-Forwarded-Uri", b"/a%2f%61?b=%20"),
        (b"X-Forwarded-For", b"2001:db8::1"),
    ]
    [asked] = service.calls.asked
    assert (asked.method, asked.body) == ("GET", None)


@pytest.mark.parametrize(
    ("target", "uri"),
    [
        (b"/public/../admin", b"/admin"),
        (b"/public/%2e%2e/admin?x=/../", b"/admin?x=/../"),
        (b"/a?", b"/a?"),
        (b"http://example.com/a?b", b"/a?b"),
        (b"http://example.com", b"/"),
        (b"/a//b", b"/a//b"),
    ],
)
def test_it_is_told_the_target_that_goes_upstream(target: bytes, uri: bytes) -> None:
    service = Service(OK)
    service.ask(FakeExchange(target=target))
    assert (b"X-Forwarded-Uri", uri) in service.told


def test_of_an_unknown_client_nothing_is_told() -> None:
    service = Service(OK)
    service.ask(FakeExchange(peer_ip=""))
    assert b"X-Forwarded-For" not in dict(service.told)


def test_the_method_and_the_headers_can_be_chosen() -> None:
    service = Service(OK)
    headers = [(b"X-Tenant", b"t"), (b"Cookie", b"a=b")]
    service.ask(FakeExchange(headers=headers), method="POST", send_headers="x-tenant")
    assert service.calls.asked[0].method == "POST"
    assert service.told[0] == (b"X-Tenant", b"t")
    assert b"Cookie" not in dict(service.told)


# It may pass


def test_the_fields_taken_go_upstream_in_place_of_the_clients() -> None:
    service = Service(OK)
    played = service.ask(FakeExchange(headers=[*FORGED, (b"Accept", b"*/*")]), take_headers="X-User, X-Roles")
    assert played.status == 200
    taken = [(b"Accept", b"*/*"), (b"X-User", b"ann"), (b"X-Roles", b"a"), (b"X-Roles", b"b")]
    assert played.sent[0].headers[1:] == taken
    assert played.header(b"set-cookie") is None
    assert played.exchange.principal is None
    assert service.around.decisions() == {("allow", "enforce"): 1}


def test_a_field_that_the_service_does_not_give_is_not_there() -> None:
    played = Service(Answer(204, [], b"")).ask(FakeExchange(headers=list(FORGED)), take_headers="X-User, X-Roles")
    assert played.sent[0].headers == [(b"Host", b"example.com")]


def test_a_token_in_place_of_a_cookie() -> None:
    service = Service(Answer(200, [(b"Authorization", b"Bearer inner")], b""))
    exchange = FakeExchange(headers=[(b"Authorization", b"outer")])
    played = service.ask(exchange, take_headers="Authorization")
    assert service.told[0] == (b"Authorization", b"outer")
    assert played.sent[0].headers[1:] == [(b"Authorization", b"Bearer inner")]


def test_the_subject() -> None:
    played = Service(OK).ask(subject_header="X-User")
    assert played.exchange.principal == Principal("ann", {"sub": "ann"}, method="forward_auth")
    assert played.sent[0].headers == [(b"Host", b"example.com")]
    somebody = Principal("bob")
    played = Service(Answer(200, [], b"")).ask(FakeExchange(principal=somebody), subject_header="X-User")
    assert played.exchange.principal is somebody


def test_remembered() -> None:
    service = Service(OK)
    built = service.build(cache_ttl="1m", take_headers="X-User", subject_header="X-User")
    for _ in range(3):
        played = run_filter(built, FakeExchange())
        assert played.sent[0].headers[1:] == [(b"X-User", b"ann")]
        assert played.exchange.principal is not None
    assert len(service.calls.asked) == 1
    assert FilterHarness(built).run(FakeExchange(target=b"/other")).waiting


def test_what_is_remembered_outlives_a_reload_that_changes_nothing_of_it() -> None:
    service = Service(OK)
    service.ask(cache_ttl="1m")
    assert service.ask(cache_ttl="1m", mode="shadow").status == 200
    assert FilterHarness(service.build(cache_ttl="1m", take_headers="X-User")).run().waiting


# It may not


def test_the_answer_is_the_clients() -> None:
    headers = [
        (b"WWW-Authenticate", b'Negotiate x="y"'),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"Content-Type", b"text/html"),
        (b"Cache-Control", b"no-store"),
        (b"X-Internal", b"1"),
        (b"Content-Length", b"99"),
        (b"Connection", b"close"),
    ]
    service = Service(Answer(401, headers, b"<p>who?"))
    played = service.ask()
    assert (played.status, played.body, played.headers) == (401, b"<p>who?", headers[:5])
    assert played.sent == []
    assert [(each["event"], each["reason"]) for each in service.around.events] == [("auth_failed", "authority_denied")]
    assert service.around.decisions() == {("deny", "enforce"): 1}


def test_a_redirect_is_not_followed() -> None:
    played = Service(Answer(302, [(b"Location", b"https://login.test/?next=x")], b"")).ask()
    assert played.status == 302
    assert played.headers == [
        (b"Location", b"https://login.test/?next=x"),
        (b"Content-Type", b"text/plain; charset=utf-8"),
    ]


def test_forbidden_is_another_event() -> None:
    service = Service(Answer(403, [], b"no"))
    assert service.ask().status == 403
    assert [(each["event"], each["reason"]) for each in service.around.events] == [("forbidden", "authority_denied")]


def test_which_headers_of_an_answer_are_shown_can_be_chosen() -> None:
    played = Service(Answer(403, [(b"Location", b"x"), (b"X-Why", b"y")], b"")).ask(answer_headers="x-why")
    assert played.header(b"x-why") == b"y"
    assert played.header(b"location") is None


def test_shadow() -> None:
    service = Service(Answer(403, [], b"no"))
    played = service.ask(FakeExchange(headers=list(FORGED)), take_headers="X-User, X-Roles", mode="shadow")
    assert played.status == 200
    assert played.sent[0].headers == [(b"Host", b"example.com")]
    assert [each["mode"] for each in service.around.events] == ["shadow"]


# No answer


@pytest.mark.parametrize("answer", [CallFailed("timeout"), CallFailed("connect"), Answer(502, [], b"x")])
def test_no_answer(answer: Answer | CallFailed, logged_errors: list[LogEvent]) -> None:
    service = Service(answer)
    played = service.ask()
    assert played.status == 503
    assert played.header(b"retry-after") == b"5"
    assert played.reply is not None
    assert played.reply.detail == "authority_unavailable"
    assert [each["reason"] for each in service.around.events] == ["authority_unavailable"]
    assert len(logged_errors) == 1
    logged_errors.clear()


def test_no_answer_and_let_pass(logged_errors: list[LogEvent]) -> None:
    service = Service(CallFailed("timeout"))
    exchange = FakeExchange(headers=list(FORGED))
    played = service.ask(exchange, on_error="allow", take_headers="X-User, X-Roles", subject_header="X-User")
    assert played.status == 200
    assert played.sent[0].headers == [(b"Host", b"example.com")]
    assert played.exchange.principal is None
    assert [(each["event"], each["reason"]) for each in service.around.events] == [
        ("check_failed", "authority_unavailable")
    ]
    assert service.around.decisions() == {("error", "enforce"): 1}
    logged_errors.clear()


def test_an_answer_too_large_lets_nobody_pass(logged_errors: list[LogEvent]) -> None:
    assert Service(CallFailed("too_large")).ask(on_error="allow").status == 503
    logged_errors.clear()


def test_a_refusal_holds_whatever_on_error_says() -> None:
    assert Service(Answer(403, [], b"")).ask(on_error="allow").status == 403


def test_a_client_that_goes_away_ends_the_call() -> None:
    service = Service()
    played = FilterHarness(service.build()).run()
    assert played.waiting
    played.disconnect()
    assert service.calls.asked[0].cancelled


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "ftp://x/"}, "must be a URL"),
        ({"url": "http://user:pw@x/"}, "must not have a user"),
        ({"method": "PUT"}, "must be GET or HEAD or POST"),
        ({"send_headers": "Host"}, "ends at this hop"),
        ({"send_headers": "Cookie, cookie"}, "stands twice"),
        ({"send_headers": "X-Forwarded-For"}, "written by the gateway"),
        ({"take_headers": "Connection"}, "ends at this hop"),
        ({"take_headers": "X-Request-ID"}, "written by the gateway"),
        ({"answer_headers": "Content-Length"}, "frames the message"),
        ({"answer_headers": "Content-Encoding"}, "frames the message"),
        ({"answer_headers": "two words"}, "must be a header name"),
        ({"subject_header": "Transfer-Encoding"}, "frames the message"),
        ({"timeout": "0"}, "more than 0"),
        ({"max_calls": "0"}, "must be 1 to"),
        ({"ca_file": str(Path(__file__))}, "has no certificate"),
    ],
)
def test_options_that_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        parse_options(forward_auth.Options, {"url": URL, **options})


def test_traits() -> None:
    traits = forward_auth.traits(parse_options(forward_auth.Options, {"url": URL, "take_headers": "X-User"}))
    assert traits.costly
    assert not traits.identifies
    assert traits.vouches_for == (b"x-user",)
    assert forward_auth.traits(parse_options(forward_auth.Options, {"url": URL, "subject_header": "X-User"})).identifies
