"""Asks an authorisation server about a token (RFC 7662): one question, one answer, nothing remembered."""

from __future__ import annotations

import base64
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from twisted.internet.defer import Deferred

from gwproxy.calls import Answer, CallFailed, Calls
from gwproxy.tokens.compact import Malformed, json_object

MAX_SIZE: Final = 64 << 10


class ClientAuth(StrEnum):
    """How the gateway says who it is (RFC 6749 section 2.3.1)."""

    BASIC = "basic"
    POST = "post"


class CannotTell(Exception):
    """There is no answer, or none that can be used. The words are for the log, and none of them is secret."""


class Authority:
    """One introspection endpoint, and our credentials there."""

    def __init__(
        self,
        calls: Calls,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        auth: ClientAuth = ClientAuth.BASIC,
        timeout: float = 2.0,
        ca_file: Path | None = None,
    ) -> None:
        """`timeout` in seconds for a whole call."""
        self._calls = calls
        self._url = url
        self._timeout = timeout
        self._ca_file = ca_file
        self._headers = [
            (b"Accept", b"application/json"),
            (b"Content-Type", b"application/x-www-form-urlencoded"),
        ]
        self._form = {"token_type_hint": "access_token"}
        if auth is ClientAuth.BASIC:
            # Section 2.3.1: both are form-encoded first.
            pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
            self._headers.append((b"Authorization", b"Basic " + base64.b64encode(pair.encode())))
        else:
            self._form |= {"client_id": client_id, "client_secret": client_secret}

    def ask(self, token: bytes) -> Deferred[dict[str, Any] | None]:
        """What is known of `token`; None: it is not active. Fails with CannotTell."""
        body = urlencode({"token": token.decode("ascii"), **self._form}).encode()
        asked = self._calls.request(
            "POST",
            self._url,
            headers=self._headers,
            body=body,
            timeout=self._timeout,
            max_size=MAX_SIZE,
            ca_file=self._ca_file,
        )
        return asked.addCallbacks(read_answer, _failed)


def _failed(failure: Any) -> Any:
    failure.trap(CallFailed)
    raise CannotTell(str(failure.value)) from None


def read_answer(answer: Answer) -> dict[str, Any] | None:
    """RFC 7662 section 2.2. Raises CannotTell for what it does not describe: `active` is true or false, not a word."""
    if answer.status != 200:
        hint = ": it does not know our client_id and client_secret" if answer.status == 401 else ""
        raise CannotTell(f"the answer was a {answer.status}{hint}")
    try:
        found = json_object(answer.body)
    except Malformed:
        raise CannotTell("the answer is no JSON object") from None
    active = found.get("active")
    if active is True:
        return found
    if active is False:
        return None
    raise CannotTell("the answer does not say whether the token is active")
