"""`gwproxy token`: what it makes is verified by PyJWT, and by the gateway itself."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest

from gwproxy.cli import main
from gwproxy.runtime.wall import wall_clock
from gwproxy.testing import FakeExchange, Surroundings, build_filter, run_filter

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def make(capsys: Capture) -> Any:
    """Runs the command, and gives what it prints."""

    def make(*arguments: str | Path) -> str:
        status = main(["token", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert status == 0, err
        return out.removesuffix("\n")

    return make


@pytest.fixture
def secret(make: Any, tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    make("--new-secret", "--out", path)
    return path


def claims_of(token: str, path: Path, algorithm: str = "HS256", **options: Any) -> dict[str, Any]:
    return jwt.decode(token, path.read_text().strip(), [algorithm], **options)


def test_a_token_by_a_shared_secret(make: Any, secret: Path) -> None:
    token = make("--secret-file", secret, "--claim", "sub=alice", "--claim", 'roles=["admin"]', "--expires", "5m")
    claims = claims_of(token, secret)
    assert (claims["sub"], claims["roles"], claims["exp"] - claims["iat"]) == ("alice", ["admin"], 300)
    assert abs(claims["iat"] - wall_clock()) < 60
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_other_algorithms_of_a_secret(make: Any, secret: Path, algorithm: str) -> None:
    assert claims_of(make("--secret-file", secret, "--algorithm", algorithm), secret, algorithm)["exp"]


def test_issuer_audience_type_and_key_name(make: Any, secret: Path) -> None:
    arguments = ["--secret-file", secret, "--issuer", "https://idp", "--kid", "k1", "--typ", "at+jwt"]
    token = make(*arguments, "--audience", "users")
    assert claims_of(token, secret, audience="users", issuer="https://idp")["aud"] == "users"
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "at+jwt", "kid": "k1"}
    token = make(*arguments, "--audience", "a", "--audience", "b")
    assert claims_of(token, secret, audience="b")["aud"] == ["a", "b"]


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("level=5", 5),
        ("sub=5", "5"),
        ("scope=read write", "read write"),
        ("a=true", True),
        ("a=null", None),
        ("a=x=y", "x=y"),
        ('a={"b": [1]}', {"b": [1]}),
        ("a=[broken", "[broken"),
        ("a=", ""),
        ("exp=1", 1),
    ],
)
def test_claims(make: Any, secret: Path, claim: str, value: Any) -> None:
    token = make("--secret-file", secret, "--claim", claim)
    assert claims_of(token, secret, options={"verify_exp": False})[claim.partition("=")[0]] == value


def test_one_that_never_expires_and_one_that_has(make: Any, secret: Path) -> None:
    assert "exp" not in claims_of(make("--secret-file", secret, "--expires", "never"), secret)
    with pytest.raises(jwt.ExpiredSignatureError):
        claims_of(make("--secret-file", secret, "--claim", "exp=1000"), secret)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_token_by_a_key_and_the_jwks_that_verifies_it(make: Any, tmp_path: Path, algorithm: str) -> None:
    key = tmp_path / "key.pem"
    make("--new-key", algorithm, "--out", key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    named = ["--algorithm", algorithm] if algorithm == "PS256" else []
    token = make("--key-file", key, *named, "--claim", "sub=alice")
    header = jwt.get_unverified_header(token)
    assert header["alg"] == algorithm
    published = json.loads(make("--jwks", key))
    found = jwt.PyJWKSet.from_dict(published)[header["kid"]]
    assert jwt.decode(token, found.key, [algorithm])["sub"] == "alice"
    assert "d" not in published["keys"][0]
    assert jwt.decode(token, make("--public", key), [algorithm])["sub"] == "alice"


def test_a_jwks_of_several_keys(make: Any, tmp_path: Path) -> None:
    keys = [tmp_path / "a.pem", tmp_path / "b.pem"]
    for key in keys:
        make("--new-key", "ES256", "--out", key)
    published = json.loads(make("--jwks", *keys))["keys"]
    assert len({each["kid"] for each in published}) == 2
    [named] = json.loads(make("--jwks", keys[0], "--kid", "mine"))["keys"]
    assert named["kid"] == "mine"


@pytest.mark.parametrize("option", ["jwks_file", "public_key_file"])
def test_the_gateway_takes_them(make: Any, tmp_path: Path, option: str) -> None:
    key, public = tmp_path / "key.pem", tmp_path / "public"
    make("--new-key", "RS256", "--out", key)
    public.write_text(make("--jwks" if option == "jwks_file" else "--public", key) + "\n")
    options = {"algorithms": "RS256", option: str(public), "issuer": "me", "audience": "users"}
    made = build_filter("jwt", options, around=Surroundings(epoch=wall_clock()))
    token = make("--key-file", key, "--claim", "sub=alice", "--issuer", "me", "--audience", "users")
    played = run_filter(made, FakeExchange(headers=[(b"Authorization", b"Bearer " + token.encode())]))
    assert played.status == 200
    assert played.exchange.principal is not None and played.exchange.principal.subject == "alice"


def test_a_new_secret_on_stdout(make: Any) -> None:
    assert len(make("--new-secret")) >= 64


def test_it_says_what_it_is_for(secret: Path, capsys: Capture) -> None:
    assert main(["token", "--secret-file", str(secret)]) == 0
    assert capsys.readouterr().err == "a token for tests: in service, an identity provider makes them\n"


def wrong(tmp_path: Path) -> dict[str, Path]:
    files = {name: tmp_path / name for name in ("short", "key", "none", "secret")}
    files["short"].write_text("sesame\n")
    files["secret"].write_text("0123456789abcdef0123456789abcdef\n")
    main(["token", "--new-key", "ES256", "--out", str(files["key"])])
    return files


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--secret-file", "short"], 1, "short: is too short for HS256"),
        (["--secret-file", "secret", "--algorithm", "HS512"], 1, "secret: is too short for HS512"),
        (["--secret-file", "secret", "--algorithm", "RS256"], 1, "RS256 signs with a private key"),
        (["--secret-file", "key"], 1, "key: is a PEM"),
        (["--secret-file", "none"], 1, "none: No such file"),
        (["--key-file", "key", "--algorithm", "RS256"], 1, "key: is a key for ES256, not for RS256"),
        (["--key-file", "key", "--algorithm", "HS256"], 1, "key: is a key for ES256, not for HS256"),
        (["--key-file", "short"], 1, "short: is no private key"),
        (["--jwks", "key", "secret"], 1, "secret: is no private key"),
        (["--new-key", "RS256", "--out", "key"], 1, "key: File exists"),
        (["--new-secret", "--out", "secret"], 1, "secret: File exists"),
        (["--secret-file", "secret", "--expires", "tomorrow"], 1, "--expires must be a duration"),
        (["--secret-file", "secret", "--claim", "admin"], 1, "--claim takes NAME=VALUE"),
        (["--secret-file", "secret", "--claim", "a=1", "--claim", "a=2"], 1, "--claim a is given twice"),
        (["--new-key", "RS256"], 2, "--new-key needs --out"),
        (["--secret-file", "secret", "--out", "none"], 2, "--out goes with"),
        (["--jwks", "key", "key", "--kid", "x"], 2, "--kid names one key"),
    ],
)
def test_what_cannot_be_done(arguments: list[str], status: int, told: str, tmp_path: Path, capsys: Capture) -> None:
    files = wrong(tmp_path)
    capsys.readouterr()
    assert main(["token", *(str(files.get(word, word)) for word in arguments)]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.replace(f"{tmp_path}/", "").startswith(f"gwproxy token: {told}")
    assert "sesame" not in err
    assert not files["none"].exists()


@pytest.mark.parametrize("arguments", [[], ["--new-key", "none", "--out", "x"], ["--new-secret", "--jwks", "x"]])
def test_wrong_command_lines(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["token", *arguments])
    assert caught.value.code == 2
    capsys.readouterr()
