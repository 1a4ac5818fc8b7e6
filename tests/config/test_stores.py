"""The options of [store:NAME]: where a Redis is, what is refused, what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gwproxy.config import ConfigErrors, parse, show
from gwproxy.config.mistakes import BadValue
from gwproxy.config.stores import RedisAddress, StoreOptions, redis_url
from tests.store.certificates import Authority


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("redis://127.0.0.1", RedisAddress("127.0.0.1")),
        ("redis://redis.internal:7000/3", RedisAddress("redis.internal", 7000, database=3)),
        ("redis://[2001:db8::1]:7000", RedisAddress("2001:db8::1", 7000)),
        ("rediss://redis.internal/", RedisAddress("redis.internal", tls=True)),
        ("redis://:p%40ss%2F@h/1", RedisAddress("h", database=1, password="p@ss/")),
        ("redis://me:secret@h", RedisAddress("h", user="me", password="secret")),
        ("unix:///run/redis/redis.sock", RedisAddress(path="/run/redis/redis.sock")),
        ("unix:///run/redis.sock?db=4", RedisAddress(path="/run/redis.sock", database=4)),
    ],
)
def test_urls(text: str, wanted: RedisAddress) -> None:
    assert redis_url(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1:6379", "http://h", "redis://", "redis://h:0", "redis://h:x", "redis://h/x", "redis://h/99999"),
        *("redis://h/1?db=2", "redis://h/0#x", "unix://h/run/redis.sock", "unix:run", "unix:///run?db=x"),
        *("redis://me@h", "redis://[::1"),
    ],
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(BadValue):
        redis_url(text)


def read(section: str) -> str:
    text = f"[listen:http]\nendpoint = tcp:0\n[store:shared]\n{section}\n"
    return show(parse(text.encode(), "gw.ini", environ={}, filter_types={}))


def refused(section: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        read(section)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_a_password_is_nowhere() -> None:
    secret = "redis://me:hunter2@redis.internal/1"
    options = StoreOptions(name="s", url=redis_url(secret))
    assert "hunter2" not in repr(options)
    assert options.url.label == "redis.internal:6379"
    assert "hunter2" not in read(f"url = {secret}")
    assert "hunter2" not in str(refused("url = redis://me:hunter2@redis.internal/x"))


def test_tls_options_need_tls(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    assert refused(f"url = rediss://h\ntls_ca = {tmp_path}/none.pem") == [
        f"gw.ini:5: [store:shared] tls_ca = '{tmp_path}/none.pem': must be a PEM file with certificates"
    ]
    Authority.make(tmp_path)
    ca = tmp_path / "ca.pem"
    assert refused(f"url = redis://h\ntls_ca = {ca}") == [
        "gw.ini:5: [store:shared] tls_ca is for a url that begins with rediss://"
    ]
    assert refused(f"url = rediss://h\ntls_certificate = {ca}") == [
        f"gw.ini:5: [store:shared] tls_certificate = '{ca}': must hold a private key beside the certificate, "
        "without a password"
    ]
    assert "tls_ca" in read(f"url = rediss://h\ntls_ca = {ca}")
