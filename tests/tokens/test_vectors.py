"""Signatures that others published: the RFCs' examples, and Project Wycheproof's tokens, most of them bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gwproxy.tokens import verify
from gwproxy.tokens.compact import base64url
from gwproxy.tokens.keys import ALGORITHMS, BadKey, keys_from_jwks
from gwproxy.tokens.verify import Policy, Refusal, TokenRefused, Verifier

# RFC 7515 appendix A: the claims of A.1 to A.3, which end at 1300819380.
JOE = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
ENDS = 1300819380

RFC_7515_A1 = (
    {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
    f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
)
RFC_7515_A2 = (
    {
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd"
        "2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R"
        "2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb"
        "54h4FRWyuXpoQ",
        "e": "AQAB",
    },
    f"eyJhbGciOiJSUzI1NiJ9.{JOE}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
    "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_"
    "eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmt"
    "VrBp0igcN_IoypGlUPQGe77Rw",
)
RFC_7515_A3 = (
    {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    },
    f"eyJhbGciOiJFUzI1NiJ9.{JOE}."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
)
RFC_7515_A4 = (
    {
        "kty": "EC",
        "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
    },
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw"
    "_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
)
RFC_8037_A4 = (
    {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iyl"
    "Gjg5BhVsPt9g7sVvpAr_MuM0KAg",
)

WYCHEPROOF = json.loads((Path(__file__).parent / "vectors" / "json_web_signature_test.json").read_text())

# Where we differ from the file's verdict, and why.
STRICTER = {
    346: "the key is for PS256, and the token is signed by PS384",
    350: "the same",
    347: "the key is for ES521, which is no algorithm (RFC 7518 section 3.1 has ES512)",
    351: "the same",
    372: "a ? in the header, which lenient decoders pass over",
    373: "a ? in the payload",
}
RIGHT_AFTER_ALL = {
    367: "the padding that should be wrong is not in the file: the same token as 370, well-formed, with the right MAC",
    370: "the same",
}


@pytest.fixture
def signatures_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payloads need not be JSON: base64url will do."""
    monkeypatch.setattr(verify, "claims_of", lambda part: {"payload": base64url(part) if part else b""})


def accepted(jwk: dict[str, Any], token: str, now: float = 0.0) -> bool:
    """Whether `jwk`, for every algorithm that it allows itself, verifies the token."""
    algorithms = frozenset(ALGORITHMS)
    try:
        keys = keys_from_jwks({"keys": [jwk]}, algorithms, 1)
        Verifier(Policy(algorithms, required_claims=(), max_size=1 << 20)).verify(token.encode(), keys, now)
    except (BadKey, TokenRefused):
        return False
    return True


RFC = [RFC_7515_A1, RFC_7515_A2, RFC_7515_A3, RFC_7515_A4, RFC_8037_A4]


@pytest.mark.parametrize(("jwk", "token"), RFC, ids=["A.1", "A.2", "A.3", "A.4", "8037 A.4"])
def test_signatures_of_the_rfcs(jwk: dict[str, Any], token: str, signatures_only: None) -> None:
    assert accepted(jwk, token)
    head, payload, signature = token.split(".")
    assert not accepted(jwk, f"{head}.{payload[:-4]}AAAA.{signature}")
    assert not accepted(jwk, f"{head}.{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}")
    for other, _ in RFC:
        assert accepted(other, token) is (other is jwk)


@pytest.mark.parametrize(("jwk", "token"), RFC[:3], ids=["A.1", "A.2", "A.3"])
def test_claims_of_the_rfcs(jwk: dict[str, Any], token: str) -> None:
    algorithms = frozenset(ALGORITHMS)
    keys = keys_from_jwks({"keys": [jwk]}, algorithms, 1)
    verifier = Verifier(Policy(algorithms, issuers=frozenset({"joe"}), leeway=0))
    good = verifier.verify(token.encode(), keys, ENDS - 0.001)
    assert good.claims == {"iss": "joe", "exp": ENDS, "http://example.com/is_root": True}
    with pytest.raises(TokenRefused) as refused:
        verifier.verify(token.encode(), keys, ENDS)
    assert refused.value.refusal is Refusal.EXPIRED


def test_what_has_no_claims_is_no_token_though_it_is_signed() -> None:
    assert not accepted(*RFC_7515_A4)
    assert not accepted(*RFC_8037_A4)


@pytest.mark.parametrize(
    "group", WYCHEPROOF["testGroups"], ids=lambda group: f"{group['comment']}-{group['tests'][0]['tcId']}"
)
def test_wycheproof(group: dict[str, Any], signatures_only: None) -> None:
    jwk = group.get("public") or group["private"]
    wrong = []
    for test in group["tests"]:
        number, jws = test["tcId"], test["jws"]
        token = jws if isinstance(jws, str) else json.dumps(jws)
        wanted = number in RIGHT_AFTER_ALL or (test["result"] == "valid" and number not in STRICTER)
        if accepted(jwk, token) is not wanted:
            wrong.append((number, test["comment"], test["result"]))
    assert not wrong


def test_the_figures_of_rfc_7520_whose_keys_are_labelled_wrongly_there(signatures_only: None) -> None:
    seen = 0
    for group in WYCHEPROOF["testGroups"]:
        for test in group["tests"]:
            if test["tcId"] in (346, 347, 350, 351):
                seen += 1
                assert accepted({name: value for name, value in group["public"].items() if name != "alg"}, test["jws"])
    assert seen == 4
