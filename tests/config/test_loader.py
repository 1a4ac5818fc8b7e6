"""Whole files: what they load to, and every mistake with its line."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gwproxy.config import Config, ConfigErrors, Place, gateway_options, load, parse
from gwproxy.config.addresses import ServerAddress
from gwproxy.config.model import Balance, EncodedSlashes, GatewayOptions, LogFormat, ServerHeader, Underscores
from gwproxy.config.routes import PathPattern, PatternKind, Redirect, Respond
from gwproxy.config.values import Rate

Load = Callable[..., Config]
Mistakes = Callable[..., list[str]]

LISTEN = "[listen:http]\nendpoint = tcp:0\n"

WHOLE = """\
[gateway]
workers = 0
reactor = epoll
drain = 10s
trusted_proxies = 10.0.0.0/8, ::1, unix:
server_header = own
via = edge-1

[admin]
endpoint = unix:admin.sock

[log]
access = logs/access.log
error = off
security = syslog
format = combined

[listen:http]
endpoint = tcp:8080
max_connections = 1
max_connections_per_address = 2
min_body_rate = 1k
header_timeout = 1s
idle_timeout = 2s
max_header_size = 1k
max_headers = 3
max_target = 4k
keepalive_requests = 6
keepalive_max_age = 7s
underscores = reject

[upstream:users]
servers =
    http://127.0.0.1:9001 weight=2
    unix:users.sock
balance = least_active
connect_timeout = 1s
response_timeout = 2s
idle_timeout = 3s
max_connections = 4
queue = 5
queue_timeout = 6s
keepalive = 7
keepalive_timeout = 8s
retries = 9
resolve_interval = 10s
max_response_header_size = 11k
max_response_headers = 12

[route:users]
host = API.example.com, *.example.org
path = /user/{id}
methods = GET, foo
upstream = users
strip_prefix = /user
add_prefix = /v1
host_header = upstream
filters = one
websocket = off
timeout = none
max_body = 0
encoded_slashes = reject

[route:files]
path = /files/
static = .

[route:hello]
path = = /
respond = 200 hello

[route:old]
path = ~ /old/.*
redirect = 308 https://example.com$uri

[filter:one]
type = sample
rate = 50/s
class = x
"""


def test_every_key_of_the_contract(load_text: Load, tmp_path: Path) -> None:
    config = load_text(WHOLE)
    gateway, log = config.gateway, config.log
    assert (gateway.workers, gateway.reactor, gateway.drain, gateway.via) == (0, "epoll", 10.0, "edge-1")
    assert gateway.server_header is ServerHeader.OWN
    assert gateway.trusted_proxies == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1"), "unix:")
    assert config.admin.endpoint == f"unix:{tmp_path}/admin.sock"
    assert (log.access, log.error, log.security) == (str(tmp_path / "logs/access.log"), "off", "syslog")
    assert log.format is LogFormat.COMBINED

    listen = config.listeners["http"]
    assert (listen.name, listen.endpoint) == ("http", "tcp:8080")
    assert (listen.max_connections, listen.max_connections_per_address, listen.min_body_rate) == (1, 2, 1024)
    assert (listen.header_timeout, listen.idle_timeout) == (1.0, 2.0)
    assert (listen.max_header_size, listen.max_headers, listen.max_target) == (1024, 3, 4096)
    assert (listen.keepalive_requests, listen.keepalive_max_age) == (6, 7.0)
    assert listen.underscores is Underscores.REJECT

    upstream = config.upstreams["users"]
    assert upstream.servers == (
        ServerAddress("tcp", "127.0.0.1", 9001),
        ServerAddress("unix", path=str(tmp_path / "users.sock")),
    )
    assert [server.weight for server in upstream.servers] == [2, 1]
    assert upstream.balance is Balance.LEAST_ACTIVE
    assert (upstream.connect_timeout, upstream.response_timeout, upstream.idle_timeout) == (1.0, 2.0, 3.0)
    assert (upstream.max_connections, upstream.queue, upstream.queue_timeout) == (4, 5, 6.0)
    assert (upstream.keepalive, upstream.keepalive_timeout, upstream.retries) == (7, 8.0, 9)
    assert (upstream.resolve_interval, upstream.max_response_header_size) == (10.0, 11264)
    assert upstream.max_response_headers == 12

    route = config.routes["users"]
    assert route.host == ("api.example.com", "*.example.org")
    assert route.path == PathPattern(PatternKind.TEMPLATE, "/user/{id}", "/user/{id}")
    assert (route.methods, route.upstream, route.filters) == ((b"GET", b"foo"), "users", ("one",))
    assert (route.strip_prefix, route.add_prefix, route.host_header) == ("/user", "/v1", "upstream")
    assert (route.websocket, route.timeout, route.max_body) == (False, 0.0, 0)
    assert route.encoded_slashes is EncodedSlashes.REJECT
    assert config.routes["files"].static == tmp_path
    assert config.routes["hello"].respond == Respond(200, b"hello")
    assert config.routes["old"].redirect == Redirect(308, "https://example.com$uri")
    assert list(config.routes) == ["users", "files", "hello", "old"]

    section = config.filters["one"]
    assert (section.name, section.type) == ("one", "sample")
    assert (section.options.rate, section.options.burst, section.options.class_) == (Rate(50, 1.0), 100, "x")


def test_defaults_of_sections_that_are_not_there(load_text: Load) -> None:
    config = load_text(LISTEN)
    assert (config.gateway.drain, config.gateway.trusted_proxies) == (30.0, ())
    assert config.admin.endpoint == ""
    assert config.log.access == "stdout"


def test_places(load_text: Load, tmp_path: Path) -> None:
    config = load_text(WHOLE)
    lines = WHOLE.splitlines()
    file = str(tmp_path / "gw.ini")
    assert config.place("route", "users") == Place(file, lines.index("[route:users]") + 1)
    assert config.place("route", "users", "path") == Place(file, lines.index("path = /user/{id}") + 1)
    assert config.place("gateway", "", "drain") == Place(file, 4)
    assert config.place("filter", "one", "type") == Place(file, lines.index("type = sample") + 1)


def test_all_mistakes_in_one_run(mistakes_of: Mistakes) -> None:
    text = """\
[gatway]
drain = 5s
[gateway:x]
[listen]
[listen:a]
endpiont = tcp:80
tls = api
[store:s]
[upstream:users]
servers = http://a, https://b, ftp://c
balance = rnd_robin
[route:r]
upstream = user
filters = one, three
timeout = 5
[route:nothing]
path = /x
[route:both]
respond = 200
redirect = 308 /
[filter:one]
type = sampel
[filter:two]
type = sample
burst = 0
[filter:three]
rate = 1/s
stray
[route:r]
path = /y
"""
    assert mistakes_of(text) == [
        "gw.ini:1: [gatway] there is no such kind of section; did you mean 'gateway'?",
        "gw.ini:3: [gateway:x] the section has no name: write [gateway]",
        "gw.ini:4: [listen] the section needs a name: write [listen:NAME]",
        "gw.ini:5: [listen:a] endpoint is missing",
        "gw.ini:6: [listen:a] there is no option endpiont; did you mean 'endpoint'?",
        "gw.ini:7: [listen:a] tls: TLS is not in this version yet",
        "gw.ini:8: [store:s] url is missing",
        "gw.ini:10: [upstream:users] servers = 'https://b': https:// servers are not in this version yet",
        "gw.ini:10: [upstream:users] servers = 'ftp://c': must be http://HOST:PORT, unix:PATH or builtin:echo",
        "gw.ini:11: [upstream:users] balance = 'rnd_robin': must be round_robin or least_active; "
        "did you mean 'round_robin'?",
        "gw.ini:13: [route:r] upstream = 'user': there is no such [upstream:NAME]; did you mean 'users'?",
        "gw.ini:15: [route:r] timeout = '5': must be a duration: a number and ms, s, m, h or d, as in 250ms or 30s",
        "gw.ini:16: [route:nothing] needs one of upstream, static, respond, redirect",
        "gw.ini:20: [route:both] has respond and redirect, but a route does one thing only",
        "gw.ini:22: [filter:one] there is no filter type 'sampel'; did you mean 'sample'?",
        "gw.ini:23: [filter:two] rate is missing",
        "gw.ini:26: [filter:three] type is missing: it says what kind of filter this is",
        "gw.ini:28: [filter:three] is neither [section], nor key = value, nor a comment (; or # in front)",
        "gw.ini:29: [route:r] the section is there already, in line 12",
    ]


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("listen:http", "tls = api"),
        ("listen:http", "redirect = https"),
        ("listen:http", "proxy_protocol = on"),
        ("upstream:u", "tls_ca = ca.pem"),
        ("upstream:u", "tls_name = a"),
        ("upstream:u", "balance = hash:ip"),
        ("gateway", "workers = auto"),
        ("route:r", "websocket = on"),
    ],
)
def test_what_is_not_there_yet_is_said_so(mistakes_of: Mistakes, section: str, key: str) -> None:
    rest = {"upstream:u": "servers = builtin:echo\n", "route:r": "respond = 200\n", "listen:http": "endpoint = tcp:0\n"}
    listen = "" if section == "listen:http" else LISTEN
    (mistake,) = mistakes_of(f"{listen}[{section}]\n{rest.get(section, '')}{key}\n")
    assert "not in this version yet" in mistake
    assert mistake.startswith(f"gw.ini:{(listen + rest.get(section, '')).count(chr(10)) + 2}: [{section}]")


def test_cross_checks_of_filters(mistakes_of: Mistakes) -> None:
    assert mistakes_of(f"{LISTEN}[filter:f]\ntype = sample\nrate = 1/s\nburst = 0\n") == [
        "gw.ini:6: [filter:f] burst must be 1 or more"
    ]


def test_a_parser_of_somebody_else(mistakes_of: Mistakes) -> None:
    text = f"{LISTEN}[filter:f]\ntype = sample\nrate = 1/s\nburst = ten\npattern = (\n"
    first, second = mistakes_of(text)
    assert first == "gw.ini:6: [filter:f] burst = 'ten': invalid literal for int() with base 10: 'ten'"
    assert second.startswith("gw.ini:7: [filter:f] pattern = '(': missing )")


def test_nothing_to_listen_on(mistakes_of: Mistakes) -> None:
    assert mistakes_of("") == ["gw.ini: there is no [listen:NAME]: nothing would be served"]


def test_an_endpoint_taken_twice(mistakes_of: Mistakes, load_text: Load) -> None:
    text = "[admin]\nendpoint = tcp:80\n[listen:a]\nendpoint = tcp:80\n"
    assert mistakes_of(text) == ["gw.ini:4: [listen:a] endpoint is taken already, by [admin]"]
    load_text("[listen:a]\nendpoint = tcp:0\n[listen:b]\nendpoint = tcp:0\n")


def test_secrets_are_in_no_message(mistakes_of: Mistakes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    text = f"""\
{LISTEN}[upstream:u]
servers = http://a, ${{file:secret}}
[route:r]
upstream = ${{NAME}}
filters = ${{NAME}}, x
timeout = ${{file:secret}}
[filter:f]
type = sample
rate = ${{NAME}}
burst = ${{NAME}}
password = hunter2\N{ZERO WIDTH SPACE}
[filter:g]
type = ${{file:secret}}
"""
    found = mistakes_of(text, {"NAME": "hunter2"})
    assert not [line for line in found if "hunter2" in line]
    assert [line.partition(": ")[2] for line in found] == [
        "[upstream:u] servers = 'http://a, ${file:secret}': must be http://HOST:PORT, unix:PATH or builtin:echo",
        "[route:r] upstream = '${NAME}': there is no such [upstream:NAME]",
        "[route:r] filters = '${NAME}, x': there is no such [filter:NAME]",
        "[route:r] filters = '${NAME}, x': there is no such [filter:NAME]",
        "[route:r] timeout = '${file:secret}': must be a duration: a number and ms, s, m, h or d, as in 250ms or 30s",
        "[filter:f] rate = '${NAME}': must be a rate: a number over s, m, h or d, as in 50/s or 600/m",
        "[filter:f] burst = '${NAME}': is not a valid int",
        "[filter:f] password = '***': must be one line of printable characters",
        "[filter:g] there is no filter type '${file:secret}'",
    ]


def test_a_validator_of_attrs_is_heard_unless_it_may_tell_a_secret(mistakes_of: Mistakes) -> None:
    text = f"{LISTEN}[filter:f]\ntype = strict\nword = ${{WORD:-hunter2}}\n"
    assert mistakes_of(text) == ["gw.ini:3: [filter:f] the options do not fit together"]
    text = f"{LISTEN}[filter:f]\ntype = strict\nword = hunter2\n"
    assert mistakes_of(text) == ["gw.ini:3: [filter:f] no such word: hunter2"]


def test_a_filter_type_from_the_environment(mistakes_of: Mistakes) -> None:
    assert mistakes_of(f"{LISTEN}[filter:f]\ntype = ${{TYPE}}\n") == [
        "gw.ini:4: [filter:f] type = '${TYPE}': the environment has no TYPE"
    ]


def test_a_variable_that_is_not_set(mistakes_of: Mistakes) -> None:
    assert mistakes_of(f"{LISTEN}[log]\naccess = a${{LOGS}}\n") == [
        "gw.ini:4: [log] access = '${LOGS}': the environment has no LOGS"
    ]


def test_variables(load_text: Load) -> None:
    config = load_text("[listen:a]\nendpoint = tcp:${PORT:-8080}:interface=${ADDRESS}\n", {"ADDRESS": "127.0.0.1"})
    assert config.listeners["a"].endpoint == "tcp:8080:interface=127.0.0.1"


def test_long_values_are_cut(mistakes_of: Mistakes) -> None:
    (mistake,) = mistakes_of(f"{LISTEN}[log]\nformat = {'x' * 1000}\n")
    assert len(mistake) < 200


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "none.ini", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (Path("a\0b"), "embedded null byte"),
    ):
        with pytest.raises(ConfigErrors) as caught:
            load(path, environ={}, filter_types={})
        assert str(caught.value) == f"{path}: cannot be read: {reason}"


words = st.sampled_from(
    "[gateway]|[listen:a]|[route:r]|[upstream:u]|[filter:f]|[store:s]|[x]|endpoint = tcp:0|servers = builtin:echo|"
    "servers = http://[::1|path = ~ (|path = /{a}|upstream = u|respond = 200 x|static = ${file:/}|type = sample|"
    "rate = 1/s|filters = f, f|methods = GET|drain = ${A}|drain = ${A|max_body = 0|pattern = [|host = *.|  more|;|"
    "redirect = 308 /|trusted_proxies = 1/1|strip_prefix = //".split("|")
)
lines = st.one_of(
    words.map(str.encode),
    st.binary(max_size=30),
    st.tuples(words, st.text(max_size=5)).map("".join).map(lambda line: line.encode("utf-8", "surrogatepass")),
)


@given(st.lists(lines, max_size=20).map(b"\n".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the filter types are the same for all
def test_any_bytes_load_or_are_refused(filter_types: dict[str, type], data: bytes) -> None:
    try:
        parse(data, "/etc/gw.ini", environ={"A": "\udc80"}, filter_types=filter_types)
    except ConfigErrors as errors:
        assert errors.mistakes
        str(errors).encode()  # printable


# The [gateway] section alone


def test_the_gateway_section_is_read_alone(tmp_path: Path) -> None:
    file = tmp_path / "gw.ini"
    file.write_text("[gateway]\nreactor = ${REACTOR}\n[listen:broken\n[filter:x]\ntype = none\n")
    assert gateway_options(file, environ={"REACTOR": "epoll"}).reactor == "epoll"


@pytest.mark.parametrize("text", [b"", b"[gateway]\nreactor = libevent\n", b"[gateway\n", b"\xff\xfe", None])
def test_without_a_gateway_section_that_can_be_read_it_is_the_default(text: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "gw.ini"
    if text is not None:
        file.write_bytes(text)
    assert gateway_options(file, environ={}) == GatewayOptions()
