"""The option `realm`, and the challenge of a 401 that has it (RFC 9110 section 11.6.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gwproxy.config.mistakes import BadValue
from gwproxy.config.values import Value, plain
from gwproxy.http.headers import Header


def _parse(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise BadValue("must be printable ASCII")
    return text


realm: Final[Value[str]] = plain("text", _parse)


def realm_challenge(scheme: str, realm: str, **parameters: str) -> Header:
    """`WWW-Authenticate: SCHEME realm="...", ...`."""
    return challenge_field(scheme, {"realm": realm, **parameters})


def challenge_field(scheme: str, parameters: Mapping[str, str]) -> Header:
    """`WWW-Authenticate: SCHEME name="value", ...`."""
    written = ", ".join(f'{name}="{_quoted(value)}"' for name, value in parameters.items())
    return (b"WWW-Authenticate", f"{scheme} {written}".rstrip().encode())


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
