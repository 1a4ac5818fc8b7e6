"""Request targets as a log may show them: the values of secret query parameters, and passwords before a host, masked.

What counts as a secret is decided by the parameter's name, without regard to case, separators and percent-encoding.
In doubt a value is masked: a log with a masked page token is a nuisance, one with a session token is a breach.
Targets are text here, their bytes read as latin-1: searching in text is several times faster than in bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

MASK = "***"

# Names as they are without `-`, `_`, `.` and blanks, in lower case.
_SECRETS = frozenset(
    "token key apikey pass passwd password pwd passphrase secret code sig signature auth authorization jwt session "
    "sessionid sessid sid phpsessid jsessionid otp pin assertion samlresponse samlrequest ticket bearer credential "
    "credentials accesskey secretkey privatekey codeverifier cookie".split()
)
# access_token, id_token, clientSecret, X-Amz-Signature, new_password, x-api-key ...
_SECRET_ENDINGS = ("token", "secret", "password", "passwd", "signature", "apikey", "credential", "assertion")

_SEPARATORS = str.maketrans("", "", "-_.+ ")
# Inside a piece between two `&`: what some servers take for the beginning of another parameter.
_NAMES_INSIDE = re.compile(r"(?:^|[;?#])([^;?#=]*)=")
_NAMES_DECODED = re.compile(r"(?:^|[;?#&])([^;?#&=]*)=")
_ODD = re.compile(r"[;?#]|%3[dD]|%25")
# Where parameters begin: the query; before it a path parameter (`;jsessionid=`); a fragment that should not be there.
_BEGIN = re.compile(r"[?;#]")
_USERINFO = re.compile(r"(?://|^)[^/?#@]*@")

# What names of parameters were found to be: they are few, and the same again and again. Emptied when full.
_verdicts: dict[str, bool] = {}
_MAX_VERDICTS = 1024


# Those that the configuration names, in the same form.
_configured: set[str] = set()


def also_mask(names: Iterable[str]) -> None:
    """From now on the values of these parameters are secrets, too."""
    _configured.update(name.lower().translate(_SEPARATORS) for name in names)
    _verdicts.clear()


def mask_target(target: str) -> str:
    """`target` (path and query, or anything that came in its place) with what is secret in it masked."""
    if target[:1] == "/":
        if "?" not in target and ";" not in target and "#" not in target:
            return target
    elif "@" in target:
        target = _USERINFO.sub(f"//{MASK}@", target, count=1)
    begin = _BEGIN.search(target)
    if begin is None:
        return target
    start = begin.end()
    pieces = target[start:].split("&")
    if _ODD.search(target, start) is None:
        for piece in pieces:
            if _verdicts.get(piece.partition("=")[0], True):
                break
        else:
            return target
    return target[:start] + "&".join([_mask_piece(piece) for piece in pieces])


def is_secret(name: str) -> bool:
    """Whether the value of the parameter `name`, written as in a query, is to be masked."""
    verdict = _verdicts.get(name)
    if verdict is None:
        if len(_verdicts) >= _MAX_VERDICTS:
            _verdicts.clear()
        # user[password] is two words.
        words = unquote(name, "latin-1").replace("]", "").split("[")
        verdict = _verdicts[name] = any(_is_secret_word(word) for word in words)
    return verdict


def _is_secret_word(name: str) -> bool:
    plain = name.lower().translate(_SEPARATORS)
    return plain in _SECRETS or plain in _configured or plain.endswith(_SECRET_ENDINGS)


def _mask_piece(piece: str) -> str:
    """Mask what stands between two `&`."""
    if _ODD.search(piece) is None:
        name, equals, value = piece.partition("=")
        return name + equals + MASK if is_secret(name) and value else piece
    for found in _NAMES_INSIDE.finditer(piece):
        if is_secret(found[1]):
            # To the end: whether `;` ends the value depends on who reads it.
            return piece[: found.end()] + MASK
    name, equals, value = piece.partition("=")
    return name + equals + MASK if _hides_secret(value or name) else piece


def _hides_secret(value: str) -> bool:
    """Whether a percent-encoded value holds a query with a secret of its own: next=%2Fx%3Ftoken%3D1."""
    for _ in range(3):
        decoded = unquote(value, "latin-1")
        if decoded == value:
            return False
        value = decoded
        if any(is_secret(found[1]) for found in _NAMES_DECODED.finditer(value)):
            return True
    return False
