"""Forged tokens, by the family of the attack. Each is wrong in one thing, and good in all others where that can be."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.tokens.kit.forge import CLAIMS, NOW, b64, jwk, key, part, public_der, public_pem, sign, token

# The keys that the issuer publishes, by kid: three that may sign, and others that may not.
KIDS: Final = {"RS256": "rsa-1", "ES256": "ec-1", "EdDSA": "ed-1"}
PUBLISHED: Final = [
    *(jwk(key(algorithm), kid=kid, alg=algorithm, use="sig") for algorithm, kid in KIDS.items()),
    jwk(key("RS256", "encrypting"), kid="enc-1", use="enc"),
    jwk(key("RS256", "wrapping"), kid="ops-1", key_ops=["encrypt", "wrapKey"]),
    jwk(key("RS256", "pss"), kid="pss-1", use="sig", alg="PS256"),
    jwk(key("RS256", "short", 1024), kid="short-1", use="sig"),
    jwk(key("HS256", "published"), kid="oct-1", use="sig"),
    jwk(key("ES256K"), kid="koblitz-1", use="sig"),
]
SIGNERS: Final = ("RS256", "ES256", "EdDSA", "HS256")
# Nobody may ever ask there.
ADDRESSES: Final = (
    *("http://127.0.0.1:9/keys", "https://evil.example/keys.json", "file:///dev/zero", "//evil.example", "ldap://x"),
    *("https://idp.example@evil.example/keys", "https://idp.example/keys/../../evil", "\\\\evil.example\\keys"),
)
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256

Tokens = Iterator[bytes]


def good(algorithm: str, claims: Any = CLAIMS, **more: Any) -> bytes:
    """What the issuer gives out."""
    kid = {"kid": KIDS[algorithm]} if algorithm in KIDS else {}
    return token(algorithm, claims, **{**kid, **more})


def attackers(algorithm: str) -> Any:
    """A key that the issuer knows nothing of."""
    return key(algorithm, "attacker")


def _with_signature(given: bytes, signature: bytes) -> bytes:
    return given.rpartition(b".")[0] + b"." + signature


def no_algorithm() -> Tokens:
    """`none` in every case, with no signature, a good one, and a piece of one."""
    spellings = ["".join(letters) for letters in itertools.product(*zip("none", "NONE", strict=True))]
    others: list[Any] = ["", "None ", "n\0one", "null", None, False, 0, [], {}, ["none"]]
    for spelling in [*spellings, *others]:
        header = {"alg": spelling, "typ": "JWT", "kid": "rsa-1"}
        unsigned = part(header) + b"." + part({**CLAIMS, "sub": "admin"}) + b"."
        yield unsigned
        yield unsigned + good("RS256").rpartition(b".")[2]
    yield part({"typ": "JWT"}) + b"." + part(CLAIMS) + b"."
    yield part({}) + b"." + part(CLAIMS) + b"." + good("RS256").rpartition(b".")[2]


def confusion() -> Tokens:
    """HMAC by what everybody knows: the public keys, in every form in which they are written."""
    for algorithm, kid in KIDS.items():
        private = key(algorithm)
        pem = public_pem(private)
        secrets = [pem, pem.strip(), pem.replace(b"\n", b"\r\n"), public_der(private), b64(public_der(private))]
        written = jwk(private)
        secrets += [json.dumps(written).encode(), json.dumps(written, separators=(",", ":")).encode()]
        secrets += [value.encode() for value in written.values()]
        if algorithm == "RS256":
            secrets.append(private.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1))
        for by, secret in itertools.product(("HS256", "HS384", "HS512"), secrets):
            yield token(by, kid=kid, signing_key=secret)
        # and the header of the one with the signature of the other
        yield token(algorithm, kid=kid, signing_key=pem, sign_as="HS256")


def other_algorithms() -> Tokens:
    """The right key under an algorithm that is not its own, or of which the header says something else."""
    for algorithm in ("RS384", "RS512", "PS256", "PS384", "PS512"):
        yield token(algorithm, kid="rsa-1", signing_key=key("RS256"))
        yield token("RS256", kid="rsa-1", sign_as=algorithm, signing_key=key("RS256"))
    for algorithm in ("ES384", "ES512", "ES256K"):
        yield token(algorithm, kid="ec-1")
        yield token("ES256", kid="ec-1", sign_as=algorithm)
    for algorithm, kid in itertools.permutations(KIDS, 2):
        yield token(algorithm, kid=KIDS[kid])  # a kid of another type
    for name in ("rs256", "Rs256", "RS256 ", " RS256", "RS256\0", "RSA256", "RS2560", "RS25", "HS1", "A128KW", "dir"):
        yield token("RS256", header={"alg": name, "kid": "rsa-1"})
    for wrong in (["RS256"], {"RS256": True}, 256, True):
        yield token("RS256", header={"alg": wrong, "kid": "rsa-1"})
    for algorithm in ("HS384", "HS512"):
        yield token(algorithm)  # the right secret, and not configured


def unfit_keys() -> Tokens:
    """Signed by keys that the issuer publishes, and not for that."""
    for kid, whose in (("enc-1", "encrypting"), ("ops-1", "wrapping"), ("pss-1", "pss")):
        for algorithm in ("RS256", "PS256"):
            yield token(algorithm, kid=kid, signing_key=key("RS256", whose))
        yield token("RS256", signing_key=key("RS256", whose))
    yield token("RS256", kid="short-1", signing_key=key("RS256", "short", 1024))
    for kid in ("oct-1", "rsa-1", "any"):
        yield token("HS256", kid=kid, signing_key=key("HS256", "published"))
    yield token("ES256K", kid="koblitz-1")
    yield token("ES256", kid="koblitz-1", sign_as="ES256K")


def unknown_keys() -> Tokens:
    """Signed by somebody else, or by nobody, under kids that somebody might look up in a file or in a database."""
    kids: list[Any] = [
        "",
        "0",
        "-1",
        "rsa-2",
        "RSA-1",
        "rsa-1 ",
        "rsa-1\0",
        "../../../../dev/null",
        "/dev/null",
        "/proc/sys",
    ]
    kids += ["' OR '1'='1", "x' UNION SELECT 'key", "rsa-1|id", "$(id)", "`id`", "%s%n", "{{7*7}}", "${jndi:ldap://x}"]
    kids += [*ADDRESSES, "k" * 257, "k" * 9000, "\U0001f511", "__class__", "None"]
    kids += [1, 1.5, True, [], ["rsa-1"], {"rsa-1": 1}]
    for kid in kids:
        yield token("RS256", kid=kid, signing_key=attackers("RS256"))
        if kid != "None":
            yield token("RS256", kid=kid)  # the issuer's key, but another is named
    for algorithm, kid in KIDS.items():
        yield token(algorithm, kid=kid, signing_key=attackers(algorithm))
    for secret in (b"", b"\0", b"secret", b"\0" * 32, b"null", b"rsa-1"):
        for kid in ("rsa-1", "/dev/null", "\0"):
            yield _with_signature(
                token("HS256", kid=kid), b64(sign("HS256", secret, token("HS256", kid=kid).rpartition(b".")[0]))
            )


def keys_in_tokens() -> Tokens:
    """Signed by the attacker, whose key stands in the header, or where the header says."""
    for algorithm in ("RS256", "ES256", "EdDSA"):
        own = attackers(algorithm)
        certificate = b64(public_der(own)).decode()
        for kid in (KIDS[algorithm], "attackers"):
            more: list[dict[str, Any]] = [{"jwk": jwk(own)}, {"jwk": jwk(own, kid=kid, use="sig", alg=algorithm)}]
            more += [{"x5c": [certificate]}, {"x5c": [certificate] * 3, "x5t": "AAAA", "x5t#S256": "AAAA"}]
            more += [{name: address} for name in ("jku", "x5u") for address in ADDRESSES[:4]]
            for header in more:
                yield token(algorithm, kid=kid, signing_key=own, **header)
    yield token("HS256", jwk=jwk(attackers("HS256")), signing_key=attackers("HS256"))
    yield token("HS256", jku=ADDRESSES[0], signing_key=attackers("HS256"))


def critical() -> Tokens:
    """Extensions that must be understood."""
    values: list[Any] = [["exp"], ["b64"], ["http://example.com/x"], [], "", "exp", None, True, {}, [""], [1], ["alg"]]
    for algorithm, crit in itertools.product(("RS256", "HS256"), values):
        yield good(algorithm, crit=crit)
    unencoded: list[Any] = [False, None, 0, "false", "true", []]
    for b64_value in unencoded:
        yield good("RS256", b64=b64_value)
        yield good("RS256", b64=b64_value, crit=["b64"])


def types() -> Tokens:
    """Tokens for something else, signed by the issuer."""
    for typ in (
        "logout+jwt",
        "dpop+jwt",
        "JWE",
        "JOSE+JSON",
        "id+jwt",
        "secevent+jwt",
        "",
        " jwt",
        "text/jwt",
        1,
        ["JWT"],
    ):
        yield good("RS256", typ=typ)
        yield good("HS256", typ=typ)


def duplicates() -> Tokens:
    """Names that stand twice: who reads the first sees something else than who reads the last."""
    head = json.dumps({"alg": "RS256", "kid": "rsa-1"})[:-1]
    for more in ('"alg":"none"', '"alg":"RS256"', '"kid":"rsa-2"', '"\\u0061lg":"HS256"', '"a":{"b":1,"b":2}'):
        yield token("RS256", header=f"{head},{more}}}".encode())
        yield token("RS256", header=f"{{{more},{head[1:]}}}".encode())
    body = json.dumps(CLAIMS)[:-1]
    for more in ('"sub":"admin"', '"exp":9999999999', '"aud":"api"', '"\\u0073ub":"admin"', '"a":[{"b":1,"b":2}]'):
        for algorithm in ("RS256", "HS256"):
            doubled = more if more.startswith('"a":') else f"{more},{more}"
            yield good(algorithm, f"{body},{doubled}}}".encode())
            yield good(algorithm, f"{{{doubled},{body[1:]}}}".encode())


def dates() -> Tokens:
    """Expired by a second, not begun yet, and what is no date."""
    late, early = NOW - 30, NOW + 31
    wrong: list[dict[str, Any]] = [
        {"exp": late},
        {"exp": late - 1},
        {"exp": 0},
        {"exp": 1},
        {"nbf": early},
        {"iat": early},
    ]
    wrong += [{"nbf": NOW * 1000}, {"exp": NOW * 1_000_000}, {"exp": 10**30}, {"nbf": -1}, {"iat": "now"}]
    wrong += [
        {"exp": value} for value in ("9999999999", "", None, True, False, [9999999999], {"a": 1}, -1, -9999999999)
    ]
    for algorithm, claims in itertools.product(("RS256", "HS256"), wrong):
        yield good(algorithm, {**CLAIMS, **claims})
    rest = json.dumps({name: value for name, value in CLAIMS.items() if name != "exp"})[:-1]
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "0x7fffffff", "1_000", "9" * 5000):
        yield good("RS256", f'{rest},"exp":{number}}}'.encode())
    yield good("RS256", f"{rest}}}".encode())


def claims() -> Tokens:
    """Of other issuers, for others, and of the wrong form; all of them signed by the issuer."""
    issuer = CLAIMS["iss"]
    wrong: list[dict[str, Any]] = [
        {"iss": text} for text in (f"{issuer}/", issuer.upper(), f"{issuer}.evil.example", "")
    ]
    wrong += [
        {"iss": value} for value in ([issuer], {issuer: 1}, None, True, f" {issuer}", f"{issuer}\0", f"{issuer}#")
    ]
    wrong += [{"aud": value} for value in ("API", "api2", "ap", "api ", "", "*", [], ["API"], "api,other", "api other")]
    wrong += [{"aud": value} for value in ([["api"]], {"api": True}, None, True, 0, ["api", 1], ["api", None])]
    wrong += [{"sub": value} for value in (1, None, True, ["user-1"], {"a": "b"})]
    wrong += [{"jti": value} for value in (1, None, ["a"])]
    for algorithm, change in itertools.product(("RS256", "HS256"), wrong):
        yield good(algorithm, {**CLAIMS, **change})
    for name in ("iss", "aud"):
        yield good("RS256", {each: value for each, value in CLAIMS.items() if each != name})


def signatures() -> Tokens:
    """Changed, cut, lengthened, exchanged."""
    for algorithm in SIGNERS:
        given = good(algorithm)
        head, _, encoded = given.rpartition(b".")
        signature = sign_of(given)
        for at in (0, 1, len(signature) // 2, len(signature) // 2 - 1, len(signature) - 1):
            for bit in (1, 0x80):
                changed = bytearray(signature)
                changed[at] ^= bit
                yield _with_signature(given, b64(bytes(changed)))
        for other in (b"\0" * len(signature), b"\xff" * len(signature), signature[:-1], signature[1:], signature * 2):
            yield _with_signature(given, b64(other))
        yield _with_signature(given, b64(signature + b"\0"))
        yield _with_signature(given, b64(b"\0" + signature))
        yield _with_signature(given, b64(signature[:1]))
        yield _with_signature(given, b"")
        yield head
        yield _with_signature(given, sign_encoded(good(algorithm, {**CLAIMS, "jti": "another"})))
        # other ways to write the same bytes
        if len(encoded) % 4:
            yield _with_signature(given, encoded[:-1] + bytes([encoded[-1] + 1]))  # differs in bits that are not used
        for written in (
            encoded + b"=",
            encoded + b"==",
            encoded + b"A",
            b" " + encoded,
            encoded + b"\n",
            encoded + b"%00",
        ):
            yield _with_signature(given, written)
    yield from _ecdsa()


def sign_encoded(given: bytes) -> bytes:
    """The third part."""
    return given.rpartition(b".")[2]


def sign_of(given: bytes) -> bytes:
    """Its signature."""
    return base64.urlsafe_b64decode(sign_encoded(given) + b"==")


def _ecdsa() -> Tokens:
    """Zero and the group's order where a signature has two numbers (CVE-2022-21449), and DER instead of two numbers."""
    given = good("ES256")
    for r, s in itertools.product((0, 1, _ORDER, _ORDER + 1, _ORDER - 1, 2**256 - 1), repeat=2):
        yield _with_signature(given, b64(r.to_bytes(32, "big") + s.to_bytes(32, "big")))
    raw = sign_of(given)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    der = encode_dss_signature(r, s)
    assert decode_dss_signature(der) == (r, s)
    yield _with_signature(given, b64(der))
    yield _with_signature(given, b64(s.to_bytes(32, "big") + r.to_bytes(32, "big")))
    yield _with_signature(given, b64(r.to_bytes(33, "big") + s.to_bytes(33, "big")))


def contents() -> Tokens:
    """Other claims, or another header, under a signature that was for something else."""
    for algorithm in SIGNERS:
        head, payload, signature = good(algorithm).split(b".")
        for change in ({"sub": "admin"}, {"exp": NOW * 2}, {"roles": ["admin"]}, {"iss": "other"}):
            yield b".".join([head, part({**CLAIMS, **change}), signature])
        yield b".".join([part({"alg": algorithm, "typ": "JWT", "x": 1}), payload, signature])
        yield b".".join([payload, head, signature])
        yield b".".join([head, payload[:-1], signature])
        yield b".".join([head, payload + b"A", signature])


def forms() -> Tokens:
    """What is no token, or one of another kind, or far too much."""
    given = good("RS256")
    head, payload, signature = given.split(b".")
    yield from (b".", b"..", b"...", b"a", b"a.b", b"null", b"{}", b"undefined", b"\xff\xfe", b"eyJ", b"....")
    yield from (given + b".", b"." + given, given + b".x", b"x." + given, head + b"." + payload, payload, head)
    yield from (
        given.replace(b".", b". "),
        given.replace(b".", b",") + b".",
        given + b"\0",
        given + b" x",
        b'"%b"' % given,
    )
    yield b".".join([head, b"", b"", b"", signature])  # a JWE has five parts
    yield json.dumps(
        {"protected": head.decode(), "payload": payload.decode(), "signature": signature.decode()}
    ).encode()
    yield b".".join([head, b"", signature])
    for header in (b"[]", b"null", b"1", b'"x"', b"", b"{", b"{}}", b"\xef\xbb\xbf" + b'{"alg":"RS256"}', b"\xff"):
        yield token("RS256", header=header)
    yield token("RS256", header='{"alg":"RS256","kid":"rsa-1"}'.encode("utf-16"))
    for deep in (40, 1000, 5000):
        yield token("RS256", header=b'{"alg":"RS256","kid":"rsa-1","x":' + b"[" * deep + b"]" * deep + b"}")
        yield good("RS256", json.dumps(CLAIMS)[:-1].encode() + b',"x":' + b"[" * deep + b"]" * deep + b"}")
    for body in (b"[]", b"null", b"", b"{", b"\xff", b'"x"', json.dumps(CLAIMS).encode("utf-16")):
        yield good("RS256", body)
    yield good("RS256", {**CLAIMS, "name": "\ud800"})
    yield good("RS256", {**CLAIMS, "more": "x" * 16_000})
    yield good("RS256", x="x" * 16_000)
    yield b"a" * 1_000_000
    yield b"." * 1_000_000


FAMILIES: Final[dict[str, Callable[[], Tokens]]] = {
    family.__name__: family
    for family in (
        *(no_algorithm, confusion, other_algorithms, unfit_keys, unknown_keys, keys_in_tokens, critical, types),
        *(duplicates, dates, claims, signatures, contents, forms),
    )
}
