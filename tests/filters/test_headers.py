"""The filter `headers`: edits of both messages, variables, and what is refused at load."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwproxy.config import ConfigErrors, ConfigMistake, parse, show
from gwproxy.config.mistakes import BadValue
from gwproxy.filters import headers
from gwproxy.filters.api import Header, Principal, Traits
from gwproxy.filters.headers import VARIABLES, Template
from gwproxy.testing import FakeExchange, UpstreamResponse, build_filter, parse_options, run_filter


def sent(exchange: FakeExchange | None = None, **options: str) -> list[Header]:
    """The header of the request sent upstream, without the Host that stands first."""
    return run_filter(build_filter(headers, options), exchange).sent[0].headers[1:]


def answered(response: list[Header], **options: str) -> list[Header]:
    """The header of the response."""
    return run_filter(build_filter(headers, options), response=UpstreamResponse(headers=response)).headers


def test_request_set_replaces_all_of_the_name() -> None:
    exchange = FakeExchange(headers=[(b"x-a", b"1"), (b"Accept", b"*/*"), (b"X-A", b"2")])
    assert sent(exchange, request_set="X-A: 3") == [(b"Accept", b"*/*"), (b"X-A", b"3")]


def test_request_add_stands_beside_others() -> None:
    exchange = FakeExchange(headers=[(b"X-A", b"1")])
    assert sent(exchange, request_add="X-A: 2, X-A: 3") == [(b"X-A", b"1"), (b"X-A", b"2"), (b"X-A", b"3")]


def test_request_remove_compares_without_case_and_takes_no_twin() -> None:
    exchange = FakeExchange(headers=[(b"X-SECRET", b"1"), (b"X_Secret", b"2"), (b"X-Secrets", b"3"), (b"x-b", b"4")])
    assert sent(exchange, request_remove="x-secret, X-B") == [(b"X_Secret", b"2"), (b"X-Secrets", b"3")]


def test_response_set_add_remove() -> None:
    response = [(b"server", b"Apache"), (b"Set-Cookie", b"a=1"), (b"X-Frame", b"x")]
    assert answered(response, response_set="X-Frame: y", response_add="Set-Cookie: b=2", response_remove="Server") == [
        (b"Set-Cookie", b"a=1"),
        (b"X-Frame", b"y"),
        (b"Set-Cookie", b"b=2"),
    ]


def test_a_name_that_is_removed_and_added_is_there_once() -> None:
    exchange = FakeExchange(headers=[(b"X-A", b"client")])
    assert sent(exchange, request_remove="X-A", request_add="X-A: gateway") == [(b"X-A", b"gateway")]


def test_k4_every_attempt_begins_with_the_untouched_request() -> None:
    exchange = FakeExchange(headers=[(b"X-A", b"0")])
    added = build_filter(headers, {"request_add": "X-A: 1, X-B: $client_ip"})
    played = run_filter(added, exchange, attempts=3)
    wanted = [(b"X-A", b"0"), (b"X-A", b"1"), (b"X-B", b"192.0.2.1")]
    assert [head.headers[1:] for head in played.sent] == [wanted] * 3
    assert exchange.headers == [(b"X-A", b"0")]


def test_h3_a_client_cannot_take_away_what_is_set() -> None:
    exchange = FakeExchange(headers=[(b"Connection", b"x-user, close"), (b"X-User", b"admin")])
    assert sent(exchange, request_set="X-User: nobody") == [(b"X-User", b"nobody")]


# Values


def test_variables() -> None:
    exchange = FakeExchange(
        b"POST",
        b"/a%20b?c=d",
        scheme=b"https",
        host=b"api.example.com",
        client_ip="2001:db8::1",
        route_name="users",
        request_id="rid",
        trace_id="0" * 31 + "1",
        principal=Principal("alice"),
    )
    text = ", ".join(f"X-Test-{name.replace('_', '-')}: <${name}>" for name in VARIABLES)
    assert sent(exchange, request_set=text) == [
        (b"X-Test-client-ip", b"<2001:db8::1>"),
        (b"X-Test-host", b"<api.example.com>"),
        (b"X-Test-method", b"<POST>"),
        (b"X-Test-path", b"</a b>"),
        (b"X-Test-request-id", b"<rid>"),
        (b"X-Test-route", b"<users>"),
        (b"X-Test-scheme", b"<https>"),
        (b"X-Test-subject", b"<alice>"),
        (b"X-Test-trace-id", b"<00000000000000000000000000000001>"),
    ]


def test_a_dollar_sign_is_written_twice() -> None:
    assert sent(request_set="X-Price: $$5 and $$host, X-A: $$$host") == [
        (b"X-Price", b"$5 and $host"),
        (b"X-A", b"$example.com"),
    ]


def test_constants_and_variables_keep_their_order() -> None:
    assert sent(request_add="X-A: 1, X-A: $method, X-A: 3") == [(b"X-A", b"1"), (b"X-A", b"GET"), (b"X-A", b"3")]


def test_a_constant_is_rendered_at_load() -> None:
    assert Template.compile("a $$ b").constant == b"a $ b"
    assert Template.compile("a $host b").constant is None


def test_a_variable_without_a_value_only_takes_the_field_away() -> None:
    exchange = FakeExchange(headers=[(b"X-User", b"admin")])
    assert sent(exchange, request_set="X-User: $subject") == []


@pytest.mark.parametrize(
    ("subject", "wanted"),
    [
        ("bob\r\nX-Admin: 1", b"bob%0D%0AX-Admin: 1"),
        ("bob\0", b"bob%00"),
        (" bob\t", b"%20bob%09"),
        ("bob smith", b"bob smith"),
        ("b\u00f6b", "b\u00f6b".encode()),
        ("\ud800", rb"\ud800"),
        ("\x7f\x1b", b"%7F%1B"),
    ],
)
def test_a_variable_cannot_inject_a_line_nor_pass_for_another(subject: str, wanted: bytes) -> None:
    assert sent(FakeExchange(principal=Principal(subject)), request_set="X-User: $subject") == [(b"X-User", wanted)]


@given(st.text(st.characters(), min_size=1))
def test_whatever_a_variable_holds_the_value_is_a_field_value(subject: str) -> None:
    value = Template.compile("$subject").render(FakeExchange(principal=Principal(subject)))
    # RFC 9110 section 5.5
    assert all(byte >= 0x20 or byte == 0x09 for byte in value)
    assert b"\x7f" not in value
    assert value.strip(b" \t") == value
    assert value


def test_commas_stay_in_a_value_where_no_name_follows() -> None:
    assert answered([], response_set="Cache-Control: no-store, max-age=0, Vary: Accept, Origin") == [
        (b"Cache-Control", b"no-store, max-age=0"),
        (b"Vary", b"Accept, Origin"),
    ]
    assert answered([], response_set="Link: <https://a.example>; rel=x, https://b.example,X-A:1") == [
        (b"Link", b"<https://a.example>; rel=x, https://b.example"),
        (b"X-A", b"1"),
    ]


def test_on_several_lines_all_commas_stay_in_values() -> None:
    assert answered([], response_set="X-A: a, b: c\n\nX-B: 2\n") == [(b"X-A", b"a, b: c"), (b"X-B", b"2")]


# What is refused at load


def refused(section: str) -> list[str]:
    text = f"[listen:http]\nendpoint = tcp:0\n[filter:h]\ntype = headers\n{section}\n"
    with pytest.raises(ConfigErrors) as caught:
        parse(text.encode(), "gw.ini", environ={"SECRET": "$ecret"}, filter_types={"headers": headers.Options})
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    "name",
    [
        *("Connection", "Content-Length", "transfer-encoding", "TE", "Trailer", "Upgrade", "Keep-Alive", "Expect"),
        *("Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate"),
    ],
)
@pytest.mark.parametrize("option", ["request_set", "request_add", "response_set", "response_add"])
def test_framing_and_hop_by_hop_fields_are_refused(name: str, option: str) -> None:
    assert refused(f"{option} = {name}: 1") == [
        f"gw.ini:5: [filter:h] {option} = '{name}': frames the message or ends at this hop, "
        "and is no filter's to change"
    ]


@pytest.mark.parametrize("option", ["request_remove", "response_remove"])
def test_they_cannot_be_removed_either(option: str) -> None:
    assert refused(f"{option} = X-A, Content-Length") == [
        f"gw.ini:5: [filter:h] {option} = 'Content-Length': frames the message or ends at this hop, "
        "and is no filter's to change"
    ]


def test_host_belongs_to_the_route() -> None:
    assert refused("request_set = Host: internal") == [
        "gw.ini:5: [filter:h] request_set = 'Host': Host is set by host_header in the route"
    ]


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "x-forwarded-proto", "Forwarded", "X-Request-ID", "Via", "tracestate"]
)
def test_fields_that_the_gateway_writes_are_refused(name: str) -> None:
    assert refused(f"request_set = {name}: 1") == [
        f"gw.ini:5: [filter:h] request_set = '{name}': is written by the gateway itself"
    ]


def test_a_forwarding_field_that_the_gateway_does_not_write_can_be_set() -> None:
    assert sent(request_set="X-Forwarded-Prefix: /api") == [(b"X-Forwarded-Prefix", b"/api")]


@pytest.mark.parametrize(
    ("section", "wanted"),
    [
        ("request_set = X A: 1", "request_set = 'X A': must be a header name: letters, digits and -, without spaces"),
        ("request_set = : 1", "request_set = ': 1': must be a header name: letters, digits and -, without spaces"),
        ("request_set = X-A", "request_set = 'X-A': must be Name: value"),
        ("request_set = X-A:", "request_set = 'X-A': has no value; the _remove options take a field away"),
        (
            "request_set = X-A: $clientip",
            "request_set = '$clientip': there is no such variable; did you mean 'client_ip'?",
        ),
        (
            "request_set = X-A: 5$",
            "request_set = 'X-A: 5$': a dollar sign begins a variable; write $$ for the sign itself",
        ),
        (
            "response_remove = X A",
            "response_remove = 'X A': must be a header name: letters, digits and -, without spaces",
        ),
        ("request_remov = X-A", "there is no option request_remov; did you mean 'request_remove'?"),
    ],
)
def test_mistakes_are_told_with_their_place(section: str, wanted: str) -> None:
    assert refused(section) == [f"gw.ini:5: [filter:h] {wanted}"]


@pytest.mark.parametrize("control", ["\r", "\x0b", "\x85\x1b", "\x7f"])
def test_control_characters_in_a_value_are_refused(control: str) -> None:
    with pytest.raises(BadValue):
        build_filter(headers, {"request_set": f"X-A: a{control}b"})


@pytest.mark.parametrize("control", ["\r", "\n", "\0"])
def test_cr_lf_and_nul_in_a_template_are_refused(control: str) -> None:
    with pytest.raises(BadValue, match="cannot contain CR, LF, NUL"):
        Template.compile(f"a{control}b")


def test_a_secret_in_a_value_is_not_told() -> None:
    [mistake] = refused("request_set = X-Key: ${SECRET}")
    assert "ecret" not in mistake.replace("${SECRET}", "")
    assert "ecret" not in repr(Template.compile("ecret"))


def test_a_filter_that_does_nothing_is_refused() -> None:
    with pytest.raises(ConfigMistake, match="at least one of its options"):
        build_filter(headers)


def test_what_is_shown_loads_again() -> None:
    text = (
        "[listen:http]\nendpoint = tcp:0\n[filter:h]\ntype = headers\nrequest_set = X-A: $host, X-B: $$\n"
        "response_set =\n    Vary: a, b\n    X-C: 1\nresponse_remove = Server\n"
    )
    config = parse(text.encode(), "gw.ini", environ={}, filter_types={"headers": headers.Options})
    again = parse(show(config).encode(), "gw.ini", environ={}, filter_types={"headers": headers.Options})
    assert again.filters == config.filters


def test_what_others_of_the_chain_should_know() -> None:
    texts = {"request_remove": "X-User-Id", "request_set": "X-A: 1", "request_add": "X-B: 1"}
    options = parse_options(headers.Options, texts)
    assert headers.traits(options) == Traits(removes=(b"x-user-id", b"X-A"))
