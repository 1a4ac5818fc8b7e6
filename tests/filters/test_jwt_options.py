"""Which options of `jwt` are wrong, and which do not fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from gwproxy.config import ConfigMistake
from gwproxy.config.mistakes import BadValue
from gwproxy.filters.jwt_options import Options
from gwproxy.testing import parse_options

SECRET = "s" * 64
URL = "https://idp.example/keys"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)


def test_defaults() -> None:
    options = parse_options(Options, {"algorithms": "HS256", "secret": SECRET})
    assert (options.leeway, options.required_claims, options.max_token_size, options.cache_size) == (
        30.0,
        ("exp",),
        16384,
        10_000,
    )
    assert (options.header, options.optional, options.issuer, options.audience) == (b"Authorization", False, (), ())
    assert options.source == "secret"


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(parse_options(Options, {"algorithms": "HS256", "secret": SECRET}))


@pytest.mark.parametrize(
    ("algorithms", "words"),
    [
        ("none", "is no signature"),
        ("NONE", "is no signature"),
        ("RS256, none", "is no signature"),
        ("rs256", "must be one of HS256"),
        ("ES256K", "must be one of"),
        ("ES521", "must be one of HS256"),
        ("*", "must be one of"),
        ("", "at least one"),
    ],
)
def test_what_is_no_algorithm(algorithms: str, words: str) -> None:
    with pytest.raises(BadValue) as bad:
        parse_options(Options, {"algorithms": algorithms, "secret": SECRET})
    assert words in bad.value.message


@pytest.mark.parametrize(
    ("options", "key", "words"),
    [
        ({"algorithms": "HS256, RS256", "secret": SECRET}, "algorithms", "one filter for each"),
        ({"algorithms": "RS256, HS256", "jwks_url": URL}, "algorithms", "one filter for each"),
        ({"algorithms": "EdDSA, HS512", "jwks_file": "file"}, "algorithms", "one filter for each"),
        ({"algorithms": "HS256"}, "", "no keys"),
        ({"algorithms": "RS256", "issuer": "https://a.example"}, "", "no keys"),
        ({"algorithms": "HS256", "secret": SECRET, "secret_file": "file"}, "secret_file", "stand together"),
        ({"algorithms": "RS256", "jwks_url": URL, "jwks_file": "file"}, "jwks_url", "stand together"),
        (
            {"algorithms": "RS256", "jwks_url": URL, "discover": "yes", "issuer": "https://a.example"},
            "discover",
            "stand together",
        ),
        ({"algorithms": "HS256", "public_key_file": "file"}, "public_key_file", "HS256 takes a shared secret"),
        ({"algorithms": "HS256", "jwks_url": URL}, "jwks_url", "HS256 takes a shared secret"),
        (
            {"algorithms": "HS256", "discover": "yes", "issuer": "https://a.example"},
            "discover",
            "HS256 takes a shared secret",
        ),
        ({"algorithms": "RS256", "secret": SECRET}, "secret", "RS256 takes a public key"),
        ({"algorithms": "ES256", "secret_file": "file"}, "secret_file", "ES256 takes a public key"),
        ({"algorithms": "RS256", "discover": "yes"}, "discover", "exactly one"),
        ({"algorithms": "RS256", "discover": "yes", "issuer": "https://a.example, b"}, "discover", "exactly one"),
        ({"algorithms": "RS256", "discover": "yes", "issuer": "accounts"}, "issuer", "must be a URL"),
        ({"algorithms": "RS256", "discover": "yes", "issuer": "http://a.example"}, "issuer", "must be https"),
        ({"algorithms": "HS256", "secret": SECRET, "jwks_ca_file": "file"}, "jwks_ca_file", "no keys are fetched"),
        ({"algorithms": "HS256", "secret": SECRET, "leeway": "2h"}, "leeway", "1h or less"),
        (
            {"algorithms": "HS256", "secret": SECRET, "claims_to_headers": "sub: authorization"},
            "claims_to_headers",
            "the token itself",
        ),
        (
            {"algorithms": "HS256", "secret": SECRET, "header": "X-Jwt", "claims_to_headers": "sub: x-jwt"},
            "claims_to_headers",
            "the token itself",
        ),
    ],
)
def test_options_that_do_not_fit_together(options: dict[str, str], key: str, words: str) -> None:
    with pytest.raises(ConfigMistake) as mistake:
        parse_options(Options, options)
    assert mistake.value.key == key
    assert words in mistake.value.message
    assert SECRET not in mistake.value.message


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("jwks_url", "http://idp.example/keys"),
        ("jwks_url", "file:///etc/passwd"),
        ("jwks_url", "keys"),
        ("secret_file", "missing"),
        ("public_key_file", "missing"),
        ("jwks_file", "missing"),
        # a variable that is not set must not mean that anybody will do
        ("issuer", ""),
        ("audience", ""),
        ("required_claims", ""),
        ("max_token_size", "1"),
        ("cache_size", "-1"),
        ("header", "Host"),
        ("header", "X Y"),
        ("claims_to_headers", "sub"),
        ("claims_to_headers", "sub: Content-Length"),
        ("claims_to_headers", "sub: X-Forwarded-For"),
    ],
)
def test_what_is_no_value(key: str, text: str) -> None:
    with pytest.raises(BadValue):
        parse_options(Options, {"algorithms": "RS256", key: text})


@pytest.mark.parametrize(
    "options",
    [
        {"algorithms": "HS256, HS512", "secret": SECRET},
        {"algorithms": "HS256", "secret_file": "file"},
        {"algorithms": "HS256", "jwks_file": "file"},
        {"algorithms": "RS256, PS256, ES256, ES384, ES512, EdDSA", "public_key_file": "file"},
        {"algorithms": "RS256", "jwks_file": "file"},
        {"algorithms": "RS256", "jwks_url": "http://127.0.0.1:8080/keys"},
        {"algorithms": "RS256", "discover": "yes", "issuer": "http://localhost:8080", "jwks_ca_file": "file"},
        {"algorithms": "HS256", "secret": SECRET, "leeway": "0", "required_claims": "sub, exp"},
    ],
)
def test_options_that_fit_together(options: dict[str, str]) -> None:
    parse_options(Options, options)
