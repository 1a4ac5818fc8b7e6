"""`gwproxy token`: test tokens, and the keys that sign them. In service, tokens come from an identity provider."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

import jwt

from gwproxy.commands import signing
from gwproxy.commands.signing import BadSigningKey, PrivateKey
from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import duration
from gwproxy.runtime.wall import wall_clock
from gwproxy.tokens.files import read_secret
from gwproxy.tokens.keys import BadKey

DEFAULT_EXPIRY: Final = "1h"

# Claims that are text whatever they look like (RFC 7519 section 4.1, RFC 8693 section 4.2).
_TEXTS: Final = frozenset({"iss", "sub", "jti", "scope", "client_id"})
_FOR_TESTS: Final = "for tests: in service, an identity provider makes them"


class _Refused(Exception):
    """What the user asked for cannot be done; the text says why."""


def add(commands: Any) -> None:
    """Adds the command to the parser's."""
    token = commands.add_parser(
        "token",
        help=f"make tokens and keys {_FOR_TESTS}",
        usage="gwproxy token --secret-file FILE | --key-file FILE [--claim sub=alice ...] [--expires 1h]\n"
        "       gwproxy token --new-key RS256 --out FILE\n"
        "       gwproxy token --new-secret [--out FILE]\n"
        "       gwproxy token --jwks FILE [FILE ...]\n"
        "       gwproxy token --public FILE",
        description=f"Tokens and keys {_FOR_TESTS}.",
    )
    what = token.add_mutually_exclusive_group(required=True)
    what.add_argument("--secret-file", metavar="FILE", type=Path, help="sign with the shared secret in FILE")
    what.add_argument("--key-file", metavar="FILE", type=Path, help="sign with the private key in FILE, a PEM")
    what.add_argument("--new-key", metavar="ALGORITHM", choices=signing.PUBLIC, help="make a private key")
    what.add_argument("--new-secret", action="store_true", help="make a shared secret")
    what.add_argument("--jwks", metavar="FILE", type=Path, nargs="+", help="print the public halves of keys, as a JWKS")
    what.add_argument("--public", metavar="FILE", type=Path, help="print the public half of a key, as a PEM")
    token.add_argument("--out", metavar="FILE", type=Path, help="a new file, which only you can read")
    token.add_argument(
        "--algorithm", choices=signing.ALGORITHMS, help="default: HS256 for a secret, for a key what is usual for it"
    )
    token.add_argument("--kid", default="", help="the key's name; default: its thumbprint, in --jwks as well")
    token.add_argument("--typ", default="JWT", help="the token's type; default: JWT")
    token.add_argument("--issuer", help="the claim iss")
    token.add_argument("--audience", action="append", help="the claim aud; several make a list")
    token.add_argument("--expires", default=DEFAULT_EXPIRY, help="from now on, as in 1h, or never; default: 1h")
    token.add_argument(
        "--claim",
        dest="claims",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="VALUE is JSON where it can be read as such, else text; sub, jti and scope are always text",
    )
    token.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints it, or writes it into a file. The exit status is 1 when it cannot be done, 2 for a wrong command line."""
    if options.new_key and options.out is None:
        print("gwproxy token: --new-key needs --out FILE", file=sys.stderr)
        return 2
    if options.out is not None and not options.new_key and not options.new_secret:
        print("gwproxy token: --out goes with --new-key and --new-secret", file=sys.stderr)
        return 2
    if options.kid and options.jwks and len(options.jwks) > 1:
        print("gwproxy token: --kid names one key", file=sys.stderr)
        return 2
    try:
        _make(options)
    except _Refused as refused:
        print(f"gwproxy token: {refused}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"gwproxy token: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _make(options: argparse.Namespace) -> None:
    if options.new_key:
        signing.write_new(options.out, signing.private_pem(signing.make_key(options.new_key)))
        print(f"{options.out}: a key {_FOR_TESTS}", file=sys.stderr)
    elif options.new_secret:
        secret = f"{signing.make_secret()}\n"
        if options.out is None:
            print(secret, end="")
        else:
            signing.write_new(options.out, secret.encode())
    elif options.jwks:
        keys = [signing.public_jwk(_key(path), options.kid) for path in options.jwks]
        print(json.dumps({"keys": keys}, indent=2))
    elif options.public:
        print(signing.public_pem(_key(options.public)).decode(), end="")
    else:
        print(_token(options))
        print(f"a token {_FOR_TESTS}", file=sys.stderr)


def _token(options: argparse.Namespace) -> str:
    headers = {"typ": options.typ}
    key: PrivateKey | bytes
    if options.secret_file:
        algorithm = options.algorithm or signing.SHARED[0]
        key = _secret(options.secret_file, algorithm)
        kid = options.kid
    else:
        key = _key(options.key_file)
        fitting = signing.algorithms_of(key)
        algorithm = options.algorithm or fitting[0]
        if algorithm not in fitting:
            raise _Refused(f"{options.key_file}: is a key for {' or '.join(fitting)}, not for {algorithm}")
        kid = options.kid or signing.public_jwk(key)["kid"]
    if kid:
        headers["kid"] = kid
    # Not jwt.encode(): it refuses claims of a wrong type, and those are worth a test, too.
    payload = json.dumps(_claims(options), separators=(",", ":")).encode()
    return jwt.PyJWS().encode(payload, key, algorithm, headers)


def _claims(options: argparse.Namespace) -> dict[str, Any]:
    """Those that are given, and those that every token has."""
    now = int(wall_clock())
    claims: dict[str, Any] = {"iat": now}
    if options.expires != "never":
        try:
            claims["exp"] = now + int(duration(options.expires))
        except BadValue as bad:
            raise _Refused(f"--expires {bad.message}, or never") from None
    if options.issuer is not None:
        claims["iss"] = options.issuer
    if options.audience:
        claims["aud"] = options.audience if len(options.audience) > 1 else options.audience[0]
    given: dict[str, Any] = {}
    for text in options.claims:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise _Refused("--claim takes NAME=VALUE")
        if name in given:
            raise _Refused(f'--claim {name} is given twice; a list is written {name}=\'["a", "b"]\'')
        given[name] = value if name in _TEXTS else _json_or_text(value)
    return claims | given


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _secret(path: Path, algorithm: str) -> bytes:
    if algorithm not in signing.SHARED:
        raise _Refused(f"{algorithm} signs with a private key: --key-file instead of --secret-file")
    try:
        secret: bytes = read_secret(path.read_bytes(), frozenset({algorithm})).keys[0].material
    except BadKey as bad:
        raise _Refused(f"{path}: {bad}") from None
    return secret


def _key(path: Path) -> PrivateKey:
    try:
        return signing.read_key(path)
    except BadSigningKey as bad:
        raise _Refused(f"{path}: {bad}") from None
