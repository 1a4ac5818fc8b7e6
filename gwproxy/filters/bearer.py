"""Bearer tokens (RFC 6750): the one token of a request, and what a refusal says in `WWW-Authenticate`.

Only the `Authorization` field is read: tokens in bodies and queries (sections 2.2 and 2.3) end up in logs.
"""

from __future__ import annotations

import re
from typing import Final

from gwproxy.filters.decision import Denial
from gwproxy.filters.realm import challenge_field
from gwproxy.http.headers import Header, Headers

# RFC 6750 section 2.1, b64token.
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9\-._~+/]+=*").fullmatch
_SCHEME: Final = re.compile(rb"bearer(?![!#$%&'*+\-.^_`|~0-9A-Za-z])", re.IGNORECASE).match


def bearer_token(headers: Headers) -> bytes | Denial | None:
    """The bearer token of a request; None: it has none, though maybe credentials of another scheme.

    Denial.SEVERAL_CREDENTIALS: it has two Authorization fields, of whatever scheme. Denial.TOKEN_MALFORMED: nothing
    stands behind `Bearer`. The characters of a token are not looked at: that costs more than to find a token again that
    is known, and `well_formed()` is for those that are not.
    """
    found: bytes | None = None
    for name, value in headers:
        if len(name) == 13 and name.lower() == b"authorization":
            if found is not None:
                return Denial.SEVERAL_CREDENTIALS
            found = value
    if found is None:
        return None
    if found[:7] != b"Bearer ":
        # RFC 9110 section 11.4: the scheme in any case, then one or more blanks
        if not _SCHEME(found):
            return None
        if found[6:7] != b" ":
            return Denial.TOKEN_MALFORMED
    return found[7:].lstrip(b" ") or Denial.TOKEN_MALFORMED


def well_formed(token: bytes) -> bool:
    """Whether a token has only the characters that one may have. For one that is not known yet."""
    return _WELL_FORMED(token) is not None


# What section 3.1 calls them. Without credentials there is no error: the client did not know.
_ERRORS: Final = {Denial.NO_CREDENTIALS: "", Denial.NOT_LOGGED_IN: "", Denial.SEVERAL_CREDENTIALS: "invalid_request"}
_DESCRIPTIONS: Final = {
    Denial.SEVERAL_CREDENTIALS: "more than one Authorization field",
    Denial.TOKEN_MALFORMED: "the token is malformed",
    Denial.TOKEN_EXPIRED: "the token expired",
    Denial.TOKEN_NOT_YET: "the token is not valid yet",
    Denial.TOKEN_REVOKED: "the token was revoked",
    Denial.TOKEN_INACTIVE: "the token is not active",
}


def challenge(realm: str = "", error: str = "", description: str = "", scope: str = "") -> Header:
    """A `WWW-Authenticate` field. `error`: invalid_request, invalid_token or insufficient_scope (section 3.1)."""
    given = {"realm": realm, "error": error, "error_description": description, "scope": scope}
    return challenge_field("Bearer", {name: value for name, value in given.items() if value})


class Challenges:
    """The fields of a 401, made once for each reason: `challenges[Denial.TOKEN_EXPIRED]` is a list of them."""

    __slots__ = ("_made",)

    def __init__(self, realm: str = "") -> None:
        self._made = {
            denial: [challenge(realm, _ERRORS.get(denial, "invalid_token"), _DESCRIPTIONS.get(denial, ""))]
            for denial in Denial
        }

    def __getitem__(self, denial: Denial) -> list[Header]:
        return self._made[denial]
