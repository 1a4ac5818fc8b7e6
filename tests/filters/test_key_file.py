"""API keys: made, written, read again, compared."""

from __future__ import annotations

import re

import pytest

from gwproxy.filters.key_file import NEVER, StoredKey, make_key, own_claims, read_keys, written

GOOD = f"[key:0123456789abcdef]\nclient = acme\nhash = sha256:{'a' * 32}:{'b' * 64}\n"


def stored(**options: str) -> StoredKey:
    text = GOOD + "".join(f"{name} = {value}\n" for name, value in options.items())
    return read_keys(text.encode()).by_id["0123456789abcdef"]


def test_a_key_is_found_again() -> None:
    keys = {}
    text = "; who may come in\n"
    for client in ("acme", "Émile's", "acme"):
        key, made = make_key(client)
        keys[key] = made
        text += written(made)
    found = read_keys(text.encode())
    assert len(found.by_id) == 3
    for key, made in keys.items():
        match = found.find(key.encode())
        assert match is not None
        assert match.id == made.id
        assert match.principal == made.principal
        assert match.expires == NEVER


def test_keys_are_long_random_and_not_in_the_file() -> None:
    key, made = make_key("acme")
    other, _ = make_key("acme")
    assert re.fullmatch(r"gw_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", key)
    assert key[20:] not in written(made)
    assert key[20:] not in repr(made)
    assert made.digest.hex() not in repr(made)
    assert key[20:] != other[20:]
    assert key[3:19] != other[3:19]


def test_any_other_text_is_no_key() -> None:
    key, made = make_key("acme")
    find = read_keys(written(made).encode()).find
    raw = key.encode()
    others = [raw[:-1], raw + b"A", raw[:-1] + bytes([raw[-1] ^ 1]), raw.lower(), b" " + raw, raw[:19], raw[:20], b""]
    others += [raw * 200, b"gw_" + b"0" * 16 + raw[19:], raw.replace(b"gw_", b"GW_"), bytes(range(256)), raw + b"\0"]
    assert [find(each) for each in others] == [None] * len(others)
    assert find(raw) is not None


def test_claims_and_expiry_come_back() -> None:
    claims: dict[str, str | list[str]] = {"plan": "gold = 1; x", "role": ["reader", "writer"], "https://a.b/c": "x"}
    _, made = make_key("acme", 1_800_000_000.0, claims)
    again = read_keys(written(made).encode()).by_id[made.id]
    assert own_claims(again) == claims
    assert again.principal.claims == {"sub": "acme", "key_id": made.id, **claims}
    assert again.principal.method == "api_key"
    assert again.expires == 1_800_000_000.0
    assert written(again) == written(made)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2027-01-31", 1_801_353_600), ("2027-01-31T00:00:01Z", 1_801_353_601), ("1970-01-01", 0)],
)
def test_dates(text: str, seconds: float) -> None:
    assert stored(expires=text).expires == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"client = a", "line 1: client stands before the first"),
        (b"[key]\nclient = a", r"line 1: a section must be \[key:ID\]"),
        (b"[key:short]", r"line 1: a section must be \[key:ID\]"),
        (b"[user:0123456789abcdef]", r"line 1: a section must be \[key:ID\]"),
        (GOOD.encode() * 2, "line 4: the section is there already, in line 1"),
        (GOOD.replace("client = acme", "").encode(), "line 1: a client is"),
        (GOOD.replace("acme", "a" * 129).encode(), "line 2: a client is"),
        (GOOD.replace("hash = sha256", "hash = md5").encode(), "line 3: hash must be sha256:SALT:DIGEST"),
        (GOOD.replace("hash", "hsah").encode(), "line 3: there is no option hsah; did you mean 'hash'"),
        (GOOD.encode() + b"expires = soon", "line 4: expires must be a date"),
        (GOOD.encode() + b"claims = plan", "line 4: a claim is name=value"),
        (GOOD.encode() + b"claims =\n  plan = a\n  two words = b", "line 4: a claim is name=value"),
        (GOOD.encode() + b"claims = sub = root", "line 4: the claim sub is there by itself"),
        (GOOD.encode() + b"claims = key_id = 1", "line 4: the claim key_id is there by itself"),
        (b"\xff\xfe", "line 1: is not UTF-8"),
    ],
)
def test_mistakes_are_told_with_their_line(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        read_keys(text)
    assert "b" * 64 not in str(raised.value)


def test_a_key_that_was_pasted_into_the_file_is_not_told() -> None:
    key, _ = make_key("acme")
    for line in (key, f"{key} = 1", f"[{key}]", f"  {key}", f"client = a\n{key}"):
        with pytest.raises(ValueError, match="line") as raised:
            read_keys(f"[key:0123456789abcdef]\n{line}\n".encode())
        assert key[20:] not in str(raised.value)


def test_what_is_missing() -> None:
    """It is told where its section begins, and all mistakes come together."""
    with pytest.raises(
        ValueError, match=r"line 1: a client is .*; line 1: hash must be .*; line 4: hash must be"
    ) as raised:
        read_keys(b"[key:0123456789abcdef]\n\n[key:1123456789abcdef]\nhash = x\nclient = a")
    assert str(raised.value).count("line") == 3


def test_of_many_mistakes_some_are_told() -> None:
    with pytest.raises(ValueError, match="and 90 more"):
        read_keys(b"nonsense\n" * 100)


@pytest.mark.parametrize("client", ["", " a", "a\nb", "a\0", "x" * 129])
def test_who_cannot_be_a_client(client: str) -> None:
    with pytest.raises(ValueError, match="a client is"):
        make_key(client)


@pytest.mark.parametrize(
    "claims", [{"sub": "x"}, {"a b": "x"}, {"a": ""}, {"a": "x\ny"}, {"": "x"}, {"#a": "x"}, {"a": ["x", ""]}]
)
def test_claims_that_cannot_be_stored(claims: dict[str, str | list[str]]) -> None:
    with pytest.raises(ValueError, match="claim"):
        make_key("acme", claims=claims)


def test_an_empty_file_has_no_keys() -> None:
    assert read_keys(b"").by_id == {}
    assert read_keys(b"; nobody yet\n").find(b"gw_0123456789abcdef_x") is None
